//! Observed state of an EKS Anywhere Cluster.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::etcd_drill::EtcdDrills;
use crate::Time;

/// Observed state.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClusterStatus {
    /// One line for people when something is wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure_message: Option<String>,
    /// The class of what is wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure_reason: Option<FailureReason>,
    /// ControlPlaneInitialized, ControlPlaneReady, DefaultCNIConfigured, WorkersReady, CertificatesValid, Progressing, Ready,
    /// EtcdSnapshots and EtcdRestorable.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    /// How long the certificates of the members of the control plane count.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cluster_certificate_info: Vec<ClusterCertificateInfo>,
    /// Generation that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// One word: Planning, Creating, Running, Deleting, Failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<String>,
    /// Since when the phase and reason are what they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Time>,
    /// What it waits for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// When waiting ends in a failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Time>,
    /// Name of the Plan being executed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<String>,
    /// Rehearsals of a restore of its etcd.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etcd_drills: Option<EtcdDrills>,
}

/// How long the certificates of a member of the control plane count: that of its API server and that of its etcd.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClusterCertificateInfo {
    /// Machine (`cluster.x-k8s.io`).
    pub machine: String,
    /// Whole days until the first of them ends; negative when it has ended.
    pub expires_in_days: i64,
}

/// Class of a failure, spelled as EKS Anywhere spells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum FailureReason {
    /// A referenced object is missing.
    MissingDependentObjects,
    /// The management cluster reference is wrong.
    ManagementClusterRefInvalid,
    /// The Cluster is wrong.
    ClusterInvalid,
    /// The datacenter configuration is wrong.
    DatacenterConfigInvalid,
    /// A machine configuration is wrong.
    MachineConfigInvalid,
    /// The control-plane address is in use.
    UnavailableControlPlaneIP,
    /// There is too little hardware, or it is ambiguous.
    HardwareInvalid,
    /// A machine failed for good.
    MachineInvalid,
    /// No Release has this Kubernetes version.
    BundleNotFoundForCluster,
}
