//! What an open attempt waits for: its session first, then its Workflow. Shared by the states in which one is open.

use jiff::Timestamp;
use resources::gantry::{Attempt, SessionPhase};
use steps::minutes_after;

use super::{Snapshot, Step};

/// Waits for an open attempt.
pub(super) fn under_way(snapshot: &Snapshot<'_>, attempt: &Attempt, now: Timestamp) -> Step {
    let session = snapshot
        .server
        .status
        .as_ref()
        .and_then(|status| status.boot_session.as_ref());
    let session = session.filter(|session| session.attempt == attempt.number);
    let number = attempt.number;
    let of_workflow = snapshot.workflow.and_then(|workflow| workflow.status.as_ref());
    let running_until = of_workflow
        .and_then(|status| status.deadline.as_ref().or(status.global_execution_stop.as_ref()))
        .map_or_else(|| minutes_after(now, 60), |time| time.0);
    let Some(session) = session else {
        return Step::wait(format!("attempt {number} is being armed"), minutes_after(now, 2));
    };
    let (reason, until) = match session.phase {
        SessionPhase::Arming => (
            "the boot services learn of the new session".to_owned(),
            minutes_after(now, 2),
        ),
        SessionPhase::Armed if now > session.deadline.0 => (
            "no agent claimed the session in its window".to_owned(),
            running_until,
        ),
        SessionPhase::Armed if session.boot > 1 => (
            format!("the agent was lost; boot {} is armed for it", session.boot),
            session.deadline.0,
        ),
        SessionPhase::Armed if session.started_at.is_none() => (
            "armed: waits for power-on or the machine's first packet".to_owned(),
            session.deadline.0,
        ),
        SessionPhase::Armed => (
            "armed: waits for the machine's agent".to_owned(),
            session.deadline.0,
        ),
        SessionPhase::Claimed if session.contender.is_some() => (
            "a second agent asks for this machine; the lease of the first decides".to_owned(),
            minutes_after(now, 1),
        ),
        SessionPhase::Claimed => (format!("workflow {} runs", attempt.workflow), running_until),
        SessionPhase::Frozen => (
            "frozen: two agents with different keys claimed this machine; the attempt fails, look for a second \
             machine with its MAC address"
                .to_owned(),
            running_until,
        ),
        SessionPhase::Disarmed => (
            "disarmed: the agent hands over to the installed system".to_owned(),
            running_until,
        ),
        SessionPhase::Closed => (format!("attempt {number} is closed"), minutes_after(now, 1)),
    };
    Step::wait(reason, until)
}
