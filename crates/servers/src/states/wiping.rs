//! Wiping. Entry: an open attempt whose purpose is to wipe. Exits: when that attempt has ended well claimed, whose owner then
//! gives the server back, or releasing without an owner; failed, when it has not, because a disk that may hold keys is not
//! given away unseen. Deadlines: the session's window and the Workflow's own.

use jiff::Timestamp;
use resources::gantry::{Purpose, ServerState};
use resources::tinkerbell::WorkflowState;

use steps::minutes_after;

use super::attempt::under_way;
use super::{Effect, Snapshot, Step};

pub(super) fn decide(snapshot: &Snapshot<'_>, now: Timestamp) -> Step {
    if let Some(step) = snapshot.owner_step() {
        return step;
    }
    if let Some(attempt) = snapshot.open_attempt() {
        return match attempt.purpose {
            Purpose::Wipe => under_way(snapshot, attempt, now),
            Purpose::Install | Purpose::Repair | Purpose::Inspect => Step::go(
                ServerState::Provisioning,
                format!("workflow {} runs", attempt.workflow),
            ),
        };
    }
    let status = snapshot.workflow.and_then(|workflow| workflow.status.as_ref());
    match status.and_then(|status| status.state) {
        Some(WorkflowState::Success) => wiped(snapshot),
        Some(WorkflowState::Failed | WorkflowState::Timeout) => {
            let why = status
                .and_then(|status| status.reason.clone())
                .unwrap_or_default();
            Step::go(ServerState::Failed, format!("its disks were not wiped: {why}"))
        }
        Some(_) => Step::wait("the workflow ends", minutes_after(now, 1)),
        None => Step::go(
            ServerState::Failed,
            "its disks were not wiped: the workflow was deleted",
        ),
    }
}

fn wiped(snapshot: &Snapshot<'_>) -> Step {
    let status = snapshot.server.status.as_ref();
    if status.is_some_and(|status| status.local_boot.is_some()) {
        return Step::Do(Effect::ForgetInstalled);
    }
    let to = match snapshot.claim() {
        Some(_) => ServerState::Claimed,
        None => ServerState::Releasing,
    };
    Step::go(to, "its disks were wiped")
}

#[cfg(test)]
mod tests {
    use super::super::samples::{Sample, at};
    use super::*;
    use resources::gantry::{Firmware, LocalBoot};

    fn sample() -> Sample {
        let mut sample = Sample::new(ServerState::Wiping);
        sample.claim("ProviderMachine", "prod-1");
        sample.owned_by("prod-1");
        sample.attempt(1);
        sample.server.spec.attempt.as_mut().unwrap().purpose = Purpose::Wipe;
        sample
    }

    #[test]
    fn a_wipe_that_succeeded_leaves_nothing_to_boot_and_the_owner_gives_the_server_back() {
        let mut sample = sample();
        assert!(sample.waits(at(0)).0.contains("armed"));
        sample.workflow_ends(WorkflowState::Post, "");
        sample.server.spec.attempt.as_mut().unwrap().closed = true;
        sample.waits(at(0));
        sample.workflow_ends(WorkflowState::Success, "");
        sample.server.status.as_mut().unwrap().local_boot = Some(LocalBoot {
            firmware: Firmware::Uefi,
            disk: "/dev/vda".into(),
            bios_drive: None,
            esp_guid: None,
            image: None,
        });
        assert_eq!(sample.step(at(0)), Step::Do(Effect::ForgetInstalled));
        sample.server.status.as_mut().unwrap().local_boot = None;
        sample.goes(at(0), ServerState::Claimed);
        sample.server.status.as_mut().unwrap().state = ServerState::Claimed;
        assert!(
            matches!(sample.step(at(0)), Step::Done { reason: Some(reason) } if reason.contains("prod-1 gives it back"))
        );
        sample.server.spec.claim.as_mut().unwrap().last_attempt = Some(1);
        assert!(
            matches!(sample.step(at(0)), Step::Done { reason: Some(reason) } if reason.contains("has not started")),
            "the wipe was for another owner"
        );
        sample.server.status.as_mut().unwrap().state = ServerState::Wiping;
        (sample.server.spec.claim, sample.hardware) = (None, None);
        sample.goes(at(0), ServerState::Releasing);
    }

    #[test]
    fn a_wipe_that_failed_or_vanished_is_a_failure_and_another_attempt_goes_on() {
        let mut sample = sample();
        sample.workflow_ends(WorkflowState::Timeout, "no agent");
        let reason = sample.goes(at(0), ServerState::Failed);
        assert_eq!(reason, "its disks were not wiped: no agent");
        sample.workflow = None;
        let reason = sample.goes(at(0), ServerState::Failed);
        assert!(reason.contains("deleted"), "{reason}");
        sample.attempt(2);
        sample.goes(at(0), ServerState::Provisioning);
    }
}
