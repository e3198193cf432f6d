//! ProviderMachine: what a provider's driver makes for one Machine, behind `spec.infrastructureRef`.

use std::collections::BTreeMap;
use std::fmt;

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Time;
use crate::anywhere::{ObjectRef, User};
use crate::cluster_api::MachineAddress;

/// What the machine must be. The coordinator writes it; the driver of `provider` carries it out.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema, CustomResource)]
#[kube(
    group = "gantry.dev",
    version = "v1alpha1",
    kind = "ProviderMachine",
    plural = "providermachines",
    category = "gantry",
    namespaced,
    status = "ProviderMachineStatus",
    derive = "PartialEq",
    printcolumn = r#"{"name":"Provider","type":"string","jsonPath":".spec.provider"}"#,
    printcolumn = r#"{"name":"State","type":"string","jsonPath":".status.state"}"#,
    printcolumn = r#"{"name":"Host","type":"string","jsonPath":".status.host"}"#,
    printcolumn = r#"{"name":"Percent","type":"integer","jsonPath":".status.percent"}"#,
    printcolumn = r#"{"name":"Workflow","type":"string","jsonPath":".status.workflow","priority":1}"#,
    printcolumn = r#"{"name":"Reason","type":"string","jsonPath":".status.reason"}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase")]
pub struct ProviderMachineSpec {
    /// Which driver: `metal`, `vsphere`, ...
    pub provider: String,
    /// Cluster.
    pub cluster_name: String,
    /// Machine that this one is for, in the same namespace.
    pub machine: String,
    /// Role.
    #[serde(default)]
    pub role: MachineRole,
    /// Choice of hardware: one of the terms must hold.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub selector: Vec<SelectorTerm>,
    /// Image to install.
    #[serde(rename = "imageURL")]
    pub image_url: String,
    /// Operating system family of the image.
    #[serde(default)]
    pub os_family: String,
    /// The user's own workflow (TinkerbellTemplateConfig).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template_ref: Option<ObjectRef>,
    /// User of the installed system.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub users: Vec<User>,
    /// Secret (key `value`) that the first boot pulls.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bootstrap_secret: Option<String>,
    /// Minutes for everything up to the installed system's first sign of life; 60 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline_minutes: Option<u32>,
}

/// Role of a machine in its cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum MachineRole {
    /// Runs the control plane.
    ControlPlane,
    /// Runs workloads.
    #[default]
    Worker,
}

/// Labels that all must match.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SelectorTerm {
    /// Labels.
    #[serde(default)]
    pub match_labels: BTreeMap<String, String>,
}

impl SelectorTerm {
    /// Whether an object with these labels is one that the term selects. A term without labels selects every object.
    #[must_use]
    pub fn selects(&self, labels: &BTreeMap<String, String>) -> bool {
        self.match_labels
            .iter()
            .all(|(key, value)| labels.get(key) == Some(value))
    }
}

impl fmt::Display for SelectorTerm {
    /// `key=value,key=value`, for people.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pairs = self
            .match_labels
            .iter()
            .map(|(key, value)| format!("{key}={value}"));
        f.write_str(&pairs.collect::<Vec<_>>().join(","))
    }
}

/// State of a provider's machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum ProviderMachineState {
    /// Looks for a host.
    #[default]
    Pending,
    /// Has a host; the image is being fetched or checked.
    Preparing,
    /// The workflow runs.
    Installing,
    /// The installed system boots for the first time.
    Booting,
    /// The installed system has shown itself.
    Running,
    /// Being given back.
    Releasing,
    /// Stopped.
    Failed,
}

/// Observed state of a provider's machine.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProviderMachineStatus {
    /// State.
    #[serde(default)]
    pub state: ProviderMachineState,
    /// Since when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Time>,
    /// What it waits for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// When waiting ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Time>,
    /// Share done of the step at hand, 0 to 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub percent: Option<u8>,
    /// The host: name of the Server on bare metal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// Name of the Workflow that installs it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workflow: Option<String>,
    /// Identity of the machine in Kubernetes, `tinkerbell://NAMESPACE/HARDWARE` on bare metal.
    #[serde(rename = "providerID", default, skip_serializing_if = "Option::is_none")]
    pub provider_id: Option<String>,
    /// Addresses.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<MachineAddress>,
    /// When the installed system asked for its bootstrap data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bootstrap_requested_at: Option<Time>,
    /// MAC address of the node's NIC, lower case with colons.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mac: Option<crate::Mac>,
}
