//! What an action works with.

use std::collections::BTreeMap;
use std::sync::Arc;

use agent_protocol::v1::{FirstBootResponse, PinnedDisk};
use tokio_util::sync::CancellationToken;

use super::board::Board;
use crate::{Error, Host, Lease};

/// Asks the appliance for a first-boot certificate; blocks.
pub type IssueFirstBoot = Box<dyn Fn(String) -> Result<FirstBootResponse, Error> + Send + Sync>;

/// What an action works with.
pub struct ActionContext {
    /// Settings.
    pub environment: BTreeMap<String, String>,
    /// Identities of the disks that the settings name.
    pub disks: Vec<PinnedDisk>,
    /// The action was handed out before in this attempt.
    pub resumed: bool,
    /// Workflow and attempt: the same for the same action again, different for any other.
    pub identity: String,
    /// The machine.
    pub host: Arc<dyn Host>,
    /// The right to write.
    pub lease: Arc<Lease>,
    /// Where progress and log lines go.
    pub board: Arc<Board>,
    /// Set when the action must stop.
    pub cancel: CancellationToken,
    /// For the seed.
    pub issue_first_boot: IssueFirstBoot,
}

impl std::fmt::Debug for ActionContext {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Settings may hold user data.
        f.debug_struct("ActionContext")
            .field("resumed", &self.resumed)
            .field("identity", &self.identity)
            .finish_non_exhaustive()
    }
}
