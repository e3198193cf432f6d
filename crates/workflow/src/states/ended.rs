//! SUCCESS, FAILED, TIMEOUT. Terminal: only the attempt is closed, so that its certificates count no more. Another try
//! is another Workflow.

use super::{Effect, Snapshot, Step};

pub(super) fn decide(snapshot: &Snapshot<'_>) -> Step {
    match snapshot.own_attempt() {
        Some(attempt) if !attempt.closed => Step::Do(Effect::CloseAttempt),
        _ => Step::rest(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples::{Sample, at};
    use super::*;
    use resources::tinkerbell::WorkflowState;

    #[test]
    fn the_attempt_is_closed_once_and_nobody_elses() {
        for state in [
            WorkflowState::Success,
            WorkflowState::Failed,
            WorkflowState::Timeout,
        ] {
            let mut sample = Sample::new(state);
            assert_eq!(sample.step(at(0)), Step::Do(Effect::CloseAttempt));
            sample.own_attempt().closed = true;
            assert_eq!(sample.step(at(0)), Step::rest());
            sample.attempt(4, "other");
            assert_eq!(sample.step(at(0)), Step::rest());
        }
    }
}
