//! What a decision says.

use crate::plugin_state::PluginState;

/// The next step of one ProviderMachine.
pub type Step = steps::Step<PluginState, Effect>;

/// One effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// Hold the object until nothing is left of its machine.
    AddFinalizer,
    /// Call the driver.
    Call(Method),
    /// Let the object go: the provider has nothing of the machine any more.
    RemoveFinalizer,
}

/// A call to a driver about one machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Have the machine be there and running.
    Create,
    /// Look whether there is a machine, because nothing is known of what a call has done.
    Find,
    /// Look at a machine that runs.
    Observe,
    /// Have nothing be left of the machine.
    Delete,
    /// Look whether nothing is left.
    Confirm,
}

impl Method {
    /// Its name in the contract.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Create => "CreateMachine",
            Self::Find | Self::Observe | Self::Confirm => "GetMachine",
            Self::Delete => "DeleteMachine",
        }
    }
}

/// Gives the machine up with a reason.
pub(crate) fn fail(reason: impl Into<String>) -> Step {
    Step::go(PluginState::Failed, reason)
}
