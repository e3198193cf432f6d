//! The states of a machine of a plugin driver, and what each of them is in the contract of all drivers.

use resources::gantry::{ProviderMachinePhase, ProviderMachineStatus};

/// State of a ProviderMachine of a plugin driver; its name is kept in `status.driverState`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum PluginState {
    /// Nothing was asked of its driver yet.
    #[default]
    Pending,
    /// Its driver is asked until the machine runs.
    Creating,
    /// It was seen running.
    Running,
    /// Its driver is asked until nothing is left of it.
    Deleting,
    /// It will never run. Only its deletion follows.
    Failed,
}

impl PluginState {
    /// Every state, in the order in which a machine goes through them.
    pub const ALL: [Self; 5] = [
        Self::Pending,
        Self::Creating,
        Self::Running,
        Self::Deleting,
        Self::Failed,
    ];

    /// Its name in `status.driverState`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Creating => "creating",
            Self::Running => "running",
            Self::Deleting => "deleting",
            Self::Failed => "failed",
        }
    }

    /// The state in a status; nothing when what stands there is none of them.
    #[must_use]
    pub fn of(status: Option<&ProviderMachineStatus>) -> Option<Self> {
        let name = status.and_then(|status| status.driver_state.as_deref());
        match name {
            None => Some(Self::Pending),
            Some(name) => Self::ALL.into_iter().find(|state| state.name() == name),
        }
    }

    /// Writes the state down, in both words.
    pub(crate) fn enter(self, status: &mut ProviderMachineStatus) {
        status.driver_state = Some(self.name().to_owned());
        status.phase = match self {
            Self::Pending => ProviderMachinePhase::Pending,
            // Once the driver says so it boots.
            Self::Creating if status.phase == ProviderMachinePhase::Booting => ProviderMachinePhase::Booting,
            Self::Creating => ProviderMachinePhase::Creating,
            Self::Running => ProviderMachinePhase::Running,
            Self::Deleting => ProviderMachinePhase::Deleting,
            Self::Failed => ProviderMachinePhase::Failed,
        };
    }
}
