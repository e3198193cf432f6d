//! The nodes of one cluster as a trait, because tests play a cluster.

use std::net::SocketAddr;

use futures::future::BoxFuture;
use jiff::SignedDuration;
use resources::Secret;

use super::engine::{BudgetView, PodId, PodView, Readiness};
use super::error::NodeError;

/// A node with all that runs on it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NodeOccupancy {
    /// It is marked unschedulable.
    pub cordoned: bool,
    /// Condition Ready is True: its kubelet is alive and can end pods.
    pub ready: bool,
    /// Pods that are bound to it.
    pub pods: Vec<PodView>,
    /// PodDisruptionBudgets of the cluster.
    pub budgets: Vec<BudgetView>,
}

/// What became of an eviction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Eviction {
    /// The pod ends, within its grace period.
    Accepted,
    /// There is no such pod any more; one of the same name is another pod.
    Gone,
    /// Not now.
    Refused {
        /// Why, as the API says it.
        reason: String,
        /// When the API wants to be asked again.
        retry_after: Option<SignedDuration>,
    },
}

/// The nodes of one cluster. Every call has a time limit and may be repeated.
pub trait Nodes: Send + Sync {
    /// What runs on a node.
    fn occupancy(&self, node: String) -> BoxFuture<'_, Result<NodeOccupancy, NodeError>>;
    /// Marks a node unschedulable.
    fn cordon(&self, node: String) -> BoxFuture<'_, Result<(), NodeError>>;
    /// Takes the mark of [`Self::cordon`] back. A node that somebody else had cordoned before stays unschedulable.
    fn uncordon(&self, node: String) -> BoxFuture<'_, Result<(), NodeError>>;
    /// Evicts one pod through the Eviction API, which keeps to PodDisruptionBudgets.
    fn evict(&self, pod: PodId) -> BoxFuture<'_, Result<Eviction, NodeError>>;
    /// Asks one API server at its own address, such as `192.0.2.11:6443`, whether it is ready to serve.
    fn readiness(&self, server: SocketAddr) -> BoxFuture<'_, Result<Readiness, NodeError>>;
}

/// Makes [`Nodes`].
pub trait NodesConnector: Send + Sync {
    /// From a kubeconfig with a short certificate. Nothing is sent.
    fn connect(&self, kubeconfig: Secret<String>) -> BoxFuture<'_, Result<Box<dyn Nodes>, NodeError>>;
}
