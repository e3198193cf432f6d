//! Group `anywhere.eks.amazonaws.com/v1alpha1`: the cluster YAML that EKS Anywhere users have.

mod cluster;
mod cluster_status;
mod docker;
mod etcd_drill;
mod oidc;
mod proxy;
mod registry_mirror;
mod tinkerbell;
mod tinkerbell_template;
mod vsphere;

pub use cluster::{
    CidrBlocks, Cluster, ClusterNetwork, ClusterSpec, CniConfig, ControlPlaneConfiguration, Dns, Endpoint,
    ManagementCluster, NodeMask, ObjectRef, ResolvConf, Taint, WorkerNodeGroup,
};
pub use cluster_status::{ClusterCertificateInfo, ClusterStatus, FailureReason};
pub use docker::{DockerDatacenterConfig, DockerDatacenterConfigSpec, DockerDatacenterConfigStatus};
pub use etcd_drill::{
    EtcdDrill, EtcdDrillFindings, EtcdDrillOutcome, EtcdDrillStage, EtcdDrillUnderWay, EtcdDrills,
};
pub use oidc::{OidcConfig, OidcConfigSpec, RequiredClaim};
pub use proxy::ProxyConfiguration;
pub use registry_mirror::{OciNamespace, RegistryMirrorConfiguration};
pub use tinkerbell::{
    CertBundle, HardwareAffinity, HardwareAffinityTerm, HostOsConfiguration, NtpConfiguration, OsFamily,
    PreferredHardware, TinkerbellDatacenterConfig, TinkerbellDatacenterConfigSpec,
    TinkerbellDatacenterConfigStatus, TinkerbellMachineConfig, TinkerbellMachineConfigSpec,
    TinkerbellMachineConfigStatus, User,
};
pub use tinkerbell_template::{TinkerbellTemplateConfig, TinkerbellTemplateConfigSpec};
pub use vsphere::{
    CloneMode, VSphereDatacenterConfig, VSphereDatacenterConfigSpec, VSphereDatacenterConfigStatus,
    VSphereFailureDomain, VSphereMachineConfig, VSphereMachineConfigSpec, VSphereMachineConfigStatus,
};
