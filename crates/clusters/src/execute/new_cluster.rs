//! The API of a cluster that was made: what is read of it and the few things that are written. A trait, because tests
//! stand in for a cluster.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment};
use k8s_openapi::api::core::v1::{Node, Secret as KubeSecret};
use kube::api::{Api, DeleteParams, DynamicObject, ListParams, Patch, PatchParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::{ApiResource, GroupVersionKind};
use kube::{Client, Config, ResourceExt};
use resources::{Secret, keys};
use serde_json::{Value, json};

/// Longest wait for one answer of a new cluster.
const CALL: Duration = Duration::from_secs(20);

/// A node as far as the coordinator looks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NodeView {
    /// Name.
    pub name: String,
    /// Condition Ready.
    pub ready: bool,
    /// Why it is not.
    pub reason: Option<String>,
    /// Identity of the machine.
    pub provider_id: Option<String>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// When the Node was created, by the clock of its cluster.
    pub created: Option<Timestamp>,
}

/// What runs in a cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SystemView {
    /// The CNI's objects are there.
    pub cni_applied: bool,
    /// What DNS or kube-proxy lack, for people.
    pub missing: Option<String>,
}

/// Why a call did not succeed, for people.
pub type Failure = String;

/// The API of one new cluster.
pub trait NewCluster: Send + Sync {
    /// Its nodes; the first call that succeeds shows that it answers.
    fn nodes(&self) -> BoxFuture<'_, Result<Vec<NodeView>, Failure>>;
    /// CNI, DNS, kube-proxy.
    fn system(&self) -> BoxFuture<'_, Result<SystemView, Failure>>;
    /// Server-side apply of objects, in order.
    fn apply(&self, objects: Vec<Value>) -> BoxFuture<'_, Result<(), Failure>>;
    /// Deletes a Secret of kube-system.
    fn delete_token(&self, name: String) -> BoxFuture<'_, Result<(), Failure>>;
    /// Sets labels of a node.
    fn label_node(
        &self,
        name: String,
        labels: BTreeMap<String, String>,
    ) -> BoxFuture<'_, Result<(), Failure>>;
    /// Deletes a node.
    fn delete_node(&self, name: String) -> BoxFuture<'_, Result<(), Failure>>;
}

/// Makes [`NewCluster`]s.
pub trait NewClusters: Send + Sync {
    /// From a kubeconfig with a short certificate.
    fn connect(&self, kubeconfig: Secret<String>) -> BoxFuture<'_, Result<Box<dyn NewCluster>, Failure>>;
}

/// Real clusters.
#[derive(Debug, Clone, Copy, Default)]
pub struct KubeNewClusters;

impl NewClusters for KubeNewClusters {
    fn connect(&self, kubeconfig: Secret<String>) -> BoxFuture<'_, Result<Box<dyn NewCluster>, Failure>> {
        async move {
            // The parser's error would quote the file, and this text becomes a status.
            let parsed = Kubeconfig::from_yaml(kubeconfig.reveal())
                .map_err(|_| "the kubeconfig of the cluster cannot be read".to_owned())?;
            let mut config = Config::from_custom_kubeconfig(parsed, &KubeConfigOptions::default())
                .await
                .map_err(|error| causes::line(&error))?;
            config.connect_timeout = Some(Duration::from_secs(5));
            config.read_timeout = Some(CALL);
            config.write_timeout = Some(CALL);
            let client = Client::try_from(config).map_err(|error| causes::line(&error))?;
            Ok(Box::new(KubeNewCluster { client }) as Box<dyn NewCluster>)
        }
        .boxed()
    }
}

struct KubeNewCluster {
    client: Client,
}

async fn limited<T>(future: impl Future<Output = Result<T, kube::Error>>) -> Result<T, Failure> {
    match tokio::time::timeout(CALL, future).await {
        Ok(result) => result.map_err(|error| causes::line(&error)),
        Err(_) => Err(format!("no answer within {} s", CALL.as_secs())),
    }
}

/// Absence is what a deletion wants.
async fn gone<T>(future: impl Future<Output = Result<T, kube::Error>>) -> Result<(), Failure> {
    limited(async {
        match future.await {
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
            other => other.map(drop),
        }
    })
    .await
}

fn params() -> PatchParams {
    PatchParams::apply(keys::MANAGER_CLUSTERS).force()
}

impl NewCluster for KubeNewCluster {
    fn nodes(&self) -> BoxFuture<'_, Result<Vec<NodeView>, Failure>> {
        async move {
            let api: Api<Node> = Api::all(self.client.clone());
            let nodes = limited(api.list(&ListParams::default())).await?;
            Ok(nodes.items.iter().map(view).collect())
        }
        .boxed()
    }

    fn system(&self) -> BoxFuture<'_, Result<SystemView, Failure>> {
        async move {
            let flannel: Api<DaemonSet> = Api::namespaced(self.client.clone(), "kube-flannel");
            let daemons: Api<DaemonSet> = Api::namespaced(self.client.clone(), "kube-system");
            let deployments: Api<Deployment> = Api::namespaced(self.client.clone(), "kube-system");
            let cni = limited(flannel.get_opt("kube-flannel-ds")).await?;
            let proxy = limited(daemons.get_opt("kube-proxy")).await?;
            let dns = limited(deployments.get_opt("coredns")).await?;
            Ok(SystemView {
                cni_applied: cni.is_some(),
                missing: missing(proxy.as_ref(), dns.as_ref()),
            })
        }
        .boxed()
    }

    fn apply(&self, objects: Vec<Value>) -> BoxFuture<'_, Result<(), Failure>> {
        async move {
            for object in objects {
                let object: DynamicObject =
                    serde_json::from_value(object).map_err(|error| error.to_string())?;
                let types = object.types.clone().unwrap_or_default();
                let kind = GroupVersionKind::try_from(&types).map_err(|error| error.to_string())?;
                let resource = ApiResource::from_gvk(&kind);
                let api: Api<DynamicObject> = match object.namespace() {
                    Some(namespace) => Api::namespaced_with(self.client.clone(), &namespace, &resource),
                    None => Api::all_with(self.client.clone(), &resource),
                };
                let name = object.name_any();
                limited(api.patch(&name, &params(), &Patch::Apply(&object)))
                    .await
                    .map_err(|why| format!("{} {name}: {why}", types.kind))?;
            }
            Ok(())
        }
        .boxed()
    }

    fn delete_token(&self, name: String) -> BoxFuture<'_, Result<(), Failure>> {
        async move {
            let api: Api<KubeSecret> = Api::namespaced(self.client.clone(), "kube-system");
            gone(api.delete(&name, &DeleteParams::default())).await
        }
        .boxed()
    }

    fn label_node(
        &self,
        name: String,
        labels: BTreeMap<String, String>,
    ) -> BoxFuture<'_, Result<(), Failure>> {
        async move {
            let api: Api<Node> = Api::all(self.client.clone());
            let object =
                json!({ "apiVersion": "v1", "kind": "Node", "metadata": { "name": name, "labels": labels } });
            limited(api.patch(&name, &params(), &Patch::Apply(&object)))
                .await
                .map(drop)
        }
        .boxed()
    }

    fn delete_node(&self, name: String) -> BoxFuture<'_, Result<(), Failure>> {
        async move {
            let api: Api<Node> = Api::all(self.client.clone());
            gone(api.delete(&name, &DeleteParams::default())).await
        }
        .boxed()
    }
}

fn view(node: &Node) -> NodeView {
    let conditions = node
        .status
        .as_ref()
        .and_then(|status| status.conditions.clone())
        .unwrap_or_default();
    let ready = conditions.iter().find(|condition| condition.type_ == "Ready");
    NodeView {
        name: node.name_any(),
        ready: ready.is_some_and(|condition| condition.status == "True"),
        reason: ready.and_then(|condition| condition.message.clone()),
        provider_id: node.spec.as_ref().and_then(|spec| spec.provider_id.clone()),
        labels: node.labels().clone(),
        created: node.metadata.creation_timestamp.as_ref().map(|time| time.0),
    }
}

fn missing(proxy: Option<&DaemonSet>, dns: Option<&Deployment>) -> Option<String> {
    let Some(status) = proxy.and_then(|proxy| proxy.status.as_ref()) else {
        return Some("kube-proxy is not there yet".to_owned());
    };
    if status.number_ready < status.desired_number_scheduled || status.desired_number_scheduled == 0 {
        return Some(format!(
            "kube-proxy is ready on {} of {} nodes",
            status.number_ready, status.desired_number_scheduled
        ));
    }
    let available = dns
        .and_then(|dns| dns.status.as_ref()?.available_replicas)
        .unwrap_or(0);
    (available < 1).then(|| "CoreDNS has no available replica yet".to_owned())
}
