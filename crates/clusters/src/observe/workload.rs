//! The API of a cluster, on any day of its life: what is read of it and the few things that are written. A trait, because
//! tests play a cluster.

use std::collections::BTreeSet;

use futures::future::BoxFuture;
use resources::Secret;
use serde_json::{Value, json};

use super::gates_view::GatesView;
use super::node_view::NodeView;
use crate::day_two::LabelsAndTaints;
use crate::gates::NamespacedName;

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
    /// Version that they were brought to last; absent before the first upgrade, [`resources::keys::ADDONS_PENDING`] during one.
    pub version: Option<String>,
    /// Pods of kube-proxy and flannel keep their images until they are deleted with their nodes (`OnDelete`).
    pub held: bool,
    /// Versions whose nodes have a DaemonSet of kube-proxy of their own, as [`resources::keys::KUBERNETES_VERSION`] says them.
    pub of_versions: BTreeSet<String>,
    /// The same of flannel.
    pub cni_of_versions: BTreeSet<String>,
    /// Versions whose nodes the DaemonSet of kube-proxy for all nodes leaves out.
    pub left_out: BTreeSet<String>,
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

/// A Pod that renews the certificates of a member of the control plane.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RenewalPod {
    /// Name, in kube-system.
    pub name: String,
    /// Machine whose certificates it renews.
    pub machine: String,
    /// How far it is.
    pub state: RenewalState,
    /// It is being deleted, and its node has not confirmed yet that it is gone.
    pub deleting: bool,
}

/// How far a Pod is that renews certificates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RenewalState {
    /// Its node has not begun it; why.
    Waits(String),
    /// It runs.
    Runs,
    /// It has ended well; what it says.
    Done(String),
    /// It has failed; why, with the last lines of its log.
    Failed(String),
}

impl RenewalPod {
    /// Whether it may do something, now or later.
    pub(crate) const fn is_open(&self) -> bool {
        matches!(self.state, RenewalState::Waits(_) | RenewalState::Runs)
    }
}

/// Where a cluster keeps the number of the last plan that changed it.
pub(super) const LAST_PLAN_NAMESPACE: &str = "kube-system";
pub(super) const LAST_PLAN: &str = "gantry-last-plan";

/// The API of one cluster.
pub trait Workload: Send + Sync {
    /// Its nodes, as they were a moment ago: while a watch goes on nothing is asked for, so an answer does not show that the
    /// API answers. Other calls do.
    fn nodes(&self) -> BoxFuture<'_, Result<Vec<NodeView>, Failure>>;
    /// One node as it is now; none if it is not there.
    fn node(&self, name: String) -> BoxFuture<'_, Result<Option<NodeView>, Failure>>;
    /// CNI, DNS, kube-proxy, and the last plan that changed the cluster.
    fn system(&self) -> BoxFuture<'_, Result<SystemView, Failure>>;
    /// Server-side apply of objects, in order.
    fn apply(&self, objects: Vec<Value>) -> BoxFuture<'_, Result<(), Failure>>;
    /// Deletes a DaemonSet by namespace and name.
    fn delete_daemon_set(&self, set: NamespacedName) -> BoxFuture<'_, Result<(), Failure>>;
    /// Deletes a Secret of kube-system.
    fn delete_token(&self, name: String) -> BoxFuture<'_, Result<(), Failure>>;
    /// Gives a node, which must be there, the labels and taints that it lacks, and takes those away that it is not to have any
    /// more. Returns the node as it is then.
    fn set_labels_and_taints(
        &self,
        node: String,
        wanted: LabelsAndTaints,
    ) -> BoxFuture<'_, Result<NodeView, Failure>>;
    /// Notes in a node, which must be there and have none, the identity of its machine.
    fn set_provider_id(&self, node: String, provider_id: String) -> BoxFuture<'_, Result<(), Failure>>;
    /// Deletes a node.
    fn delete_node(&self, name: String) -> BoxFuture<'_, Result<(), Failure>>;
    /// The Pods that renew certificates.
    fn renewals(&self) -> BoxFuture<'_, Result<Vec<RenewalPod>, Failure>>;
    /// The image that the API server of a node runs from; none if it runs none.
    fn api_server_image(&self, node: String) -> BoxFuture<'_, Result<Option<String>, Failure>>;
    /// Deletes a Pod of kube-system.
    fn delete_pod(&self, name: String) -> BoxFuture<'_, Result<(), Failure>>;
    /// Which of these templates of upgrade gates are there, CronJobs, and how far these Jobs are.
    fn gates(
        &self,
        templates: Vec<NamespacedName>,
        jobs: Vec<NamespacedName>,
    ) -> BoxFuture<'_, Result<GatesView, Failure>>;
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
