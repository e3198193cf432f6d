//! The coordinator of clusters.
//!
//! Owns EKS Anywhere Clusters' status, Plans, the Cluster API objects of a cluster's nodes, its PKI, bootstrap data and
//! kubeconfig. `plan/` is pure: the wanted cluster and the machines there are give the ordered steps. A Plan is stored and
//! approved before anything is done; `execute/` carries it out, one step after the other: each step is a pure decision
//! over a snapshot (wait, do, done, failed), and the shell does what it says and looks again. Refuses to touch servers: a
//! machine is a ProviderMachine, and its driver does the rest.
//!
//! Invariant: names follow from the cluster's name, every effect may be repeated, and what waits says for what and until
//! when; so a coordinator that starts anew goes on from the objects alone.
#![forbid(unsafe_code)]

mod day_two;
mod error;
mod execute;
mod plan;

pub use day_two::{
    BudgetView, Controller, Drain, DrainPolicy, Drainer, Eviction, KubeNodesConnector, Losses, NodeError,
    NodeOccupancy, Nodes, NodesConnector, PodId, PodView, Readiness, losses,
};
pub use error::Error;
pub use execute::{
    AddressProbe, Coordinator, Failure, KubeNewClusters, NewCluster, NewClusters, NodeView, Options,
    PROFILE_ANNOTATION, SystemView, run_coordinator,
};
pub use plan::{Desired, DesiredMachine, Founding, Members, create, delete, image_name, next_plan, scale};
