//! The coordinator of clusters.
//!
//! Owns EKS Anywhere Clusters' status, Plans, the Cluster API objects of a cluster's nodes, its PKI, bootstrap data and
//! kubeconfig. A Cluster goes one way through the crate:
//!
//! - `admit`: are its documents good, and what is it made from?
//! - `observe`: its machines, nodes, etcd and API as they are now;
//! - `plan` (pure): what is missing between the two, as a graph of steps;
//! - `execute`: the steps that are ready, each a pure decision over the snapshot and an effect;
//! - `report`: what is said of all that in the statuses.
//!
//! Refuses to touch servers: a machine is a ProviderMachine, and its driver does the rest.
//!
//! Invariant: what decides is in specs (the founder, the Release, the ids of machines, the disruption token), every effect
//! may be repeated, and what waits says for what and until when; so a coordinator that starts anew goes on from the objects
//! alone.
#![forbid(unsafe_code)]

mod access;
mod admit;
mod alarms;
mod coordinator;
mod day_two;
mod error;
mod execute;
mod gates;
mod metrics;
mod observe;
mod options;
mod pin;
mod plan;
mod queue;
mod registry_credentials;
mod report;
mod secrets;

pub use coordinator::Coordinator;
pub use day_two::{
    BudgetView, Controller, Drain, DrainPolicy, Drainer, Eviction, KubeNodesConnector, LabelsAndTaints,
    Losses, NodeChange, NodeError, NodeOccupancy, Nodes, NodesConnector, PodId, PodView, Readiness, losses,
};
pub use error::Error;
pub use execute::{PROFILE_ANNOTATION, Progress, dropped, inherited_approval, needs_another, superseded};
pub use gates::{GateTemplate, NamespacedName};
pub use metrics::describe_metrics;
pub use observe::{
    AddonsView, Certificates, Drained, Failure, GateJob, GateJobState, GatesView, KubeWorkloads, NodeView,
    RenewalPod, RenewalState, SystemView, TlsCertificates, Workload, Workloads, is_rollout,
};
pub use options::{
    AddressProbe, Charts, DrillFailure, Options, Sink, SnapshotCopies, SnapshotDrill, SnapshotDrills,
};
pub use plan::{
    ApiState, Block, CertificateState, EtcdMember, EtcdState, Founding, FreeHosts, GateState, Gates,
    HealthLimits, Identity, Member, MemberCertificates, NodeState, Policy, Pool, RolloutLimits, SavedData,
    Seen, Stage, Verdict, Wanted, can_remove, delete, image_name, plan, quorum,
};
pub use queue::run_coordinator;
