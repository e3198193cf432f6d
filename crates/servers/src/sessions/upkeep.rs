//! What the controller does to a session from outside: arm, disarm, fence after silence, freeze, close.

use std::time::Duration;

use agent_protocol::LEASE;
use jiff::Timestamp;
use resources::gantry::{Attempt, BootSession, SessionPhase};

use super::{Window, closed, first, frozen, next_boot, started};

/// Time between a contender's question and the holder's next word that proves both alive, so that a word already on
/// its way does not.
const BOTH_ALIVE: Duration = Duration::from_secs(2);

/// What is seen beside the objects.
#[derive(Debug, Clone, Copy)]
pub struct Seen {
    /// The attempt's Workflow is there and not at its end.
    pub open: bool,
    /// The server's record is from a backup: nothing new is armed.
    pub restored: bool,
    /// The boot services answer by the session.
    pub view_armed: bool,
    /// The boot services let the machine boot its own disk.
    pub view_disarmed: bool,
    /// When the machine started, if it has since it was armed.
    pub started: Option<Timestamp>,
    /// How long the holder has not been heard.
    pub silence: Duration,
    /// Now.
    pub now: Timestamp,
}

/// The next thing to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Upkeep {
    /// Nothing.
    Rest,
    /// Commit the first boot of a new attempt.
    Arm,
    /// Wait until the boot services know the session.
    AwaitArmed,
    /// They do.
    MarkArmed,
    /// The machine started then: its window counts from there.
    Start(Timestamp),
    /// The holder is gone: the next boot begins.
    NextBoot,
    /// Two agents are alive.
    Freeze,
    /// Wait until the boot services let the machine boot its disk.
    AwaitDisarmed,
    /// They do.
    MarkDisarmed,
    /// The attempt has ended.
    Close,
}

/// Decides.
#[must_use]
pub fn upkeep(attempt: Option<&Attempt>, session: Option<&BootSession>, seen: Seen) -> Upkeep {
    let over = session.is_none_or(|session| session.phase == SessionPhase::Closed);
    let Some(attempt) = attempt.filter(|attempt| !attempt.closed && seen.open) else {
        return if over { Upkeep::Rest } else { Upkeep::Close };
    };
    let Some(session) = session.filter(|session| session.attempt >= attempt.number) else {
        return if seen.restored { Upkeep::Rest } else { Upkeep::Arm };
    };
    if session.attempt > attempt.number {
        return Upkeep::Rest;
    }
    match session.phase {
        SessionPhase::Closed | SessionPhase::Frozen | SessionPhase::Disarmed => Upkeep::Rest,
        _ if attempt.handover && seen.view_disarmed => Upkeep::MarkDisarmed,
        _ if attempt.handover => Upkeep::AwaitDisarmed,
        SessionPhase::Arming if seen.view_armed => Upkeep::MarkArmed,
        SessionPhase::Arming => Upkeep::AwaitArmed,
        SessionPhase::Armed => {
            let in_time = |at: &Timestamp| session.started_at.is_none() && *at <= session.deadline.0;
            seen.started.filter(in_time).map_or(Upkeep::Rest, Upkeep::Start)
        }
        SessionPhase::Claimed if both_alive(session, seen) => Upkeep::Freeze,
        SessionPhase::Claimed if seen.silence >= LEASE => Upkeep::NextBoot,
        SessionPhase::Claimed => Upkeep::Rest,
    }
}

fn both_alive(session: &BootSession, seen: Seen) -> bool {
    let Some(contender) = &session.contender else {
        return false;
    };
    let since = seen.now.duration_since(contender.at.0).unsigned_abs();
    since
        .checked_sub(seen.silence)
        .is_some_and(|after| after > BOTH_ALIVE)
}

/// The session after the step; `boot_id` mints an id where one is needed.
#[must_use]
pub fn apply(
    step: Upkeep,
    attempt: Option<&Attempt>,
    session: Option<&BootSession>,
    window: Window,
    boot_id: impl FnOnce() -> String,
    now: Timestamp,
) -> Option<BootSession> {
    let phase = |phase| {
        session.cloned().map(|mut session| {
            session.phase = phase;
            session
        })
    };
    match step {
        Upkeep::Rest | Upkeep::AwaitArmed | Upkeep::AwaitDisarmed => session.cloned(),
        Upkeep::Arm => attempt.map(|attempt| first(attempt.number, boot_id(), now, window)),
        Upkeep::Start(at) => session.map(|session| started(session, at, window)),
        Upkeep::MarkArmed => phase(SessionPhase::Armed),
        Upkeep::MarkDisarmed => phase(SessionPhase::Disarmed),
        Upkeep::NextBoot => session.map(|session| next_boot(session, boot_id(), now, window)),
        Upkeep::Freeze => session.map(frozen),
        Upkeep::Close => session.map(closed),
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples::{WINDOW, at, key, session};
    use super::*;
    use resources::Time;
    use resources::gantry::Contender;

    fn seen() -> Seen {
        Seen {
            open: true,
            restored: false,
            view_armed: false,
            view_disarmed: false,
            started: None,
            silence: Duration::from_secs(5),
            now: at(100),
        }
    }

    fn attempt(number: u64) -> Attempt {
        Attempt {
            number,
            workflow: "w".into(),
            ..Attempt::default()
        }
    }

    fn step(attempt: &Attempt, phase: SessionPhase, seen: Seen) -> Upkeep {
        upkeep(Some(attempt), Some(&session(phase)), seen)
    }

    #[test]
    fn a_higher_attempt_arms_when_its_workflow_is_open() {
        assert_eq!(upkeep(None, None, seen()), Upkeep::Rest);
        assert_eq!(upkeep(Some(&attempt(1)), None, seen()), Upkeep::Arm);
        assert_eq!(
            upkeep(
                Some(&attempt(1)),
                None,
                Seen {
                    open: false,
                    ..seen()
                }
            ),
            Upkeep::Rest
        );
        let restored = Seen {
            restored: true,
            ..seen()
        };
        assert_eq!(upkeep(Some(&attempt(1)), None, restored), Upkeep::Rest);
        assert_eq!(step(&attempt(4), SessionPhase::Closed, restored), Upkeep::Rest);
        for phase in [SessionPhase::Closed, SessionPhase::Claimed, SessionPhase::Frozen] {
            assert_eq!(step(&attempt(4), phase, seen()), Upkeep::Arm, "{phase:?}");
            assert_eq!(step(&attempt(2), phase, seen()), Upkeep::Rest, "{phase:?}");
        }
        let armed = apply(
            Upkeep::Arm,
            Some(&attempt(4)),
            None,
            WINDOW,
            || "id".into(),
            at(0),
        );
        let armed = armed.unwrap();
        assert_eq!(
            (armed.attempt, armed.boot, armed.phase),
            (4, 1, SessionPhase::Arming)
        );
        assert_eq!((armed.deadline.0, armed.started_at), (at(30 * 60), None));
    }

    #[test]
    fn the_window_counts_once_from_the_start_of_the_machine() {
        let mut waiting = session(SessionPhase::Armed);
        (waiting.started_at, waiting.deadline) = (None, Time(at(24 * 3600)));
        let step = |session: &BootSession, started| {
            let seen = Seen {
                started: Some(at(90)).filter(|_| started),
                ..seen()
            };
            upkeep(Some(&attempt(3)), Some(session), seen)
        };
        assert_eq!(step(&waiting, false), Upkeep::Rest);
        assert_eq!(step(&waiting, true), Upkeep::Start(at(90)));
        let moved = apply(
            Upkeep::Start(at(90)),
            None,
            Some(&waiting),
            WINDOW,
            String::new,
            at(100),
        )
        .unwrap();
        assert_eq!(moved.started_at, Some(Time(at(90))));
        assert_eq!(moved.deadline.0, at(90 + 45 * 60));
        assert_eq!(step(&moved, true), Upkeep::Rest, "it moves once");
        waiting.deadline = Time(at(89));
        assert_eq!(step(&waiting, true), Upkeep::Rest, "it is over");
    }

    #[test]
    fn armed_and_disarmed_only_when_the_boot_services_answer_so() {
        let open = attempt(3);
        assert_eq!(step(&open, SessionPhase::Arming, seen()), Upkeep::AwaitArmed);
        assert_eq!(
            step(
                &open,
                SessionPhase::Arming,
                Seen {
                    view_armed: true,
                    ..seen()
                }
            ),
            Upkeep::MarkArmed
        );
        let leaving = Attempt {
            handover: true,
            ..attempt(3)
        };
        for phase in [SessionPhase::Armed, SessionPhase::Claimed] {
            assert_eq!(step(&leaving, phase, seen()), Upkeep::AwaitDisarmed, "{phase:?}");
            let visible = Seen {
                view_disarmed: true,
                ..seen()
            };
            assert_eq!(step(&leaving, phase, visible), Upkeep::MarkDisarmed, "{phase:?}");
        }
        assert_eq!(step(&leaving, SessionPhase::Disarmed, seen()), Upkeep::Rest);
    }

    #[test]
    fn the_end_of_the_attempt_or_of_its_workflow_closes() {
        let over = Attempt {
            closed: true,
            ..attempt(3)
        };
        let gone = Seen {
            open: false,
            ..seen()
        };
        for phase in [
            SessionPhase::Armed,
            SessionPhase::Claimed,
            SessionPhase::Frozen,
            SessionPhase::Disarmed,
        ] {
            assert_eq!(step(&over, phase, seen()), Upkeep::Close, "{phase:?}");
            assert_eq!(step(&attempt(3), phase, gone), Upkeep::Close, "{phase:?}");
            assert_eq!(
                upkeep(None, Some(&session(phase)), seen()),
                Upkeep::Close,
                "{phase:?}"
            );
        }
        assert_eq!(step(&over, SessionPhase::Closed, seen()), Upkeep::Rest);
        let open = session(SessionPhase::Disarmed);
        let closed = apply(Upkeep::Close, None, Some(&open), WINDOW, String::new, at(0)).unwrap();
        assert_eq!(
            (closed.phase, closed.revoked),
            (SessionPhase::Closed, vec!["01".to_owned()])
        );
    }

    #[test]
    fn silence_beyond_the_lease_begins_the_next_boot() {
        let silent = Seen {
            silence: LEASE,
            ..seen()
        };
        assert_eq!(step(&attempt(3), SessionPhase::Claimed, silent), Upkeep::NextBoot);
        assert_eq!(step(&attempt(3), SessionPhase::Claimed, seen()), Upkeep::Rest);
        let held = session(SessionPhase::Claimed);
        let next = apply(
            Upkeep::NextBoot,
            None,
            Some(&held),
            WINDOW,
            || "boot-b".into(),
            at(100),
        );
        let next = next.unwrap();
        assert_eq!(next.deadline.0, at(100 + 45 * 60), "its machine runs already");
        assert_eq!(
            (next.boot, next.boot_id.as_str(), next.phase),
            (2, "boot-b", SessionPhase::Arming)
        );
        assert_eq!(
            (next.revoked, next.superseded),
            (vec!["01".to_owned()], vec!["boot-a".to_owned()])
        );
        assert_eq!(next.claim, None);
    }

    #[test]
    fn a_holder_heard_after_a_contender_freezes_both() {
        let mut held = session(SessionPhase::Claimed);
        held.contender = Some(Contender {
            public_key: key(2),
            at: Time(at(60)),
        });
        let decide = |silence: u64| {
            let seen = Seen {
                silence: Duration::from_secs(silence),
                ..seen()
            };
            upkeep(Some(&attempt(3)), Some(&held), seen)
        };
        assert_eq!(decide(41), Upkeep::Rest, "last heard before the contender came");
        assert_eq!(decide(39), Upkeep::Rest, "a word that was on its way");
        assert_eq!(decide(30), Upkeep::Freeze);
        assert_eq!(decide(45), Upkeep::NextBoot);
        let frozen = apply(Upkeep::Freeze, None, Some(&held), WINDOW, String::new, at(0)).unwrap();
        assert_eq!(
            (frozen.phase, frozen.revoked),
            (SessionPhase::Frozen, vec!["01".to_owned()])
        );
    }
}
