//! A Workflow with what belongs to it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use resources::Mac;
use resources::gantry::Server;
use resources::tinkerbell::{Hardware, Workflow, WorkflowStatus};

use crate::states::{JobSeen, Snapshot};

/// A Workflow with what belongs to it, as it is now.
pub(super) struct Seen {
    pub(super) namespace: String,
    pub(super) name: String,
    /// As it was read or written last.
    pub(super) base: Workflow,
    /// With the status as far as it is decided.
    pub(super) workflow: Workflow,
    pub(super) hardware: Option<Hardware>,
    pub(super) server: Option<Server>,
    /// Jobs that it made and that have not completed, by name.
    pub(super) jobs: BTreeMap<String, JobSeen>,
}

impl Seen {
    pub(super) fn snapshot(&self) -> Snapshot<'_> {
        Snapshot {
            workflow: &self.workflow,
            name: &self.name,
            server: self.server.as_ref(),
            jobs: &self.jobs,
            uefi: self.hardware.as_ref().is_some_and(Hardware::boots_by_uefi),
            mac: self.hardware.as_ref().and_then(boot_mac),
        }
    }

    pub(super) fn status(&mut self) -> &mut WorkflowStatus {
        self.workflow.status.get_or_insert_default()
    }

    /// Name of the machine, for logs.
    pub(super) fn machine(&self) -> &str {
        self.workflow.spec.hardware_ref.as_deref().unwrap_or_default()
    }

    /// Since when the state lasts; before the first one, since the Workflow was made.
    pub(super) fn since(&self, now: Timestamp) -> Timestamp {
        let status = self.workflow.status.as_ref();
        let since = status.and_then(|status| status.since.as_ref());
        let made = self.workflow.metadata.creation_timestamp.as_ref();
        since.or(made).map_or(now, |time| time.0)
    }
}

fn boot_mac(hardware: &Hardware) -> Option<Mac> {
    let mut interfaces = hardware.spec.interfaces.iter();
    interfaces.find_map(|nic| nic.dhcp.as_ref()?.mac)
}
