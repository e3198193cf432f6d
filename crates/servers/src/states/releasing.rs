//! Releasing. Entry: no claim any more. Exit: available, when session, first boot and owner labels are gone; failed,
//! when a Workflow still runs after five minutes, or when the machine was given up while it may still run (quarantine).
//! What was installed stays recorded: the machine boots it if powered on.

use jiff::Timestamp;
use resources::gantry::{ServerState, SessionPhase};

use steps::minutes_after;

use super::{Effect, Snapshot, Step};

const MINUTES: i64 = 5;

pub(super) fn decide(snapshot: &Snapshot<'_>, now: Timestamp) -> Step {
    if let Some(attempt) = snapshot.open_attempt() {
        let until = minutes_after(snapshot.since(now), MINUTES);
        let what = format!(
            "workflow {} still runs on it; delete that Workflow",
            attempt.workflow
        );
        return Step::wait(what, until).or_at_deadline(now, |what| Step::go(ServerState::Failed, what));
    }
    let status = snapshot.server.status.as_ref();
    let session = status.and_then(|status| status.boot_session.as_ref());
    if session.is_some_and(|session| session.phase != SessionPhase::Closed) {
        return Step::Do(Effect::CloseSession);
    }
    if snapshot.claim().is_none() && snapshot.owner_label().is_some() {
        return Step::Do(Effect::ClearOwner);
    }
    if session.is_some() || status.is_some_and(|status| status.first_boot.is_some()) {
        return Step::Do(Effect::Forget);
    }
    if let Some(quarantine) = snapshot.quarantine() {
        return Step::go(ServerState::Failed, quarantine);
    }
    if snapshot.claim().is_none() && snapshot.server.spec.release.is_some() {
        return Step::Do(Effect::ClearRelease);
    }
    Step::go(ServerState::Available, "free")
}

#[cfg(test)]
mod tests {
    use super::super::samples::{Sample, at};
    use super::*;
    use resources::gantry::{ReleaseStatement, StatedPower};
    use resources::keys::OWNER_NAME;
    use resources::tinkerbell::WorkflowState;

    fn state(sample: &mut Sample, power: StatedPower) {
        sample.server.spec.release = Some(ReleaseStatement {
            power,
            owner: "prod-1".into(),
            reason: "its BMC is dead".into(),
            unwiped: false,
            at: None,
        });
    }

    #[test]
    fn a_machine_that_was_given_up_is_quarantined_until_it_is_said_to_be_off() {
        let mut sample = Sample::new(ServerState::Releasing);
        state(&mut sample, StatedPower::Unknown);
        let reason = sample.goes(at(0), ServerState::Failed);
        assert!(
            reason.contains("its BMC is dead")
                && reason.contains("gantry release server node-1 --powered-off"),
            "{reason}"
        );
        sample.server.status.as_mut().unwrap().state = ServerState::Failed;
        sample.server.status.as_mut().unwrap().reason = Some(reason.clone());
        assert_eq!(sample.step(at(9999)), Step::Done { reason: Some(reason) });
        state(&mut sample, StatedPower::Off);
        sample.goes(at(9999), ServerState::Releasing);
        sample.server.status.as_mut().unwrap().state = ServerState::Releasing;
        assert_eq!(sample.step(at(9999)), Step::Do(Effect::ClearRelease));
        sample.server.spec.release = None;
        sample.goes(at(9999), ServerState::Available);
    }

    #[test]
    fn a_quarantined_server_goes_with_its_hardware() {
        let mut sample = Sample::new(ServerState::Failed);
        state(&mut sample, StatedPower::Unknown);
        sample.hardware = None;
        sample.goes(at(0), ServerState::Releasing);
        sample.server.status.as_mut().unwrap().state = ServerState::Releasing;
        assert_eq!(sample.step(at(0)), Step::Do(Effect::ClearRelease));
    }

    #[test]
    fn everything_of_the_owner_goes_before_it_is_free() {
        let mut sample = Sample::new(ServerState::Releasing);
        sample.attempt(3);
        sample.label(OWNER_NAME, "prod-1");
        sample.session(SessionPhase::Disarmed);
        sample.first_boot(3);
        let (reason, until) = sample.waits(at(10));
        assert!(reason.contains("workflow w") && until > at(10), "{reason}");
        sample.goes(at(6 * 60), ServerState::Failed);
        sample.workflow_ends(WorkflowState::Failed, "");
        assert_eq!(sample.step(at(10)), Step::Do(Effect::CloseSession));
        sample.session(SessionPhase::Closed);
        assert_eq!(sample.step(at(10)), Step::Do(Effect::ClearOwner));
        sample.hardware.as_mut().unwrap().metadata.labels = None;
        assert_eq!(sample.step(at(10)), Step::Do(Effect::Forget));
        let status = sample.server.status.as_mut().unwrap();
        (status.boot_session, status.first_boot) = (None, None);
        assert_eq!(sample.step(at(10)), Step::go(ServerState::Available, "free"));
    }
}
