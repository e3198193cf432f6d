//! Group `cluster.x-k8s.io/v1beta2`: the nodes of a cluster on any provider, in Cluster API's shape.

mod cluster;
mod machine;

pub use cluster::{
    ApiEndpoint, CidrRanges, Cluster, ClusterInitialization, ClusterNetwork, ClusterPhase, ClusterSpec,
    ClusterStatus, ContractRef,
};
pub use machine::{
    Bootstrap, Machine, MachineAddress, MachineInitialization, MachinePhase, MachineSpec, MachineStatus,
    NodeRef,
};
