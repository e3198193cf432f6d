//! Wiping. Entry: an attempt whose purpose is to erase. Exit: releasing, when that attempt has ended well; failed, when
//! it has not, because a disk that may hold data is not given away. Deadline: the Workflow's.

use jiff::Timestamp;
use resources::gantry::ServerState;
use resources::tinkerbell::WorkflowState;

use steps::minutes_after;

use super::{Snapshot, Step};

pub(super) fn decide(snapshot: &Snapshot<'_>, now: Timestamp) -> Step {
    if let Some(attempt) = snapshot.open_attempt() {
        let reason = format!("workflow {} erases the disks", attempt.workflow);
        return Step::wait(reason, minutes_after(now, 60));
    }
    let status = snapshot.workflow.and_then(|workflow| workflow.status.as_ref());
    match status.and_then(|status| status.state) {
        Some(WorkflowState::Success) => Step::go(ServerState::Releasing, "its disks were erased"),
        _ => Step::go(
            ServerState::Failed,
            "its disks were not erased; start a wipe again or replace them",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples::{Sample, at};
    use super::*;

    #[test]
    fn only_a_finished_wipe_frees_the_server() {
        let mut sample = Sample::new(ServerState::Wiping);
        sample.attempt(1);
        sample.waits(at(0));
        sample.workflow_ends(WorkflowState::Success, "");
        sample.goes(at(0), ServerState::Releasing);
        sample.workflow_ends(WorkflowState::Failed, "");
        sample.goes(at(0), ServerState::Failed);
    }
}
