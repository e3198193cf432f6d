//! Task of `bmc.tinkerbell.org`: one action on one BMC.

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::machine::Connection;
use super::report::{BmcReport, ReportKind};
use crate::Time;

/// One action and the BMC that it goes to.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema, CustomResource)]
#[kube(
    group = "bmc.tinkerbell.org",
    version = "v1alpha1",
    kind = "Task",
    plural = "tasks",
    shortname = "t",
    category = "tinkerbell",
    namespaced,
    status = "TaskStatus",
    derive = "PartialEq",
    printcolumn = r#"{"name":"Host","type":"string","jsonPath":".spec.connection.host"}"#,
    printcolumn = r#"{"name":"Completed","type":"string","jsonPath":".status.conditions[?(@.type==\"Completed\")].status"}"#,
    printcolumn = r#"{"name":"Failed","type":"string","jsonPath":".status.conditions[?(@.type==\"Failed\")].status"}"#,
    printcolumn = r#"{"name":"Started","type":"date","jsonPath":".status.startTime","priority":1}"#,
    printcolumn = r#"{"name":"Message","type":"string","jsonPath":".status.conditions[?(@.status==\"True\")].message","priority":1}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#
)]
pub struct TaskSpec {
    /// The action.
    pub task: Action,
    /// The BMC.
    #[serde(default)]
    pub connection: Connection,
}

/// Exactly one of the fields is set.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Action {
    /// Power.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub power_action: Option<PowerAction>,
    /// Boot device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boot_device: Option<BootDeviceAction>,
    /// Boot device for one boot (older form).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub one_time_boot_device_action: Option<OneTimeBootDeviceAction>,
    /// Virtual media.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub virtual_media_action: Option<VirtualMediaAction>,
    /// Read what the BMC says about the hardware; the answer is in the Task's status. Not a field of Tinkerbell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub report: Option<ReportKind>,
    /// The light by which a machine is found in its rack. Not a field of Tinkerbell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub indicator: Option<Indicator>,
}

impl Action {
    /// Whether the action leaves the machine as it is: then it is done at once, also beside other Jobs.
    #[must_use]
    pub fn is_harmless(&self) -> bool {
        let reads = self.report.is_some()
            || self.indicator.is_some()
            || self.power_action == Some(PowerAction::Status);
        let changes = self.boot_device.is_some()
            || self.one_time_boot_device_action.is_some()
            || self.virtual_media_action.is_some()
            || self
                .power_action
                .is_some_and(|action| action != PowerAction::Status);
        reads && !changes
    }
}

/// The light by which a machine is found in its rack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Indicator {
    /// Lit or blinking, until it is switched off.
    On,
    /// Dark.
    Off,
}

/// Power action.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum PowerAction {
    /// Power on.
    On,
    /// Power off at once.
    Off,
    /// Ask the operating system to shut down.
    Soft,
    /// Off and on.
    Cycle,
    /// Hard reset.
    Reset,
    /// Read the state.
    Status,
    /// A non-maskable interrupt, by which a hanging system writes its crash dump. Not a value of Tinkerbell.
    Nmi,
}

/// Boot device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum BootDevice {
    /// Network.
    Pxe,
    /// Disk.
    Disk,
    /// Firmware set-up.
    Bios,
    /// Optical drive or virtual media.
    Cdrom,
    /// Safe mode.
    Safe,
    /// Network, by the HTTP boot of UEFI. Not a value of Tinkerbell.
    Http,
}

/// Set the boot device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BootDeviceAction {
    /// Device.
    pub device: BootDevice,
    /// For every boot, not one.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub persistent: bool,
    /// By UEFI.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub efi_boot: bool,
}

/// Set the boot device for one boot (older form).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OneTimeBootDeviceAction {
    /// Devices; only the first counts.
    #[serde(default)]
    pub device: Vec<BootDevice>,
    /// By UEFI.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub efi_boot: bool,
}

/// Insert or eject virtual media.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct VirtualMediaAction {
    /// What to insert; empty ejects.
    #[serde(rename = "mediaURL", default)]
    pub media_url: String,
    /// `CD`.
    #[serde(default)]
    pub kind: String,
}

/// Conditions of Jobs and Tasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ConditionKind {
    /// Runs.
    Running,
    /// Ended well.
    Completed,
    /// Ended badly.
    Failed,
}

/// A condition of a Job or Task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BmcCondition {
    /// Type.
    #[serde(rename = "type")]
    pub kind: ConditionKind,
    /// True or False.
    pub status: String,
    /// One line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

impl BmcCondition {
    /// Whether it says that its Job or Task has come to its end, good or bad.
    #[must_use]
    pub fn is_end(&self) -> bool {
        matches!(self.kind, ConditionKind::Completed | ConditionKind::Failed) && self.status == "True"
    }
}

/// Observed state of a Task.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TaskStatus {
    /// Conditions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<BmcCondition>,
    /// When it started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_time: Option<Time>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completion_time: Option<Time>,
    /// What the BMC said, where the action asked for a report.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub report: Option<BmcReport>,
}
