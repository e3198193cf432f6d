//! Group `cluster.x-k8s.io/v1beta2`: the nodes of a cluster on any provider, in Cluster API's shape.

mod cluster;
mod machine;
mod machine_deployment;
mod machine_pool;
mod machine_set;
mod machine_template;

pub use cluster::{
    ApiEndpoint, CidrRanges, Cluster, ClusterInitialization, ClusterNetwork, ClusterPhase, ClusterSpec,
    ClusterStatus, ContractRef,
};
pub use machine::{
    Bootstrap, Machine, MachineAddress, MachineInitialization, MachinePhase, MachineSpec, MachineStatus,
    NodeRef,
};
pub use machine_deployment::{
    MachineDeployment, MachineDeploymentPhase, MachineDeploymentSpec, MachineDeploymentStatus,
};
pub use machine_pool::{MachinePool, MachinePoolSpec, MachinePoolStatus};
pub use machine_set::{MachineSet, MachineSetSpec, MachineSetStatus};
pub use machine_template::{MachineTemplate, TemplateMetadata, TemplateSpec};
