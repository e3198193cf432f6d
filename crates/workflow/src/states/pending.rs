//! PENDING. Entry: the machine is on its way to the installer. Exit: RUNNING, when the first action is handed out (by
//! the service). Deadlines: the session's armed window, which `servers` counts; in it the firmware's allowance from
//! power-on to the first packet; 10 minutes from the agent's claim to its first question, an hour where the disk of the
//! first action can't be told.

use jiff::{SignedDuration, Timestamp};
use resources::gantry::{BootSession, SessionPhase};
use resources::tinkerbell::WorkflowState;

use steps::{later, minutes_after};

use super::{Snapshot, Step, go};

const ASK_MINUTES: i64 = 10;
/// Minutes that a person gets to say which disk is meant.
const DISK_MINUTES: i64 = 60;
/// What the boot services heard reaches the session a little later.
const HEARING: SignedDuration = SignedDuration::from_secs(30);

pub(super) fn decide(snapshot: &Snapshot<'_>, now: Timestamp) -> Step {
    if let Some(step) = snapshot.lost() {
        return step;
    }
    let Some(session) = snapshot.session() else {
        return Step::wait("the boot session is being read", minutes_after(now, 1));
    };
    match (session.phase, &session.claim) {
        (SessionPhase::Claimed, Some(claim)) => {
            if let Some(reason) = snapshot.status().and_then(|status| status.held_back.as_ref()) {
                let until = minutes_after(claim.at.0, DISK_MINUTES);
                return Step::wait(reason, until)
                    .or_at_deadline(now, |reason| go(WorkflowState::Timeout, reason));
            }
            let until = minutes_after(claim.at.0, ASK_MINUTES);
            Step::wait("the agent has started and asks for its first action", until).or_at_deadline(
                now,
                |_| {
                    go(
                        WorkflowState::Timeout,
                        "the agent claimed its session and never asked for an action",
                    )
                },
            )
        }
        _ => boots(snapshot, session, now),
    }
}

/// Waits for the machine's start, for its first packet, then for the agent.
fn boots(snapshot: &Snapshot<'_>, session: &BootSession, now: Timestamp) -> Step {
    let window = session.deadline.0;
    let started = session.started_at.as_ref().map(|at| at.0);
    let silent = started.filter(|_| session.last_packet.is_none());
    if let Some((at, minutes)) = silent.zip(session.post_minutes) {
        let until = later(minutes_after(at, i64::from(minutes)), HEARING).min(window);
        let waits = format!("powered on; waits for a DHCP request{}", of_mac(snapshot));
        return Step::wait(waits, until).or_at_deadline(now, |_| {
            go(WorkflowState::Timeout, never_heard(snapshot, session, at, now))
        });
    }
    let mac = of_mac(snapshot);
    let waits = match started {
        Some(_) => "waits for the machine to boot the installer".to_owned(),
        None => format!("waits for power-on and a DHCP request{mac}: let the machine boot from the network"),
    };
    Step::wait(waits, window).or_at_deadline(now, |_| go(WorkflowState::Timeout, missing(snapshot, session)))
}

/// The machine was never heard: when it was powered on, what was seen instead, and what to check.
fn never_heard(snapshot: &Snapshot<'_>, session: &BootSession, at: Timestamp, now: Timestamp) -> String {
    let seconds = now.duration_since(at).as_secs();
    let (minutes, rest) = (seconds / 60, seconds % 60);
    let mac = of_mac(snapshot);
    let power = power(snapshot).map_or(String::new(), |power| format!(" (power now: {power})"));
    let (seen, check) = strangers(session);
    format!(
        "the machine was powered on at {at:.0}{power} and no DHCP request{mac} was seen in {minutes} min {rest} s{seen}: check {check}, \
         cable and switch port (STP, LACP, VLAN), and that it boots from the network; then start a new attempt"
    )
}

/// Who was seen instead of the machine, and what to check for that.
fn strangers(session: &BootSession) -> (String, &'static str) {
    let macs: Vec<String> = session.strangers.iter().map(ToString::to_string).collect();
    if macs.is_empty() {
        return (String::new(), "the MAC in its Hardware");
    }
    (
        format!("; {} asked meanwhile, which no Hardware names", macs.join(", ")),
        "whether one of these is the machine's real MAC (then fix its Hardware)",
    )
}

/// The machine was heard and its agent never came, or nobody saw it start.
fn missing(snapshot: &Snapshot<'_>, session: &BootSession) -> String {
    if let Some(last) = &session.last_packet {
        return format!(
            "the machine was last heard at {:.0} ({}) and its agent never came: look at its console, then start a new attempt",
            last.at.0, last.text
        );
    }
    let (mac, since) = (of_mac(snapshot), session.armed_at.0);
    let (seen, check) = strangers(session);
    match power(snapshot) {
        Some("off") => {
            format!(
                "the machine is off, and nobody powered it on since {since:.0}; power it on and start a new attempt"
            )
        }
        Some(_) => format!(
            "the machine is on and no DHCP request{mac} was seen since {since:.0}{seen}: check {check}, cable and switch port \
             (STP, LACP, VLAN), and that it boots from the network; then start a new attempt"
        ),
        None => format!(
            "no DHCP request{mac} was seen since {since:.0}{seen}: was the machine powered on, and does it boot from the \
             network? Check {check}, cable and switch port, then start a new attempt"
        ),
    }
}

fn power<'a>(snapshot: &Snapshot<'a>) -> Option<&'a str> {
    snapshot.server?.status.as_ref()?.power.as_deref()
}

fn of_mac(snapshot: &Snapshot<'_>) -> String {
    snapshot
        .mac
        .map_or(String::new(), |mac| format!(" from MAC {mac}"))
}

#[cfg(test)]
mod tests {
    use resources::gantry::LastPacket;
    use resources::{Mac, Time};

    use super::super::samples::{Sample, at};
    use super::*;

    #[test]
    fn it_waits_as_long_as_the_window_is_open() {
        let mut sample = Sample::new(WorkflowState::Pending);
        sample.waits(at(0));
        sample.session(SessionPhase::Armed);
        assert_eq!(sample.waits(at(60)).1, at(45 * 60));
        for (power, part) in [
            (Some("off"), "nobody powered it on"),
            (Some("on"), "no DHCP request from MAC 02:00:00:00:00:01"),
            (None, "powered on"),
        ] {
            sample.server.as_mut().unwrap().status.as_mut().unwrap().power = power.map(str::to_owned);
            let reason = sample.goes(at(45 * 60 + 1), WorkflowState::Timeout);
            assert!(reason.contains(part), "{reason}");
        }
        sample.boot_session().strangers = vec![Mac::new([2, 0, 0, 0, 0, 9])];
        let reason = sample.goes(at(45 * 60 + 1), WorkflowState::Timeout);
        assert!(reason.contains("02:00:00:00:00:09 asked meanwhile"), "{reason}");
    }

    fn reason(step: &Step) -> &str {
        match step {
            Step::Go {
                state: Some(WorkflowState::Timeout),
                reason,
            } => reason,
            other => panic!("must end: {other:?}"),
        }
    }

    #[test]
    fn a_machine_that_is_never_heard_has_the_firmwares_allowance() {
        let mut sample = Sample::new(WorkflowState::Pending);
        sample.session(SessionPhase::Armed);
        sample.boot_session().started_at = Some(Time(at(0)));
        let allowance = 30 * 60 + 30;
        let Step::Wait {
            until, reason: waits, ..
        } = sample.step(at(60))
        else {
            panic!("must wait")
        };
        assert_eq!(until, at(allowance));
        assert!(waits.contains("02:00:00:00:00:01"), "{waits}");
        sample.server.as_mut().unwrap().status.as_mut().unwrap().power = Some("on".into());
        let step = sample.step(at(allowance + 1));
        let text = reason(&step);
        let powered = format!("powered on at {:.0} (power now: on)", at(0));
        let parts = [
            powered.as_str(),
            "no DHCP request from MAC 02:00:00:00:00:01 was seen in 30 min 31 s",
            "check the MAC in its Hardware, cable",
            "new attempt",
        ];
        for part in parts {
            assert!(text.contains(part), "{part:?} is missing in: {text}");
        }
        sample.boot_session().strangers = vec![Mac::new([2, 0, 0, 0, 0, 9])];
        let step = sample.step(at(allowance + 1));
        let text = reason(&step);
        assert!(
            text.contains("02:00:00:00:00:09 asked meanwhile") && text.contains("real MAC"),
            "{text}"
        );
    }

    #[test]
    fn a_machine_that_was_heard_has_the_whole_window() {
        let mut sample = Sample::new(WorkflowState::Pending);
        sample.session(SessionPhase::Armed);
        sample.boot_session().started_at = Some(Time(at(0)));
        sample.boot_session().last_packet = Some(LastPacket {
            at: Time(at(20)),
            text: "HTTP: boot script".into(),
        });
        let Step::Wait { until, .. } = sample.step(at(31 * 60)) else {
            panic!("must wait")
        };
        assert_eq!(until, at(45 * 60));
        let step = sample.step(at(45 * 60 + 1));
        let text = reason(&step);
        assert!(
            text.contains("HTTP: boot script") && text.contains(&format!("{:.0}", at(20))),
            "{text}"
        );
    }

    #[test]
    fn before_the_start_it_waits_for_power_on_as_long_as_the_window_says() {
        let mut sample = Sample::new(WorkflowState::Pending);
        sample.session(SessionPhase::Armed);
        sample.server.as_mut().unwrap().spec.bmc = None;
        sample.boot_session().deadline = Time(at(86_400));
        let (reason, until) = sample.waits(at(31 * 60));
        assert_eq!(until, at(86_400));
        assert!(
            reason.contains("power-on") && reason.contains("02:00:00:00:00:01"),
            "{reason}"
        );
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
