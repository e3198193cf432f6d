//! The API of a cluster, on any day of its life: what is read of it and the few things that are written. A trait, because
//! tests play a cluster.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment};
use k8s_openapi::api::core::v1::{ConfigMap, Node, PodTemplateSpec, Secret as KubeSecret};
use kube::api::{Api, DeleteParams, DynamicObject, ListParams, Patch, PatchParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::{ApiResource, GroupVersionKind};
use kube::{Client, Config, ResourceExt};
use resources::{Secret, keys};
use serde_json::{Value, json};
use tokio::sync::Mutex;

use crate::day_two::{Drain, DrainPolicy, Drainer, KubeNodesConnector, Nodes, NodesConnector as _};

/// Longest wait for one answer of a cluster.
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
    /// Since when it is Ready or not, by the clock of its cluster.
    pub since: Option<Timestamp>,
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
    /// Number of the last plan that changed the cluster. It is kept in the cluster, so that it survives the appliance.
    pub last_plan: Option<u32>,
    /// Revision of the control plane whose version and settings machines that join it read; `None` before the first rollout.
    pub joins_with: Option<String>,
    /// DNS, kube-proxy and flannel.
    pub addons: AddonsView,
}

/// DNS, kube-proxy and flannel.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AddonsView {
    /// Image of CoreDNS; absent where it is not there.
    pub dns: Option<String>,
    /// Image of kube-proxy; absent where it is not there.
    pub proxy: Option<String>,
    /// Version that they were brought to last; absent before the first upgrade, [`keys::ADDONS_PENDING`] during one.
    pub version: Option<String>,
    /// Pods of kube-proxy and flannel keep their images until they are deleted with their nodes (`OnDelete`).
    pub held: bool,
}

/// Why a call did not succeed, for people.
pub type Failure = String;

/// How far the pods of a node are moved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Drained {
    /// No pod is left that has to be moved.
    Yes,
    /// Pods are left; what is waited for.
    NotYet(String),
}

/// Where a cluster keeps the number of the last plan that changed it.
const LAST_PLAN_NAMESPACE: &str = "kube-system";
const LAST_PLAN: &str = "gantry-last-plan";

/// The API of one cluster.
pub trait Workload: Send + Sync {
    /// Its nodes; the first call that succeeds shows that it answers.
    fn nodes(&self) -> BoxFuture<'_, Result<Vec<NodeView>, Failure>>;
    /// CNI, DNS, kube-proxy, and the last plan that changed the cluster.
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
    /// Keeps new pods off a node and evicts those that it has, as far as their disruption budgets allow it now.
    fn drain(&self, node: String) -> BoxFuture<'_, Result<Drained, Failure>>;
}

/// The object in which a cluster keeps the number of the last plan that changed it.
pub(crate) fn last_plan_object(plan: u32) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": { "name": LAST_PLAN, "namespace": LAST_PLAN_NAMESPACE },
        "data": { "number": plan.to_string() },
    })
}

/// Makes [`Workload`]s.
pub trait Workloads: Send + Sync {
    /// From a kubeconfig with a short certificate.
    fn connect(&self, kubeconfig: Secret<String>) -> BoxFuture<'_, Result<Box<dyn Workload>, Failure>>;
}

/// Real clusters.
#[derive(Debug, Clone, Copy, Default)]
pub struct KubeWorkloads;

impl Workloads for KubeWorkloads {
    fn connect(&self, kubeconfig: Secret<String>) -> BoxFuture<'_, Result<Box<dyn Workload>, Failure>> {
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
            let nodes = KubeNodesConnector.connect(kubeconfig).await;
            let nodes = nodes.map_err(|error| causes::line(&error))?;
            let drains = Mutex::default();
            Ok(Box::new(KubeWorkload {
                client,
                nodes,
                drains,
            }) as Box<dyn Workload>)
        }
        .boxed()
    }
}

struct KubeWorkload {
    client: Client,
    nodes: Box<dyn Nodes>,
    /// Drains under way by node: what was refused is not asked for again at once.
    drains: Mutex<HashMap<String, Drainer>>,
}

/// Pods without a controller are evicted too: nobody is there to decide about them, and the machine goes. The step that
/// drains has a time limit of its own.
const DRAIN: DrainPolicy = DrainPolicy {
    force: true,
    timeout: SignedDuration::MAX,
};

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

impl Workload for KubeWorkload {
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
            let notes: Api<ConfigMap> = Api::namespaced(self.client.clone(), LAST_PLAN_NAMESPACE);
            let note = limited(notes.get_opt(LAST_PLAN)).await?;
            let number = note.and_then(|note| note.data?.get("number")?.parse().ok());
            let joins_with = proxy
                .as_ref()
                .and_then(|proxy| proxy.annotations().get(keys::JOINS_WITH));
            Ok(SystemView {
                joins_with: joins_with.cloned(),
                addons: addons(cni.as_ref(), proxy.as_ref(), dns.as_ref()),
                cni_applied: cni.is_some(),
                missing: missing(proxy.as_ref(), dns.as_ref()),
                last_plan: number,
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

    fn drain(&self, node: String) -> BoxFuture<'_, Result<Drained, Failure>> {
        async move {
            let mut drains = self.drains.lock().await;
            let now = Timestamp::now();
            let drainer = drains
                .entry(node.clone())
                .or_insert_with(|| Drainer::new(node.clone(), DRAIN, now));
            let drain = drainer.advance(&*self.nodes, now).await;
            Ok(match drain.map_err(|error| causes::line(&error))? {
                Drain::Done => {
                    drains.remove(&node);
                    Drained::Yes
                }
                Drain::Wait { reason, .. } | Drain::Blocked { reason } | Drain::Overdue { reason } => {
                    Drained::NotYet(reason)
                }
                Drain::Cordon | Drain::Evict(_) => Drained::NotYet("pods are being evicted".to_owned()),
            })
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
        since: ready.and_then(|condition| condition.last_transition_time.as_ref().map(|time| time.0)),
        provider_id: node.spec.as_ref().and_then(|spec| spec.provider_id.clone()),
        labels: node.labels().clone(),
        created: node.metadata.creation_timestamp.as_ref().map(|time| time.0),
    }
}

fn addons(cni: Option<&DaemonSet>, proxy: Option<&DaemonSet>, dns: Option<&Deployment>) -> AddonsView {
    let image = |pods: &PodTemplateSpec| {
        let first = pods.spec.as_ref()?.containers.first()?;
        first.image.clone()
    };
    let of = |set: Option<&DaemonSet>| image(&set?.spec.as_ref()?.template);
    let held = |set: Option<&DaemonSet>| {
        let strategy = set?.spec.as_ref()?.update_strategy.as_ref()?;
        strategy.type_.clone()
    };
    let is_held = |set| held(set).as_deref() == Some("OnDelete");
    AddonsView {
        dns: dns.and_then(|dns| image(&dns.spec.as_ref()?.template)),
        proxy: of(proxy),
        version: proxy
            .and_then(|proxy| proxy.annotations().get(keys::ADDONS_VERSION))
            .cloned(),
        held: is_held(proxy) || is_held(cni),
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
