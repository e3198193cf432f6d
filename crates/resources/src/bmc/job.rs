//! Job of `bmc.tinkerbell.org`: actions on one BMC, strictly in order.

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::machine::NamespacedRef;
use super::task::{Action, BmcCondition};
use crate::Time;

/// Actions on one BMC.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema, CustomResource)]
#[kube(
    group = "bmc.tinkerbell.org",
    version = "v1alpha1",
    kind = "Job",
    plural = "jobs",
    shortname = "j",
    category = "tinkerbell",
    namespaced,
    status = "JobStatus",
    derive = "PartialEq",
    selectable = ".spec.machineRef.name",
    printcolumn = r#"{"name":"Machine","type":"string","jsonPath":".spec.machineRef.name"}"#,
    printcolumn = r#"{"name":"Completed","type":"string","jsonPath":".status.conditions[?(@.type==\"Completed\")].status"}"#,
    printcolumn = r#"{"name":"Failed","type":"string","jsonPath":".status.conditions[?(@.type==\"Failed\")].status"}"#,
    printcolumn = r#"{"name":"Started","type":"date","jsonPath":".status.startTime","priority":1}"#,
    printcolumn = r#"{"name":"Message","type":"string","jsonPath":".status.conditions[?(@.status==\"True\")].message","priority":1}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase")]
pub struct JobSpec {
    /// The BMC.
    pub machine_ref: NamespacedRef,
    /// Actions in order.
    #[serde(default)]
    pub tasks: Vec<Action>,
}

impl Job {
    /// Whether all of its actions leave the machine as it is.
    #[must_use]
    pub fn is_harmless(&self) -> bool {
        !self.spec.tasks.is_empty() && self.spec.tasks.iter().all(Action::is_harmless)
    }
}

/// Observed state of a Job.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct JobStatus {
    /// Conditions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<BmcCondition>,
    /// When it started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_time: Option<Time>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completion_time: Option<Time>,
}
