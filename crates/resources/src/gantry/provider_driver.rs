//! ProviderDriver: a plugin driver that the configuration of the appliance names, and how it is.

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::Time;

/// A driver as the configuration of the appliance has it. Written by the appliance; a change here is put back at its next start.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, CustomResource)]
#[kube(
    group = "gantry.dev",
    version = "v1alpha1",
    kind = "ProviderDriver",
    plural = "providerdrivers",
    category = "gantry",
    status = "ProviderDriverStatus",
    derive = "PartialEq",
    printcolumn = r#"{"name":"Phase","type":"string","jsonPath":".status.phase"}"#,
    printcolumn = r#"{"name":"Version","type":"string","jsonPath":".status.version"}"#,
    printcolumn = r#"{"name":"Restarts","type":"integer","jsonPath":".status.restarts"}"#,
    printcolumn = r#"{"name":"Reason","type":"string","jsonPath":".status.reason"}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase")]
pub struct ProviderDriverSpec {
    /// Its program.
    pub program: String,
    /// SHA-256 that the program must have.
    pub sha256: String,
    /// Where at its provider it makes machines.
    #[serde(default)]
    pub scopes: Vec<ProviderScope>,
}

/// A place at a provider, and the credential for it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProviderScope {
    /// Name, by which machines name it.
    pub name: String,
    /// As the driver's schema of scopes says. No secret.
    #[serde(default)]
    #[schemars(schema_with = "crate::crds::free_form")]
    pub config: Map<String, Value>,
    /// Secret with the credential, whose keys are those of the driver's schema of secrets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<SecretPlace>,
}

/// Where a Secret is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretPlace {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
}

/// Observed state of a driver.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProviderDriverStatus {
    /// `starting`, `ready`, `waiting` (it has ended and is started again), `quarantined` (it is left alone until the appliance
    /// starts anew), `stopped`.
    #[serde(default)]
    pub phase: String,
    /// Since when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Time>,
    /// Why it is not ready.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// When it is started again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_start: Option<Time>,
    /// Processes that were started after the first one since the appliance started.
    #[serde(default)]
    pub restarts: u64,
    /// Number of its process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
    /// Release of the driver, as it says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Its name for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// What it can do besides making, observing, listing and deleting machines.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub capabilities: Vec<String>,
    /// How often an appliance has begun to work with the driver. The calls of an earlier one are refused by it.
    #[serde(default)]
    pub fence: u64,
    /// What is so of its scopes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scopes: Vec<ProviderScopeStatus>,
}

/// What is so of a scope.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProviderScopeStatus {
    /// Name of the scope.
    pub name: String,
    /// Why no call is made in the scope: its credential is refused. It ends when the Secret or the configuration changes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused: Option<ScopePause>,
    /// The last list of what nobody in the API knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub orphans: Option<OrphanList>,
}

/// A scope in which no call is made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ScopePause {
    /// Since when.
    pub since: Time,
    /// As the driver says it.
    pub reason: String,
    /// Version of Secret and configuration that were refused.
    pub version: String,
}

/// Objects at a provider that bear the mark of this appliance and belong to no ProviderMachine.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OrphanList {
    /// Value of the annotation `gantry.dev/orphans-requested` that it answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<String>,
    /// When it was asked for last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked_at: Option<Time>,
    /// Why there is no complete list; what stands here is then of an earlier time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// When the list was complete.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub listed_at: Option<Time>,
    /// How many objects of this appliance there were in the list.
    #[serde(default)]
    pub machines: u32,
    /// Those that belong to no ProviderMachine, 500 at most.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub orphans: Vec<Orphan>,
}

/// An object that belongs to no ProviderMachine.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Orphan {
    /// Name at the provider.
    pub name: String,
    /// Id of the machine that it was made for.
    pub machine_uid: String,
    /// Name of the cluster that it was made for.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub cluster: String,
    /// Id at the provider.
    #[serde(rename = "providerID", default, skip_serializing_if = "String::is_empty")]
    pub provider_id: String,
    /// Phase in the words of the contract.
    pub phase: String,
    /// Since when every list has had it as an orphan. One that the newest list alone has may be on its way out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Time>,
    /// Whether two lists in a row have it, so far apart that the provider's own delay explains none of it.
    #[serde(default)]
    pub confirmed: bool,
}

impl ProviderDriverStatus {
    /// What is so of a scope.
    #[must_use]
    pub fn scope(&self, name: &str) -> Option<&ProviderScopeStatus> {
        self.scopes.iter().find(|scope| scope.name == name)
    }

    /// The same, to be changed; a scope of which nothing was known gets an entry.
    pub fn scope_mut(&mut self, name: &str) -> &mut ProviderScopeStatus {
        let at = self.scopes.iter().position(|scope| scope.name == name);
        let at = at.unwrap_or_else(|| {
            self.scopes.push(ProviderScopeStatus {
                name: name.to_owned(),
                ..ProviderScopeStatus::default()
            });
            self.scopes.len() - 1
        });
        &mut self.scopes[at]
    }
}
