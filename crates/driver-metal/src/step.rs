//! What a decision says.

use crate::metal_state::MetalState;

/// The next step of one ProviderMachine.
pub type Step = steps::Step<MetalState, Effect>;

/// One change of other objects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Hold the object until its server is given back.
    AddFinalizer,
    /// Claim this server if it is still as it was read.
    Claim {
        /// Name.
        server: String,
    },
    /// Make Template and Workflow of this name.
    Install {
        /// Name.
        workflow: String,
    },
    /// Make Template and Workflow of this name, which repair the installed system.
    Repair {
        /// Name.
        workflow: String,
    },
    /// Power-cycle the machine once, by a Job of this name.
    Reset {
        /// Name.
        job: String,
    },
    /// Record on the Server that its attempt failed.
    RecordFailure {
        /// Number of the attempt.
        attempt: u64,
        /// Why it failed.
        reason: String,
    },
    /// Forget the failures of the Server: an installation has succeeded.
    ClearFailure,
    /// Remove the Workflows and Templates that installed this machine.
    RemoveWorkflows,
    /// Remove the Workflows and Templates that wipe its server.
    RemoveWipes,
    /// Make Template and Workflow of this name, which wipe the server.
    Wipe {
        /// Name.
        workflow: String,
    },
    /// Power the machine off, by a Job of this name, and remove the Jobs of earlier tries.
    PowerOff {
        /// Name.
        job: String,
        /// Names of the Jobs of earlier tries, all of which have ended.
        earlier: Vec<String>,
    },
    /// Have the BMC asked for the power state now.
    AskPower {
        /// What the wish is called, another one for each.
        wish: String,
    },
    /// Give the server back if it is still as it was read.
    Unclaim {
        /// Why its disks were not wiped although its policy asks for it.
        unwiped: Option<String>,
    },
    /// Let the object go, with what is left of its jobs and wipes.
    RemoveFinalizer,
}

/// Stops the machine with a reason.
pub(crate) fn fail(reason: impl Into<String>) -> Step {
    Step::go(MetalState::Failed, reason)
}
