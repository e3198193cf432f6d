//! How far the first boots of machines are: those that ask the appliance for their data, and those that are made with them.

use jiff::Timestamp;
use resources::gantry::{BootstrapMode, ProviderMachinePhase};

use super::snapshot::Snapshot;

impl Snapshot {
    /// Whether the driver of a machine hands its data over with it. Then it has no first boot that says anything, its node is
    /// named after it, and the driver asks for the data before it makes the machine.
    pub(crate) fn is_pushed(&self, machine: &str) -> bool {
        let provider = self.provider_machines.get(machine);
        provider.is_some_and(|provider| provider.spec.bootstrap.mode == BootstrapMode::Push)
    }

    /// Whether a machine has joined that its driver has made with its data.
    fn runs_with_its_data(&self, machine: &str) -> bool {
        let status = self.provider_status(machine);
        let runs = status.is_some_and(|status| status.phase == ProviderMachinePhase::Running);
        self.is_pushed(machine) && runs && self.has_joined(machine)
    }

    /// When the installed system of a machine asked for its bootstrap data.
    pub(crate) fn requested_at(&self, machine: &str) -> Option<Timestamp> {
        let status = self.provider_status(machine)?;
        status.bootstrap_requested_at.as_ref().map(|time| time.0)
    }

    /// Whether another installation of a machine is wanted than the one that its driver has begun last.
    pub(crate) fn is_wanted_anew(&self, machine: &str) -> bool {
        let provider = self.provider_machines.get(machine);
        provider.is_some_and(|provider| provider.is_wanted_anew())
    }

    /// Whether the installed system has said that it is done with its first boot.
    pub(crate) fn first_boot_done(&self, machine: &str) -> bool {
        let status = self.provider_status(machine);
        let said = status.is_some_and(|status| status.bootstrap_done_at.is_some());
        said || self.runs_with_its_data(machine)
    }

    /// Whether the installed system needs no bootstrap data any more, because its first boot is done or has failed.
    pub(crate) fn first_boot_ended(&self, machine: &str) -> bool {
        let status = self.provider_status(machine);
        self.first_boot_done(machine) || status.is_some_and(|status| status.bootstrap_failure.is_some())
    }

    /// Whether bootstrap data was made for this installation of a machine.
    pub(crate) fn was_given_data(&self, machine: &str) -> bool {
        let requested_at = self.requested_at(machine);
        let seen = self.bootstrap.get(machine);
        requested_at.is_some() && seen.is_some_and(|seen| seen.requested_at == requested_at)
    }

    /// Whether a machine has joined the cluster. The identity of the machine is noted in its Machine then.
    pub(crate) fn has_joined(&self, machine: &str) -> bool {
        let found = self.machines.get(machine);
        found.is_some_and(|machine| machine.spec.provider_id.is_some())
    }
}
