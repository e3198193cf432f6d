//! Group `cluster.x-k8s.io`: the nodes of a cluster on any provider, in Cluster API's shape of v1beta2; [`v1beta1`] is
//! served beside it.

mod cluster;
mod machine;
mod machine_deployment;
mod machine_pool;
mod machine_set;
mod machine_template;
pub mod v1beta1;

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
