//! What a restore of the appliance says about a server.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Time;

/// What the records say about a server was true at the time of a backup, or is what a file with hardware says. What has become of
/// it since is not known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Restored {
    /// When the backup was made. Absent where there was none, because a cluster is rebuilt without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup_at: Option<Time>,
    /// When the appliance was restored from it, or the server imported.
    pub at: Time,
}

impl fmt::Display for Restored {
    /// Why nothing is done with the server, for people.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.backup_at {
            Some(at) => write!(
                f,
                "restored from a backup of {:.0}, and it may have come into use since",
                at.0
            ),
            None => f.write_str("imported for a cluster that is rebuilt, and it may be in use"),
        }
    }
}
