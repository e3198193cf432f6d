//! What a decision is: wait, go to a state, do one effect, or nothing.

use jiff::Timestamp;
use resources::gantry::ProviderMachineState;

/// The next step of one ProviderMachine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Nothing to do until something changes; there is always an end to it.
    Wait {
        /// What is waited for, for people.
        reason: String,
        /// When waiting ends; `None` only in states in which nothing is owed.
        until: Option<Timestamp>,
        /// Share done, 0 to 100.
        percent: Option<u8>,
    },
    /// Enter a state.
    Go {
        /// Which.
        state: ProviderMachineState,
        /// Why.
        reason: String,
    },
    /// Do one thing, then decide again.
    Do(Effect),
    /// The object may go.
    Done,
}

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
    /// Power-cycle the machine once, by a Job of this name.
    Reset {
        /// Name.
        job: String,
    },
    /// Remove the Workflows and Templates that were made for this machine.
    RemoveWorkflows,
    /// Power the machine off, by a Job of this name, and remove the Jobs of earlier tries.
    PowerOff {
        /// Name.
        job: String,
        /// Names of the Jobs of earlier tries, all of which have ended.
        earlier: Vec<String>,
    },
    /// Give the server back if it is still as it was read.
    Unclaim,
    /// Let the object go, with what is left of its jobs.
    RemoveFinalizer,
}
