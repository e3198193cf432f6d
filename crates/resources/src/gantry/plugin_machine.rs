//! The sections of ProviderMachine and ProviderCluster for machines that a plugin driver makes.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::Time;

/// A machine of a plugin driver: what every provider of virtual machines understands, and what only this one does.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PluginMachine {
    /// Scope of the driver in which it is made: name of one that the configuration of the appliance gives the driver.
    pub scope: String,
    /// Virtual processors.
    #[serde(default)]
    pub vcpus: u32,
    /// Memory in MiB.
    #[serde(default)]
    pub memory_mib: u64,
    /// Size of the root disk in GiB; 0 is that of the image.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub root_disk_gib: u64,
    /// Format of the user data.
    #[serde(default)]
    pub userdata_format: UserdataFormat,
    /// What only this provider understands, as the driver's schema of machines says (`gantry driver check` prints it).
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    #[schemars(schema_with = "crate::crds::free_form")]
    pub settings: Map<String, Value>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
const fn is_zero(number: &u64) -> bool {
    *number == 0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
const fn is_none(number: &u32) -> bool {
    *number == 0
}

/// Format of the user data of a machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum UserdataFormat {
    /// cloud-init's.
    #[default]
    CloudConfig,
    /// Ignition's.
    Ignition,
    /// Bottlerocket's settings.
    BottlerocketToml,
    /// Bytes of which the provider knows nothing.
    Raw,
}

/// What stands between the controller of plugin drivers and its driver, about one machine. Nothing else decides by it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PluginMachineStatus {
    /// The call that is under way. Written before the call, taken away with its answer: one that stands here after a restart
    /// has been answered to nobody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub call: Option<PluginCall>,
    /// How many calls were begun that make the machine.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub attempts: u64,
    /// When the last of them was begun.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempted_at: Option<Time>,
    /// Whether nothing is known of what the last call has done, so that the provider is asked before a machine is made.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub outcome_unknown: bool,
    /// Digest of what the machine is to be, without user data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spec_hash: Option<String>,
    /// What the driver wants to be told with the next call, in base64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// Version of that state.
    #[serde(default, skip_serializing_if = "is_none")]
    pub state_version: u32,
    /// What finds the machine at its provider, as the driver's schema of identities says.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    #[schemars(schema_with = "crate::crds::free_form")]
    pub identity: Map<String, Value>,
    /// The provider's name for the task at hand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub receipt: Option<String>,
    /// What is being done, by the driver's name for it, such as `clone`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    /// No call before this time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_call: Option<Time>,
    /// Calls in a row that have failed.
    #[serde(default, skip_serializing_if = "is_none")]
    pub failures: u32,
    /// Why the last call has failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<PluginFault>,
    /// Since when the provider says that the machine does not exist.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub absent_since: Option<Time>,
    /// When the driver said that the machine is deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deleted_at: Option<Time>,
    /// `Settled`: what is wanted of the machine is so at its provider. False while the driver works on it (`Accepted`), waits for
    /// something (`Blocked`) or has failed; Unknown when it can't be asked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
}

/// A call to a driver.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PluginCall {
    /// Method of the contract, such as `CreateMachine`.
    pub method: String,
    /// When it was begun.
    pub at: Time,
}

/// Why a call has failed, as the driver says it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PluginFault {
    /// Reason by its name in the contract, such as `CAPACITY`; a gRPC code where the driver gives none.
    pub reason: String,
    /// For people.
    pub message: String,
    /// The provider's own code.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub provider_code: String,
    /// The provider's id of the request, for its support.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub provider_request_id: String,
    /// The field that is at fault, as a JSON pointer into the call.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub field: String,
}
