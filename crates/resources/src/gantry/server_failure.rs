//! What speaks against a server: its last installation that failed, and a person who wants to look at it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::boot_session::BootSession;
use crate::Time;

/// An installation that failed, as its owner recorded it before it went on. It is removed when an installation succeeds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct InstallationFailure {
    /// Number of the attempt that failed.
    pub attempt: u64,
    /// Name of the Workflow of that attempt; it may be gone.
    pub workflow: String,
    /// Name of the owner that the installation was for (`spec.claim.name`); it may be gone.
    pub owner: String,
    /// When it was recorded.
    pub at: Time,
    /// Why it failed.
    pub reason: String,
    /// Installations of this server that failed one after another, this one included.
    pub count: u32,
    /// Power state as the BMC told last: on, off or unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub power: Option<String>,
    /// Boot session of the attempt as it was then, without the agent's certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boot_session: Option<BootSession>,
    /// The last lines that the actions of the attempt printed, oldest first, each after the name of its action; or those of
    /// the first boot, where it is what failed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub log: Vec<String>,
}

/// A server that is kept for inspection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Quarantine {
    /// Why, for whoever reads it later.
    pub reason: String,
    /// Since when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Time>,
}
