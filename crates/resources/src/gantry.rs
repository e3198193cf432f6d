//! Group `gantry.dev/v1alpha1`: what none of the ecosystem's kinds has.

mod boot_session;
mod control_plane;
mod data_disk;
mod disk;
mod first_boot;
mod image;
mod plan;
mod plugin_machine;
mod provider_cluster;
mod provider_driver;
mod provider_machine;
mod release;
mod restored;
mod server;
mod server_failure;
mod snapshot_copy;
mod virtual_documents;
mod wipe;

pub use boot_session::{BootSession, Contender, LastPacket, SessionClaim, SessionPhase};
pub use control_plane::{
    Adoption, ClusterDocuments, ControlPlane, ControlPlaneSpec, ControlPlaneStatus, DisruptionToken,
    EtcdContents, EtcdDrillRequest, EtcdSnapshot, Founder, NodeKeys, OlderRelease, SavedEtcd,
};
pub use data_disk::{DataDisk, DataMount, KeptDisk, wwn_digits};
pub use disk::{InventoryDisk, PinnedDisk, RootDeviceHints};
pub use first_boot::{FirstBoot, FirstBootFailure, FirstBootStage};
pub use image::{Image, ImageSpec, ImageState, ImageStatus};
pub use plan::{
    Disruption, FailurePolicy, Plan, PlanApproval, PlanApprovalSpec, PlanClass, PlanPhase, PlanSpec,
    PlanStatus, PlanStep, PlanStepKind, PoolRevision, StepState, StepStatus,
};
pub use plugin_machine::{PluginCall, PluginFault, PluginMachine, PluginMachineStatus, UserdataFormat};
pub use provider_cluster::{
    HostCapacity, MetalPool, PluginPool, ProviderCluster, ProviderClusterInitialization, ProviderClusterSpec,
    ProviderClusterStatus, ProviderPool, ProviderPoolStatus,
};
pub use provider_driver::{
    Orphan, OrphanList, ProviderDriver, ProviderDriverSpec, ProviderDriverStatus, ProviderScope,
    ProviderScopeStatus, ScopePause, SecretPlace,
};
pub use provider_machine::{
    AdoptedNode, BootstrapMode, BootstrapSource, CertificateRepair, CertificateRepairResult, LabelExpression,
    LabelOperator, MachineRole, MetalMachine, ProviderMachine, ProviderMachinePhase, ProviderMachineSpec,
    ProviderMachineStatus, SelectorTerm,
};
pub use release::{ComponentImage, Release, ReleaseChart, ReleaseNodeImage, ReleaseSpec};
pub use restored::Restored;
pub use server::{
    Attempt, Claim, Firmware, HandoverPolicy, Inventory, InventoryNic, LocalBoot, Purpose, ReleaseStatement,
    Server, ServerSpec, ServerState, ServerStatus, StatedPower,
};
pub use server_failure::{InstallationFailure, Quarantine};
pub use snapshot_copy::SnapshotCopy;
pub use virtual_documents::VirtualDocuments;
pub use wipe::{ParseWipePolicyError, Unwiped, WipePolicy};
