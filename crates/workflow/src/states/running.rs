//! RUNNING. Entry: the first action is handed out. Exits: POST and FAILED by the agent's reports (service), TIMEOUT here.
//! Deadlines: each action's own, the global one, half an hour between two actions.
//!
//! Also: before the action that leaves the installer the machine is disarmed; a machine whose agent was lost and that
//! does not come back by itself is booted again by its BMC (the next boot of the same attempt); and a system
//! that has shown itself proves that the installer was left, also when the agent could not say so.

use jiff::{SignedDuration, Timestamp};
use resources::gantry::SessionPhase;
use resources::tinkerbell::{ActionState, WorkflowState, WorkflowStatus};

use super::boot::{When, job_of_mode};
use steps::{later, minutes_after};

use super::{Effect, JobSeen, Snapshot, Step, go};
use crate::engine::{current, leaves, row_before};

/// Seconds beyond its timeout that an action gets, so that the agent's own report comes first.
const GRACE: i64 = 30;
/// Minutes between two actions.
const BETWEEN_MINUTES: i64 = 30;
/// Time for a reset machine to come back by itself: firmware and installer of a slow one.
const COMES_BACK: SignedDuration = SignedDuration::from_mins(4);

pub(super) fn decide(snapshot: &Snapshot<'_>, now: Timestamp) -> Step {
    let Some(status) = snapshot.status() else {
        return Step::rest();
    };
    let Some((place, _, action)) = current(status) else {
        return go(WorkflowState::Post, "every action has succeeded");
    };
    if leaves(action) && action.state == ActionState::Running && has_shown_itself(snapshot) {
        return Step::Do(Effect::FinishAction(
            "the installed system has shown itself".into(),
        ));
    }
    if let Some(step) = snapshot.lost() {
        return step;
    }
    if let Some(stop) = status.global_execution_stop.as_ref().filter(|stop| now > stop.0) {
        let seconds = status.global_timeout.unwrap_or_default();
        return go(
            WorkflowState::Timeout,
            format!("global_timeout of {seconds} s passed at {}", stop.0),
        );
    }
    let until = match (action.state, &action.execution_start) {
        (ActionState::Running, Some(start)) => {
            let seconds = action.timeout.unwrap_or_default();
            let until = later(start.0, SignedDuration::from_secs(seconds.saturating_add(GRACE)));
            if now >= until {
                let name = &action.name;
                return go(
                    WorkflowState::Timeout,
                    format!("action {name} took longer than its timeout of {seconds} s"),
                );
            }
            until
        }
        _ => {
            let before = row_before(status, place).and_then(|row| row.execution_stop.as_ref());
            let until = minutes_after(
                before.map_or_else(|| snapshot.since(now), |stop| stop.0),
                BETWEEN_MINUTES,
            );
            if now >= until {
                let never = || format!("the agent never asked for action {}", action.name);
                let why = status.held_back.clone();
                return go(WorkflowState::Timeout, why.unwrap_or_else(never));
            }
            until
        }
    };
    if leaves(action) && snapshot.own_attempt().is_some_and(|attempt| !attempt.handover) {
        return Step::Do(Effect::RequestHandover);
    }
    let why = status
        .held_back
        .as_ref()
        .filter(|_| action.state != ActionState::Running);
    let why = || why.cloned().unwrap_or_else(|| reason(snapshot, status));
    boot_again(snapshot, now).unwrap_or_else(|| Step::wait(why(), until))
}

fn has_shown_itself(snapshot: &Snapshot<'_>) -> bool {
    let number = snapshot.status().and_then(|status| status.attempt);
    let first = snapshot
        .server
        .and_then(|server| server.status.as_ref()?.first_boot.as_ref());
    first.is_some_and(|first| Some(first.attempt) == number && first.requested_at.is_some())
}

/// The Job that boots a machine again whose agent was lost, as its Workflow booted it.
fn boot_again(snapshot: &Snapshot<'_>, now: Timestamp) -> Option<Step> {
    let session = snapshot
        .session()
        .filter(|session| session.phase == SessionPhase::Armed && session.boot > 1)?;
    let (_, tasks) = job_of_mode(snapshot, When::Preparing).filter(|_| snapshot.has_bmc())?;
    let since = later(session.armed_at.0, COMES_BACK);
    let name = format!("netboot-{}-boot{}", snapshot.name, session.boot);
    match snapshot.jobs.get(&name) {
        None if now < since => Some(Step::wait(
            format!(
                "the agent was lost; boot {} waits for the machine to come back by itself",
                session.boot
            ),
            since,
        )),
        None => Some(Step::Do(Effect::MakeJob { name, tasks })),
        Some(JobSeen::Runs) => Some(Step::wait(
            format!("the agent was lost; BMC job {name} boots the machine again"),
            session.deadline.0,
        )),
        Some(JobSeen::Completed) => Some(Step::wait(
            format!(
                "the agent was lost; the machine was powered on for boot {}",
                session.boot
            ),
            session.deadline.0,
        )),
        Some(JobSeen::Failed(why)) => Some(go(
            WorkflowState::Failed,
            format!("the agent was lost and BMC job {name} failed: {why}"),
        )),
    }
    .filter(|_| now < session.deadline.0)
    .or_else(|| {
        Some(go(
            WorkflowState::Timeout,
            "the agent was lost and the machine never came back",
        ))
    })
}

fn reason(snapshot: &Snapshot<'_>, status: &WorkflowStatus) -> String {
    let phase = snapshot.session().map(|session| session.phase);
    let disarming = snapshot.own_attempt().is_some_and(|attempt| attempt.handover)
        && phase == Some(SessionPhase::Claimed);
    if disarming {
        return "the machine is being disarmed before it leaves the installer".into();
    }
    status.reason.clone().unwrap_or_else(|| "actions run".into())
}

#[cfg(test)]
mod tests {
    use resources::tinkerbell::BootMode;

    use super::super::boot::netboot;
    use super::super::samples::{Sample, at};
    use super::*;

    fn sample() -> Sample {
        let mut sample = Sample::new(WorkflowState::Running);
        sample.boot(BootMode::Netboot);
        sample.session(SessionPhase::Claimed);
        sample.start(0, at(0));
        sample
    }

    #[test]
    fn an_action_may_take_its_timeout_and_a_grace() {
        let sample = sample();
        assert_eq!(sample.waits(at(600)).1, at(630));
        let reason = sample.goes(at(631), WorkflowState::Timeout);
        assert_eq!(reason, "action stream took longer than its timeout of 600 s");
    }

    #[test]
    fn the_global_timeout_holds_too() {
        let mut sample = sample();
        sample.status().global_execution_stop = Some(resources::Time(at(100)));
        sample.waits(at(100));
        sample.goes(at(101), WorkflowState::Timeout);
    }

    #[test]
    fn an_agent_that_stops_asking_ends_it() {
        let mut sample = sample();
        sample.succeed(0, at(50));
        assert_eq!(sample.waits(at(60)).1, at(50 + 1800));
        sample.goes(at(50 + 1801), WorkflowState::Timeout);
    }

    #[test]
    fn the_machine_is_disarmed_before_the_last_action() {
        let mut sample = sample();
        sample.succeed(0, at(1));
        // not yet its turn
        sample.waits(at(2));
        sample.succeed(1, at(2));
        assert_eq!(sample.step(at(3)), Step::Do(Effect::RequestHandover));
        sample.own_attempt().handover = true;
        assert!(sample.waits(at(3)).0.contains("disarmed"));
        sample.session(SessionPhase::Disarmed);
        sample.waits(at(3));
    }

    #[test]
    fn the_first_boot_proves_that_the_installer_was_left() {
        let mut sample = sample();
        sample.succeed(0, at(1));
        sample.succeed(1, at(2));
        sample.start(2, at(3));
        sample.session(SessionPhase::Disarmed);
        sample.own_attempt().handover = true;
        sample.waits(at(4));
        sample.first_boot(2);
        // of another attempt
        sample.waits(at(4));
        sample.first_boot(3);
        assert!(matches!(sample.step(at(4)), Step::Do(Effect::FinishAction(_))));
    }

    #[test]
    fn a_lost_agent_is_booted_again_by_the_bmc_if_it_does_not_come_by_itself() {
        let mut sample = sample();
        sample.session(SessionPhase::Armed);
        sample.next_boot(at(100));
        assert_eq!(sample.waits(at(120)).1, at(340));
        let Step::Do(Effect::MakeJob { name, tasks }) = sample.step(at(340)) else {
            panic!("no job")
        };
        assert_eq!((name.as_str(), tasks), ("netboot-w-boot2", netboot(true)));
        sample.job("netboot-w-boot2", JobSeen::Runs);
        sample.waits(at(350));
        sample.job("netboot-w-boot2", JobSeen::Failed("unreachable".into()));
        sample.goes(at(350), WorkflowState::Failed);
        sample.jobs.clear();
        sample.server.as_mut().unwrap().spec.bmc = None;
        // without a BMC the timeouts decide
        sample.waits(at(350));
    }

    #[test]
    fn a_lost_agent_is_booted_again_by_the_workflow_s_own_actions() {
        let mut sample = sample();
        sample.boot(BootMode::Customboot);
        sample.session(SessionPhase::Armed);
        sample.next_boot(at(100));
        sample.waits(at(120));
        let config = sample.workflow.spec.boot_options.clone().unwrap();
        let own = config.custom_boot_config.unwrap().preparing_actions;
        let Step::Do(Effect::MakeJob { tasks, .. }) = sample.step(at(340)) else {
            panic!("no job")
        };
        assert_eq!(tasks, own);
    }

    #[test]
    fn a_frozen_or_fenced_attempt_fails() {
        let mut sample = sample();
        sample.session(SessionPhase::Frozen);
        sample.goes(at(1), WorkflowState::Failed);
        sample.session(SessionPhase::Claimed);
        sample.attempt(4, "other");
        sample.goes(at(1), WorkflowState::Failed);
    }

    #[test]
    fn without_an_open_action_it_goes_on() {
        let mut sample = sample();
        for action in 0..3 {
            sample.succeed(action, at(1));
        }
        sample.goes(at(2), WorkflowState::Post);
    }
}
