//! The states of a machine on bare metal, and what each of them is in the contract of all drivers.

use resources::gantry::{ProviderMachinePhase, ProviderMachineStatus};

/// State of a ProviderMachine on bare metal; its name is kept in `status.driverState`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum MetalState {
    /// Looks for a server.
    #[default]
    Pending,
    /// Has a server; the image is being fetched or checked.
    Preparing,
    /// The workflow runs.
    Installing,
    /// The installed system boots for the first time.
    Booting,
    /// The installed system has shown itself.
    Running,
    /// The installer repairs the installed system.
    Repairing,
    /// Its server is being given back.
    Releasing,
    /// The disks of its server are being wiped, before that is given back.
    Wiping,
    /// Stopped.
    Failed,
}

impl MetalState {
    /// Every state, in the order in which a machine goes through them.
    pub const ALL: [Self; 9] = [
        Self::Pending,
        Self::Preparing,
        Self::Installing,
        Self::Booting,
        Self::Running,
        Self::Repairing,
        Self::Releasing,
        Self::Wiping,
        Self::Failed,
    ];

    /// Its name in `status.driverState`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Preparing => "preparing",
            Self::Installing => "installing",
            Self::Booting => "booting",
            Self::Running => "running",
            Self::Repairing => "repairing",
            Self::Releasing => "releasing",
            Self::Wiping => "wiping",
            Self::Failed => "failed",
        }
    }

    /// What it is in the contract.
    #[must_use]
    pub const fn phase(self) -> ProviderMachinePhase {
        match self {
            Self::Pending => ProviderMachinePhase::Pending,
            Self::Preparing | Self::Installing => ProviderMachinePhase::Creating,
            Self::Booting => ProviderMachinePhase::Booting,
            Self::Running | Self::Repairing => ProviderMachinePhase::Running,
            Self::Releasing | Self::Wiping => ProviderMachinePhase::Deleting,
            Self::Failed => ProviderMachinePhase::Failed,
        }
    }

    /// The state in a status: the first one where none is written yet, and nothing where it has a name that is not ours.
    #[must_use]
    pub fn of(status: Option<&ProviderMachineStatus>) -> Option<Self> {
        match status.and_then(|status| status.driver_state.as_deref()) {
            None => Some(Self::default()),
            Some(name) => Self::ALL.into_iter().find(|state| state.name() == name),
        }
    }

    /// Writes the state into a status, with its phase.
    pub(crate) fn enter(self, status: &mut ProviderMachineStatus) {
        status.phase = self.phase();
        status.driver_state = Some(self.name().to_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_is_read_as_it_was_written_and_no_other_name_is_taken_for_one() {
        let mut status = ProviderMachineStatus::default();
        assert_eq!(MetalState::of(None), Some(MetalState::Pending));
        assert_eq!(MetalState::of(Some(&status)), Some(MetalState::Pending));
        for state in MetalState::ALL {
            state.enter(&mut status);
            assert_eq!(MetalState::of(Some(&status)), Some(state));
            assert_eq!(status.phase, state.phase());
        }
        status.driver_state = Some("cloning".to_owned());
        assert_eq!(MetalState::of(Some(&status)), None);
    }
}
