//! The last installation of a server that failed: what it is chosen by afterwards.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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
}
