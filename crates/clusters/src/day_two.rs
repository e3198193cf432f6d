//! Day two of the nodes of a cluster: unschedulable or not, drained by eviction, and whether one API server serves.
//!
//! `engine/` is pure: the labels and taints of a node and what they are to be give what to write; the pods of a node, the budgets of their namespaces and the time give what to evict next, what
//! blocks, or that the node is drained. [`Nodes`] is the API of the cluster; [`Drainer`] does one after the other until
//! there is something to wait for. Refuses: to delete a pod past its budget, and to decide when a drain that takes too
//! long is given up.

mod drainer;
mod engine;
mod error;
mod kube_nodes;
mod nodes;

pub use drainer::Drainer;
pub use engine::{
    BudgetView, Controller, Drain, DrainPolicy, LabelsAndTaints, Losses, NodeChange, PodId, PodView,
    Readiness, losses,
};
pub use error::NodeError;
pub use kube_nodes::KubeNodesConnector;
pub use nodes::{Eviction, NodeOccupancy, Nodes, NodesConnector};
