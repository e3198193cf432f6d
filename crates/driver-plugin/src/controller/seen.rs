//! What was read of one ProviderMachine, and what its driver is called with.

use driver::v1::{Scope, Userdata};
use resources::gantry::{ProviderMachine, ProviderMachineStatus};

use crate::drivers::PluginDriver;
use crate::snapshot::{ScopeView, Snapshot};

/// What was read, with the status as far as it is decided.
pub(super) struct Seen {
    /// The object as it was read or written last.
    pub(super) base: ProviderMachine,
    pub(super) snapshot: Snapshot,
    /// What its driver is called with, where it can be.
    pub(super) asked: Option<Asked>,
}

impl Seen {
    pub(super) fn status(&mut self) -> &mut ProviderMachineStatus {
        self.snapshot.machine.status.get_or_insert_default()
    }
}

/// What a driver is called with. It holds secrets, so it is shown nowhere.
pub(super) struct Asked {
    pub(super) driver: PluginDriver,
    /// Name of the scope.
    pub(super) scope: String,
    /// Version of its Secret and its configuration.
    pub(super) version: String,
    /// Whether a pause of an earlier version is still noted.
    pub(super) was_paused: bool,
    pub(super) message: Scope,
    pub(super) userdata: Option<Userdata>,
}

/// A scope as it is now.
pub(super) struct OpenScope {
    pub(super) view: ScopeView,
    pub(super) version: String,
    pub(super) was_paused: bool,
    pub(super) message: Option<Scope>,
}
