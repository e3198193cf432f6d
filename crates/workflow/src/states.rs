//! The states of a Workflow (Tinkerbell reference §5.3), one file for each. Pure: a snapshot and the time in, one step
//! out.
//!
//! ```text
//! (none) -> PREPARING -> PENDING -> RUNNING -> POST -> SUCCESS
//!              \------------\----------\---------\---> FAILED, TIMEOUT
//! ```

mod boot;
mod effect;
mod ended;
mod pending;
mod post;
mod preparing;
mod running;
mod snapshot;
mod unrendered;

use jiff::Timestamp;
use resources::tinkerbell::WorkflowState;

pub(crate) use effect::{Effect, Step, go};
pub(crate) use snapshot::{JobSeen, Snapshot};

/// The next step of a Workflow.
pub(crate) fn decide(snapshot: &Snapshot<'_>, now: Timestamp) -> Step {
    match snapshot.status().and_then(|status| status.state) {
        None => unrendered::decide(snapshot),
        Some(WorkflowState::Preparing) => preparing::decide(snapshot, now),
        Some(WorkflowState::Pending) => pending::decide(snapshot, now),
        Some(WorkflowState::Running) => running::decide(snapshot, now),
        Some(WorkflowState::Post) => post::decide(snapshot, now),
        Some(WorkflowState::Success | WorkflowState::Failed | WorkflowState::Timeout) => {
            ended::decide(snapshot)
        }
    }
}

#[cfg(test)]
mod samples;
