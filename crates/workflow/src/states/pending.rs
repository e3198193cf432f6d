//! PENDING. Entry: the machine is on its way to the installer. Exit: RUNNING, when the first action is handed out (by
//! the service). Deadlines: the session's armed window; 10 minutes from the agent's claim to its first question.

use jiff::Timestamp;
use resources::gantry::SessionPhase;
use resources::tinkerbell::WorkflowState;

use super::{Snapshot, Step, after, go, wait};

const ASK_MINUTES: i64 = 10;

pub(super) fn decide(snapshot: &Snapshot<'_>, now: Timestamp) -> Step {
    if let Some(step) = snapshot.lost() {
        return step;
    }
    let Some(session) = snapshot.session() else {
        return wait("the boot session is being read", after(now, 1));
    };
    match (session.phase, &session.claim) {
        (SessionPhase::Claimed, Some(claim)) => {
            let until = after(claim.at.0, ASK_MINUTES);
            if now > until {
                return go(
                    WorkflowState::Timeout,
                    "the agent claimed its session and never asked for an action",
                );
            }
            wait("the agent has started and asks for its first action", until)
        }
        _ if now > session.deadline.0 => go(WorkflowState::Timeout, missing(snapshot)),
        _ => wait("waits for the machine to boot the installer", session.deadline.0),
    }
}

fn missing(snapshot: &Snapshot<'_>) -> String {
    let power = snapshot
        .server
        .and_then(|server| server.status.as_ref()?.power.clone());
    match power.as_deref() {
        Some("off") => "the machine is off: it never came to the installer; power it on and start a new attempt".into(),
        Some(_) => "the machine is on but its agent never came: look at `gantry explain` for the last packet (no DHCP \
                    seen: STP, LACP, VLAN, cable?), then start a new attempt"
            .into(),
        None => "the agent never came; was the machine powered on, and does it boot from the network?".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples::{Sample, at};
    use super::*;

    #[test]
    fn it_waits_as_long_as_the_window_is_open() {
        let mut sample = Sample::new(WorkflowState::Pending);
        sample.waits(at(0));
        sample.session(SessionPhase::Armed);
        assert_eq!(sample.waits(at(60)).1, at(45 * 60));
        for (power, part) in [
            (Some("off"), "is off"),
            (Some("on"), "no DHCP seen"),
            (None, "powered on"),
        ] {
            sample.server.as_mut().unwrap().status.as_mut().unwrap().power = power.map(str::to_owned);
            let reason = sample.goes(at(45 * 60 + 1), WorkflowState::Timeout);
            assert!(reason.contains(part), "{reason}");
        }
    }

    #[test]
    fn an_agent_that_never_asks_ends_it() {
        let mut sample = Sample::new(WorkflowState::Pending);
        sample.session(SessionPhase::Claimed);
        assert_eq!(sample.waits(at(60)).1, at(600));
        sample.goes(at(601), WorkflowState::Timeout);
    }

    #[test]
    fn a_lost_attempt_fails() {
        let mut sample = Sample::new(WorkflowState::Pending);
        for phase in [SessionPhase::Frozen, SessionPhase::Closed] {
            sample.session(phase);
            sample.goes(at(60), WorkflowState::Failed);
        }
    }
}
