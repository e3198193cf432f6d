//! MachineDeployment of `cluster.x-k8s.io`: the machines of a worker group, whatever is installed on them.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::machine_set::MachineSetStatus;
use super::machine_template::MachineTemplate;

/// The machines of a worker group. It is written by the coordinator; with an `autoscalingConfiguration` of the group in its
/// Cluster of `anywhere.eks.amazonaws.com`, `spec.replicas` is whoever's scales it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema, CustomResource)]
#[kube(
    group = "cluster.x-k8s.io",
    version = "v1beta2",
    kind = "MachineDeployment",
    plural = "machinedeployments",
    shortname = "md",
    category = "cluster-api",
    namespaced,
    status = "MachineDeploymentStatus",
    derive = "PartialEq",
    scale(
        spec_replicas_path = ".spec.replicas",
        status_replicas_path = ".status.replicas",
        label_selector_path = ".status.selector"
    ),
    printcolumn = r#"{"name":"Cluster","type":"string","jsonPath":".spec.clusterName"}"#,
    printcolumn = r#"{"name":"Available","type":"string","jsonPath":".status.conditions[?(@.type==\"Available\")].status"}"#,
    printcolumn = r#"{"name":"Desired","type":"integer","jsonPath":".spec.replicas"}"#,
    printcolumn = r#"{"name":"Current","type":"integer","jsonPath":".status.replicas"}"#,
    printcolumn = r#"{"name":"Ready","type":"integer","jsonPath":".status.readyReplicas"}"#,
    printcolumn = r#"{"name":"Up-to-date","type":"integer","jsonPath":".status.upToDateReplicas"}"#,
    printcolumn = r#"{"name":"Phase","type":"string","jsonPath":".status.phase"}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#,
    printcolumn = r#"{"name":"Version","type":"string","jsonPath":".spec.template.spec.version"}"#
)]
#[serde(rename_all = "camelCase")]
pub struct MachineDeploymentSpec {
    /// Cluster that the machines belong to.
    pub cluster_name: String,
    /// How many machines there are to be. Only of a group with `autoscalingConfiguration` it can be written, within the
    /// bounds that this gives; of others it follows from the group's `count`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replicas: Option<i32>,
    /// Labels by which its Machines are found.
    pub selector: LabelSelector,
    /// What new machines are made from, as far as it is of interest to others.
    pub template: MachineTemplate,
}

/// Phase of the machines of a worker group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum MachineDeploymentPhase {
    /// Machines are missing, or on their way.
    ScalingUp,
    /// There are more machines than are wanted, or machines that are out of date.
    ScalingDown,
    /// The machines are as they are wanted.
    Running,
    /// A machine has failed.
    Failed,
}

/// Observed state of the machines of a worker group.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MachineDeploymentStatus {
    /// How far the machines are, as a MachineSet says it.
    #[serde(flatten)]
    pub machines: MachineSetStatus,
    /// Phase.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<MachineDeploymentPhase>,
}
