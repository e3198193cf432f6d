//! What a restore of the appliance says about a server.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Time;

/// What the records say about a server was true at the time of a backup. What has become of it since is not known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Restored {
    /// When the backup was made.
    pub backup_at: Time,
    /// When the appliance was restored from it.
    pub at: Time,
}

impl fmt::Display for Restored {
    /// Why nothing is done with the server, for people.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "restored from a backup of {:.0}, and it may have come into use since",
            self.backup_at.0
        )
    }
}
