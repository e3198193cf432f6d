//! Workflow: one run of a Template on one machine, with a status row for each task and action.

use std::collections::BTreeMap;

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Time;
use crate::bmc::Action;

/// What to run where.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema, CustomResource)]
#[kube(
    group = "tinkerbell.org",
    version = "v1alpha1",
    kind = "Workflow",
    plural = "workflows",
    shortname = "wf",
    category = "tinkerbell",
    namespaced,
    status = "WorkflowStatus",
    derive = "PartialEq",
    printcolumn = r#"{"name":"Template","type":"string","jsonPath":".spec.templateRef"}"#,
    printcolumn = r#"{"name":"State","type":"string","jsonPath":".status.state"}"#,
    printcolumn = r#"{"name":"Task","type":"string","jsonPath":".status.currentState.taskName","priority":1}"#,
    printcolumn = r#"{"name":"Action","type":"string","jsonPath":".status.currentState.actionName"}"#,
    printcolumn = r#"{"name":"Agent","type":"string","jsonPath":".status.agentID"}"#,
    printcolumn = r#"{"name":"Hardware","type":"string","jsonPath":".spec.hardwareRef"}"#,
    printcolumn = r#"{"name":"Template-Rendering","type":"string","jsonPath":".status.templateRendering","priority":1}"#,
    printcolumn = r#"{"name":"Attempt","type":"integer","jsonPath":".status.attempt","priority":1}"#,
    printcolumn = r#"{"name":"Reason","type":"string","jsonPath":".status.reason"}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase")]
pub struct WorkflowSpec {
    /// True: nothing happens until it is false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disabled: Option<bool>,
    /// Name of the Template.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template_ref: Option<String>,
    /// Name of the Hardware.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hardware_ref: Option<String>,
    /// Names that the template uses, at top level.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub hardware_map: BTreeMap<String, String>,
    /// How the machine gets to the installer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boot_options: Option<BootOptions>,
}

/// How the machine gets to the installer.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BootOptions {
    /// Set allowPXE before and clear it after.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub toggle_allow_netboot: bool,
    /// ISO for `isoboot`.
    #[serde(rename = "isoURL", default, skip_serializing_if = "Option::is_none")]
    pub iso_url: Option<String>,
    /// Which BMC job runs first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boot_mode: Option<BootMode>,
    /// Own BMC actions for `customboot`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub custom_boot_config: Option<CustombootConfig>,
}

/// Which BMC job runs before the actions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum BootMode {
    /// Off, boot once from the network, on.
    Netboot,
    /// Off, insert the ISO, boot once from it, on.
    Isoboot,
    /// Older spelling of `isoboot`.
    Iso,
    /// The user's own list.
    Customboot,
}

/// Own BMC actions.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CustombootConfig {
    /// Before the first action.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub preparing_actions: Vec<Action>,
    /// After the last.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub post_actions: Vec<Action>,
}

/// State of a Workflow, spelled as Tinkerbell spells it; absent means not rendered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum WorkflowState {
    /// The machine is being brought to the installer.
    Preparing,
    /// Waits for the agent's first report.
    Pending,
    /// Actions run.
    Running,
    /// The last action succeeded; boot options are being undone.
    Post,
    /// Done.
    Success,
    /// An action or a job failed.
    Failed,
    /// A deadline passed.
    Timeout,
}

impl WorkflowState {
    /// Whether nothing happens to the Workflow any more.
    #[must_use]
    pub const fn is_terminal(self) -> bool {
        matches!(self, Self::Success | Self::Failed | Self::Timeout)
    }
}

/// State of one action.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum ActionState {
    /// Not started.
    #[default]
    Pending,
    /// The agent said that it starts, or was told to.
    Running,
    /// Done.
    Success,
    /// The action said that it failed.
    Failed,
    /// Its time was up.
    Timeout,
}

/// Observed state of a Workflow.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WorkflowStatus {
    /// Agent whose turn it is.
    #[serde(rename = "agentID", default, skip_serializing_if = "Option::is_none")]
    pub agent_id: Option<String>,
    /// State; absent before rendering.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<WorkflowState>,
    /// What was done of the boot options.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boot_options: Option<BootOptionsStatus>,
    /// successful, failed or unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template_rendering: Option<String>,
    /// Seconds for the whole workflow; 0 means no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub global_timeout: Option<i64>,
    /// When the whole workflow times out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub global_execution_stop: Option<Time>,
    /// The action at hand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current_state: Option<CurrentState>,
    /// Tasks with their actions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tasks: Vec<WorkflowTask>,
    /// Conditions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<WorkflowCondition>,
    /// Attempt of the Server that this workflow runs in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<u64>,
    /// Since when the state is what it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Time>,
    /// Why, for people: what it waits for or what went wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// When waiting ends in a timeout.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Time>,
    /// Why the agent, which asks for its next action, does not get it: the action's disk can't be told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held_back: Option<String>,
    /// Share of the running action that is done, 0 to 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub percent: Option<u8>,
    /// What the actions found out of the machine (firmware, disk, esp_guid, image_digest, handover).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub facts: BTreeMap<String, String>,
}

/// What was done of the boot options.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BootOptionsStatus {
    /// allowPXE.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allow_netboot: Option<AllowNetbootStatus>,
    /// BMC jobs by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub jobs: BTreeMap<String, JobStatus>,
}

/// Whether allowPXE was set and cleared.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AllowNetbootStatus {
    /// Set.
    #[serde(default)]
    pub toggled_true: bool,
    /// Cleared.
    #[serde(default)]
    pub toggled_false: bool,
}

/// One BMC job of a workflow.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct JobStatus {
    /// The job's uid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<String>,
    /// It ended well.
    #[serde(default)]
    pub complete: bool,
    /// An older job of that name was removed.
    #[serde(default)]
    pub existing_job_deleted: bool,
}

/// The action at hand.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CurrentState {
    /// Agent.
    #[serde(rename = "agentID", default, skip_serializing_if = "Option::is_none")]
    pub agent_id: Option<String>,
    /// Task.
    #[serde(rename = "taskID", default, skip_serializing_if = "Option::is_none")]
    pub task_id: Option<String>,
    /// Action.
    #[serde(rename = "actionID", default, skip_serializing_if = "Option::is_none")]
    pub action_id: Option<String>,
    /// State of the action.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<ActionState>,
    /// Name of the action.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action_name: Option<String>,
    /// Name of the task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task_name: Option<String>,
}

/// One task: the actions of one agent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WorkflowTask {
    /// Minted at rendering.
    pub id: String,
    /// Name.
    pub name: String,
    /// Agent.
    #[serde(rename = "agentID", default, skip_serializing_if = "Option::is_none")]
    pub agent_id: Option<String>,
    /// Mounts of every action.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub volumes: Vec<String>,
    /// Environment of every action.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub environment: BTreeMap<String, String>,
    /// Actions in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub actions: Vec<WorkflowAction>,
}

/// One action.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WorkflowAction {
    /// Minted at rendering.
    pub id: String,
    /// Name.
    pub name: String,
    /// Container image, or the name of a native action.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// Seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<i64>,
    /// Arguments.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub command: Vec<String>,
    /// Mounts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub volumes: Vec<String>,
    /// PID namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid: Option<String>,
    /// Namespaces.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespaces: Option<Namespaces>,
    /// Environment; wins over the task's.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub environment: BTreeMap<String, String>,
    /// State.
    #[serde(default)]
    pub state: ActionState,
    /// When it started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub execution_start: Option<Time>,
    /// When it stopped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub execution_stop: Option<Time>,
    /// How long it took, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub execution_duration: Option<String>,
    /// The last message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// Namespaces that an action shares with the host.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Namespaces {
    /// Network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<String>,
    /// PID.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid: Option<String>,
}

/// A condition as Tinkerbell writes it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WorkflowCondition {
    /// Type, such as `TemplateRenderedSuccess`.
    #[serde(rename = "type")]
    pub kind: String,
    /// True, False or Unknown.
    pub status: String,
    /// One word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// One line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// When it last changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<Time>,
}
