//! The API of a real cluster.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use compare_and_set::{Change, Outcome, Writer};
use futures::FutureExt;
use futures::future::BoxFuture;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::apps::v1::{DaemonSet, DaemonSetStatus, Deployment};
use k8s_openapi::api::core::v1::{
    ConfigMap, Node, NodeSelectorRequirement, Pod, PodTemplateSpec, Secret as KubeSecret,
};
use kube::api::{Api, DeleteParams, DynamicObject, ListParams, Patch, PatchParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::{ApiResource, GroupVersionKind};
use kube::{Client, Config, ResourceExt};
use resources::{Secret, keys};
use serde_json::{Value, json};
use tokio::sync::Mutex;

use super::gates_view::GatesView;
use super::kube_gates;
use super::node_view::NodeView;
use super::node_watch::NodeWatch;
use super::renewal_pods;
use super::unready_pods::why_not_ready;
use super::workload::{
    AddonsView, Drained, Failure, LAST_PLAN, LAST_PLAN_NAMESPACE, RenewalPod, SystemView, Workload, Workloads,
};
use crate::day_two::{
    Drain, DrainPolicy, Drainer, KubeNodesConnector, LabelsAndTaints, NodeChange, Nodes, NodesConnector as _,
};
use crate::gates::NamespacedName;

const WRITER: Writer = Writer::new(keys::MANAGER_CLUSTERS);
/// Longest wait for one answer of a cluster.
const CALL: Duration = Duration::from_secs(20);
/// A watch on which nothing was heard for so long has ended: an API server sends a bookmark every minute.
const QUIET: Duration = Duration::from_secs(90);
/// DaemonSets of kube-proxy and their pods: kubeadm's, and those for nodes of one version.
/// The DaemonSet of Cilium, which is the last of its objects.
const CILIUM: &str = "cilium";
const PROXIES: &str = "k8s-app in (kube-proxy, kube-proxy-older)";

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
            let client = Client::try_from(config.clone()).map_err(|error| causes::line(&error))?;
            config.read_timeout = Some(QUIET);
            let watching = Client::try_from(config).map_err(|error| causes::line(&error))?;
            let watch = NodeWatch::new(client.clone(), watching);
            let nodes = KubeNodesConnector.connect(kubeconfig).await;
            let nodes = nodes.map_err(|error| causes::line(&error))?;
            let drains = Mutex::default();
            Ok(Box::new(KubeWorkload {
                client,
                watch,
                nodes,
                drains,
            }) as Box<dyn Workload>)
        }
        .boxed()
    }
}

struct KubeWorkload {
    client: Client,
    watch: NodeWatch,
    nodes: Box<dyn Nodes>,
    /// Drains under way by node: what was refused is not asked for again at once.
    drains: Mutex<HashMap<String, Drainer>>,
}

impl KubeWorkload {
    fn system_pods(&self) -> Api<Pod> {
        Api::namespaced(self.client.clone(), "kube-system")
    }

    /// What the cluster's nodes can't do without and is not ready, and why its pods are not.
    async fn missing(
        &self,
        proxies: &[DaemonSet],
        dns: Option<&Deployment>,
    ) -> Result<Option<String>, Failure> {
        let Some((what, label)) = missing(proxies, dns) else {
            return Ok(None);
        };
        let params = ListParams::default().labels(label);
        let pods = limited(self.system_pods().list(&params)).await?;
        Ok(Some(match why_not_ready(&pods.items) {
            Some(why) => format!("{what} ({why})"),
            None => what,
        }))
    }
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
        async move { limited(self.watch.nodes()).await }.boxed()
    }

    fn node(&self, name: String) -> BoxFuture<'_, Result<Option<NodeView>, Failure>> {
        async move {
            let api: Api<Node> = Api::all(self.client.clone());
            let node = limited(api.get_opt(&name)).await?;
            Ok(node.as_ref().map(NodeView::of))
        }
        .boxed()
    }

    fn system(&self) -> BoxFuture<'_, Result<SystemView, Failure>> {
        async move {
            let flannel: Api<DaemonSet> = Api::namespaced(self.client.clone(), "kube-flannel");
            let daemons: Api<DaemonSet> = Api::namespaced(self.client.clone(), "kube-system");
            let deployments: Api<Deployment> = Api::namespaced(self.client.clone(), "kube-system");
            let cnis = limited(flannel.list(&ListParams::default())).await?.items;
            let proxies = ListParams::default().labels(PROXIES);
            let proxies = limited(daemons.list(&proxies)).await?.items;
            let cilium = limited(daemons.get_metadata_opt(CILIUM)).await?;
            let (cni, proxy) = (named(&cnis, "kube-flannel-ds"), named(&proxies, "kube-proxy"));
            let dns = limited(deployments.get_opt("coredns")).await?;
            let notes: Api<ConfigMap> = Api::namespaced(self.client.clone(), LAST_PLAN_NAMESPACE);
            let note = limited(notes.get_opt(LAST_PLAN)).await?;
            let number = note.and_then(|note| note.data?.get("number")?.parse().ok());
            let joins_with = proxy.and_then(|proxy| proxy.annotations().get(keys::JOINS_WITH));
            Ok(SystemView {
                joins_with: joins_with.cloned(),
                addons: AddonsView {
                    of_versions: of_versions(&proxies),
                    cni_of_versions: of_versions(&cnis),
                    ..addons(cni, proxy, dns.as_ref())
                },
                cni_applied: cni.is_some() || cilium.is_some(),
                missing: self.missing(&proxies, dns.as_ref()).await?,
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

    fn delete_daemon_set(&self, set: NamespacedName) -> BoxFuture<'_, Result<(), Failure>> {
        async move {
            let api: Api<DaemonSet> = Api::namespaced(self.client.clone(), &set.namespace);
            gone(api.delete(&set.name, &DeleteParams::default())).await
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

    fn set_labels_and_taints(
        &self,
        node: String,
        wanted: LabelsAndTaints,
    ) -> BoxFuture<'_, Result<NodeView, Failure>> {
        async move {
            let api: Api<Node> = Api::all(self.client.clone());
            let known = limited(api.get(&node)).await?;
            let seen = NodeView::of(&known);
            let change = wanted.change(&seen.labels, &seen.taints);
            let changes = changes(&change, seen);
            let written = WRITER.change(&api, &known, changes);
            let written = tokio::time::timeout(CALL, written).await;
            let outcome = written.map_err(|_| format!("no answer within {} s", CALL.as_secs()))?;
            let after = match outcome.map_err(|error| causes::line(&error))? {
                Outcome::Written(after) => *after,
                Outcome::Unchanged => known,
                Outcome::Lost => return Err("somebody else has changed the node in the meantime".to_owned()),
            };
            self.watch.note(&after);
            Ok(NodeView::of(&after))
        }
        .boxed()
    }

    fn set_provider_id(&self, node: String, provider_id: String) -> BoxFuture<'_, Result<(), Failure>> {
        async move {
            let api: Api<Node> = Api::all(self.client.clone());
            let patch = Patch::Merge(json!({ "spec": { "providerID": provider_id } }));
            let after = limited(api.patch(&node, &PatchParams::default(), &patch)).await?;
            self.watch.note(&after);
            Ok(())
        }
        .boxed()
    }

    fn delete_node(&self, name: String) -> BoxFuture<'_, Result<(), Failure>> {
        async move {
            let api: Api<Node> = Api::all(self.client.clone());
            gone(api.delete(&name, &DeleteParams::default())).await?;
            self.watch.note_gone(&name);
            Ok(())
        }
        .boxed()
    }

    fn renewals(&self) -> BoxFuture<'_, Result<Vec<RenewalPod>, Failure>> {
        async move {
            let params = ListParams::default().labels(keys::RENEWS_CERTIFICATES);
            let pods = limited(self.system_pods().list(&params)).await?;
            Ok(pods.items.iter().map(renewal_pods::view).collect())
        }
        .boxed()
    }

    fn api_server_image(&self, node: String) -> BoxFuture<'_, Result<Option<String>, Failure>> {
        async move {
            let name = format!("kube-apiserver-{node}");
            let pod = limited(self.system_pods().get_opt(&name)).await?;
            Ok(pod.and_then(|pod| pod.spec?.containers.into_iter().next()?.image))
        }
        .boxed()
    }

    fn delete_pod(&self, name: String) -> BoxFuture<'_, Result<(), Failure>> {
        async move { gone(self.system_pods().delete(&name, &DeleteParams::default())).await }.boxed()
    }

    fn gates(
        &self,
        templates: Vec<NamespacedName>,
        jobs: Vec<NamespacedName>,
    ) -> BoxFuture<'_, Result<GatesView, Failure>> {
        async move {
            Ok(GatesView {
                templates: limited(kube_gates::templates(&self.client, templates)).await?,
                jobs: limited(kube_gates::jobs(&self.client, jobs)).await?,
            })
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

/// Taints are one value for server-side apply, and others have theirs among them; so the whole is written as it was read.
fn changes(change: &NodeChange, node: NodeView) -> Vec<Change> {
    let mut changes = Vec::new();
    if !change.labels.is_empty() {
        let labels = change.labels(node.labels);
        changes.push(Change::set(&["metadata", "labels"], json!(labels)));
    }
    if !(change.taints.is_empty() && change.gone.is_empty()) {
        let taints = change.taints(node.taints);
        changes.push(Change::set(&["spec", "taints"], json!(taints)));
    }
    changes
}

fn named<'a>(sets: &'a [DaemonSet], name: &str) -> Option<&'a DaemonSet> {
    sets.iter().find(|set| set.name_any() == name)
}

/// Versions whose nodes have one of these sets for themselves.
fn of_versions(sets: &[DaemonSet]) -> BTreeSet<String> {
    let versions = sets
        .iter()
        .filter_map(|set| set.labels().get(keys::KUBERNETES_VERSION));
    versions.cloned().collect()
}

/// Versions whose nodes a set leaves out.
fn left_out(set: &DaemonSet) -> Option<BTreeSet<String>> {
    let affinity = set.spec.as_ref()?.template.spec.as_ref()?.affinity.as_ref()?;
    let nodes = affinity.node_affinity.as_ref()?;
    let required = nodes
        .required_during_scheduling_ignored_during_execution
        .as_ref()?;
    let terms = required.node_selector_terms.iter();
    let rules = terms.flat_map(|term| term.match_expressions.iter().flatten());
    let is_ours =
        |rule: &&NodeSelectorRequirement| rule.key == keys::KUBERNETES_VERSION && rule.operator == "NotIn";
    Some(
        rules
            .filter(is_ours)
            .flat_map(|rule| rule.values.iter().flatten())
            .cloned()
            .collect(),
    )
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
        left_out: proxy.and_then(left_out).unwrap_or_default(),
        ..AddonsView::default()
    }
}

/// What is missing, and the label of the pods that it is made of.
type Missing = (String, &'static str);

fn missing(proxies: &[DaemonSet], dns: Option<&Deployment>) -> Option<Missing> {
    const DNS: &str = "k8s-app=kube-dns";
    let statuses: Option<Vec<_>> = proxies.iter().map(|proxy| proxy.status.as_ref()).collect();
    let Some(statuses) = statuses.filter(|_| named(proxies, "kube-proxy").is_some()) else {
        return Some(("kube-proxy is not there yet".to_owned(), PROXIES));
    };
    let sum = |of: fn(&DaemonSetStatus) -> i32| statuses.iter().map(|status| of(status)).sum::<i32>();
    let (ready, wanted) = (
        sum(|status| status.number_ready),
        sum(|status| status.desired_number_scheduled),
    );
    if ready < wanted || wanted == 0 {
        return Some((
            format!("kube-proxy is ready on {ready} of {wanted} nodes"),
            PROXIES,
        ));
    }
    let available = dns
        .and_then(|dns| dns.status.as_ref()?.available_replicas)
        .unwrap_or(0);
    (available < 1).then(|| ("CoreDNS has no available replica yet".to_owned(), DNS))
}
