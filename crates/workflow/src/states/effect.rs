//! What a decision can ask for.

use resources::bmc::Action;
use resources::tinkerbell::WorkflowState;

/// The next step of a Workflow; it has no state until its Template is rendered.
pub(crate) type Step = steps::Step<Option<WorkflowState>, Effect>;

/// What the interpreter does for a state.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Effect {
    /// Render the Template into the rows.
    Render,
    /// Raise the attempt of the Server.
    RaiseAttempt,
    /// Set allowPXE of every NIC.
    AllowNetboot(bool),
    /// Make a BMC Job.
    MakeJob { name: String, tasks: Vec<Action> },
    /// Note in the status that a Job has completed.
    NoteJob(String),
    /// Ask the Server to disarm the machine.
    RequestHandover,
    /// The action at hand is done although the agent could not say so.
    FinishAction(String),
    /// Close the attempt of the Server.
    CloseAttempt,
}

/// Enters a state.
pub(crate) fn go(state: WorkflowState, reason: impl Into<String>) -> Step {
    Step::go(Some(state), reason)
}
