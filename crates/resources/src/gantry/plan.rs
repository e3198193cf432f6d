//! Plan: the ordered steps from what is observed to what is wanted, stored before anything is done.

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Digest, Time};

/// What will be done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, CustomResource)]
#[kube(
    group = "gantry.dev",
    version = "v1alpha1",
    kind = "Plan",
    plural = "plans",
    category = "gantry",
    namespaced,
    status = "PlanStatus",
    derive = "PartialEq",
    printcolumn = r#"{"name":"Cluster","type":"string","jsonPath":".spec.cluster"}"#,
    printcolumn = r#"{"name":"Class","type":"string","jsonPath":".spec.class"}"#,
    printcolumn = r#"{"name":"Phase","type":"string","jsonPath":".status.phase"}"#,
    printcolumn = r#"{"name":"Reason","type":"string","jsonPath":".status.reason"}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase")]
pub struct PlanSpec {
    /// Cluster (`anywhere.eks.amazonaws.com`) in the same namespace.
    pub cluster: String,
    /// Hash of the wanted state; another hash makes another plan.
    pub desired: Digest,
    /// What the plan does.
    pub class: PlanClass,
    /// Steps in order.
    pub steps: Vec<PlanStep>,
}

/// What a plan does; policy says which classes approve themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum PlanClass {
    /// Make a cluster.
    Create,
    /// Add or remove machines.
    Scale,
    /// Change the version.
    Upgrade,
    /// Replace what is broken.
    Remediate,
    /// Remove the cluster.
    Delete,
}

/// One step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PlanStep {
    /// Name, unique in the plan.
    pub id: String,
    /// What is done.
    pub kind: PlanStepKind,
    /// Machine that it is done to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub machine: Option<String>,
    /// One line for people.
    pub text: String,
    /// Minutes until the step has failed.
    pub deadline_minutes: u32,
}

/// What a step does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum PlanStepKind {
    /// Make the cluster's keys and certificates.
    MakePki,
    /// Install a machine and start the first control-plane member on it.
    InitControlPlane,
    /// Install a machine and join it to the control plane.
    JoinControlPlane,
    /// Install the CNI.
    InstallCni,
    /// Install a machine and join it as a worker.
    JoinWorker,
    /// Write the kubeconfig and finish.
    Finish,
    /// Take a node out and give its machine back.
    RemoveMachine,
    /// Drop what is left of the cluster.
    RemoveCluster,
}

/// Phase of a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum PlanPhase {
    /// Waits for approval.
    #[default]
    Pending,
    /// Being carried out.
    Executing,
    /// Done.
    Done,
    /// A step failed; the reason says which.
    Failed,
    /// Another plan took its place.
    Superseded,
}

/// Observed state of a plan.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PlanStatus {
    /// Phase.
    #[serde(default)]
    pub phase: PlanPhase,
    /// Who approved: a user's name, or `policy`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approved_by: Option<String>,
    /// Since when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Time>,
    /// What it waits for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// One row for each step.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<StepStatus>,
}

/// Observed state of a step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StepStatus {
    /// Name of the step.
    pub id: String,
    /// State.
    pub state: StepState,
    /// When it started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Time>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Time>,
    /// When it has failed if it is not done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Time>,
    /// What it waits for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// State of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum StepState {
    /// Not started.
    #[default]
    Pending,
    /// Under way.
    Running,
    /// Done.
    Done,
    /// Failed.
    Failed,
}
