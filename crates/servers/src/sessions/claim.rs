//! The answer to an agent that claims a boot. Everything else about sessions is in the parent's docs.

use std::time::Duration;

use agent_protocol::LEASE;
use jiff::Timestamp;
use resources::gantry::{Attempt, BootSession, Contender, SessionPhase};
use resources::{Digest, Time};

use steps::later;

use super::{RENEW_BEFORE, is_holder, seconds};

/// What an agent asks for.
#[derive(Debug, Clone, Copy)]
pub struct Ask<'a> {
    /// Boot id of its kernel arguments.
    pub boot_id: &'a str,
    /// Digest of the public key in its verified request.
    pub key: Digest,
}

/// What it gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClaimDecision {
    /// A new certificate.
    Grant,
    /// A new certificate for the next boot, which begins with it.
    GrantNextBoot,
    /// The certificate that it already has.
    Again,
    /// Nothing; it may ask again after so many seconds.
    Refuse {
        /// For the console.
        reason: String,
        /// Seconds.
        retry: u32,
    },
    /// As [`Self::Refuse`], and the key is recorded first.
    Contend {
        /// Who asked.
        contender: Contender,
        /// For the console.
        reason: String,
        /// Seconds.
        retry: u32,
    },
    /// As [`Self::Refuse`] for good: two agents are alive.
    Freeze {
        /// For the console and the alarm.
        reason: String,
    },
}

const RETRY: u32 = 30;

fn refuse(reason: impl Into<String>) -> ClaimDecision {
    ClaimDecision::Refuse {
        reason: reason.into(),
        retry: RETRY,
    }
}

/// Decides. `silence` is how long the holder of the session has not been heard.
#[must_use]
pub fn claim(
    attempt: Option<&Attempt>,
    session: Option<&BootSession>,
    ask: Ask<'_>,
    silence: Duration,
    now: Timestamp,
) -> ClaimDecision {
    let Some(session) = session else {
        return refuse("this machine is not armed: no workflow waits for it");
    };
    let current = session.boot_id == ask.boot_id;
    if !current && !session.superseded.iter().any(|id| id == ask.boot_id) {
        return refuse("this boot id is not that of the open session; restart the machine");
    }
    let Some(attempt) = attempt.filter(|attempt| attempt.number == session.attempt) else {
        return refuse("a newer attempt fences this boot; restart the machine");
    };
    if attempt.closed {
        return refuse(format!("attempt {} is closed", attempt.number));
    }
    match session.phase {
        SessionPhase::Arming | SessionPhase::Armed if now > session.deadline.0 => refuse(format!(
            "the armed window ended at {}; start a new attempt",
            session.deadline.0
        )),
        SessionPhase::Arming | SessionPhase::Armed => ClaimDecision::Grant,
        SessionPhase::Claimed => of_claimed(session, ask, silence, now),
        SessionPhase::Disarmed if is_holder(session, ask.key) => ClaimDecision::Again,
        SessionPhase::Disarmed => refuse("the machine is disarmed: it is to boot what was installed"),
        SessionPhase::Frozen => refuse(
            "two agents claimed this machine, so neither is served; look at its Server, then start a new attempt",
        ),
        SessionPhase::Closed => refuse(format!("attempt {} has ended", session.attempt)),
    }
}

fn of_claimed(session: &BootSession, ask: Ask<'_>, silence: Duration, now: Timestamp) -> ClaimDecision {
    if is_holder(session, ask.key) {
        if session.contender.is_some() {
            return ClaimDecision::Freeze {
                reason: "two agents with different keys claim this machine at the same time".into(),
            };
        }
        let ends = session.claim.as_ref().map_or(now, |claim| claim.not_after.0);
        return if later(now, RENEW_BEFORE) < ends {
            ClaimDecision::Again
        } else {
            ClaimDecision::Grant
        };
    }
    let Some(left) = LEASE.checked_sub(silence).filter(|left| !left.is_zero()) else {
        return ClaimDecision::GrantNextBoot;
    };
    let reason = format!(
        "another agent holds this machine and was heard {} s ago; if the machine was restarted, its lease ends in {} s",
        seconds(silence),
        seconds(left),
    );
    let retry = seconds(left).saturating_add(1).min(RETRY);
    match &session.contender {
        Some(_) => ClaimDecision::Refuse { reason, retry },
        None => {
            let contender = Contender {
                public_key: ask.key,
                at: Time(now),
            };
            ClaimDecision::Contend {
                contender,
                reason,
                retry,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples::{WINDOW, at, key, session};
    use super::super::{claimed, next_boot};
    use super::*;
    use crate::sessions::samples::claim_of;

    fn attempt() -> Attempt {
        Attempt {
            number: 3,
            workflow: "w".into(),
            ..Attempt::default()
        }
    }

    const FRESH: Duration = Duration::from_secs(9);
    const LAPSED: Duration = Duration::from_secs(46);

    fn ask(key_octet: u8) -> Ask<'static> {
        Ask {
            boot_id: "boot-a",
            key: key(key_octet),
        }
    }

    fn decide(session: Option<&BootSession>, ask: Ask<'_>, silence: Duration, second: i64) -> ClaimDecision {
        claim(Some(&attempt()), session, ask, silence, at(second))
    }

    #[track_caller]
    fn refused(decision: ClaimDecision, part: &str) {
        let ClaimDecision::Refuse { reason, retry } = decision else {
            panic!("{decision:?}")
        };
        assert!(reason.contains(part), "{reason}");
        assert!((1..=30).contains(&retry), "{retry}");
    }

    #[test]
    fn the_first_key_in_the_window_wins() {
        for phase in [SessionPhase::Arming, SessionPhase::Armed] {
            assert_eq!(
                decide(Some(&session(phase)), ask(1), FRESH, 60),
                ClaimDecision::Grant
            );
        }
    }

    #[test]
    fn what_is_not_armed_is_refused() {
        refused(decide(None, ask(1), FRESH, 60), "not armed");
        let armed = session(SessionPhase::Armed);
        refused(
            decide(
                Some(&armed),
                Ask {
                    boot_id: "boot-x",
                    ..ask(1)
                },
                FRESH,
                60,
            ),
            "boot id",
        );
        refused(decide(Some(&armed), ask(1), FRESH, 45 * 60 + 1), "window ended");
        refused(claim(None, Some(&armed), ask(1), FRESH, at(60)), "newer attempt");
        let newer = Attempt {
            number: 4,
            ..attempt()
        };
        refused(
            claim(Some(&newer), Some(&armed), ask(1), FRESH, at(60)),
            "newer attempt",
        );
        let over = Attempt {
            closed: true,
            ..attempt()
        };
        refused(
            claim(Some(&over), Some(&armed), ask(1), FRESH, at(60)),
            "is closed",
        );
        refused(
            decide(Some(&session(SessionPhase::Closed)), ask(1), FRESH, 60),
            "has ended",
        );
        refused(
            decide(Some(&session(SessionPhase::Frozen)), ask(1), FRESH, 60),
            "two agents",
        );
    }

    #[test]
    fn the_same_key_gets_the_same_certificate_until_it_is_nearly_over() {
        let claimed = session(SessionPhase::Claimed);
        assert_eq!(decide(Some(&claimed), ask(1), FRESH, 60), ClaimDecision::Again);
        assert_eq!(
            decide(Some(&claimed), ask(1), FRESH, 3600 - 60),
            ClaimDecision::Grant
        );
        let disarmed = session(SessionPhase::Disarmed);
        assert_eq!(decide(Some(&disarmed), ask(1), FRESH, 60), ClaimDecision::Again);
        refused(decide(Some(&disarmed), ask(2), LAPSED, 60), "disarmed");
    }

    #[test]
    fn a_second_key_waits_for_the_lease_and_both_alive_freeze() {
        let mut held = session(SessionPhase::Claimed);
        let ClaimDecision::Contend {
            contender,
            reason,
            retry,
        } = decide(Some(&held), ask(2), FRESH, 60)
        else {
            panic!("a second key must be recorded")
        };
        assert!(
            reason.contains("9 s ago") && reason.contains("ends in 36 s"),
            "{reason}"
        );
        assert_eq!(retry, 30);
        held.contender = Some(contender);
        refused(
            decide(Some(&held), ask(2), Duration::from_secs(40), 91),
            "ends in 5 s",
        );
        refused(decide(Some(&held), ask(3), FRESH, 91), "another agent");
        assert!(matches!(
            decide(Some(&held), ask(1), FRESH, 92),
            ClaimDecision::Freeze { .. }
        ));
    }

    #[test]
    fn a_reset_machine_gets_the_next_boot_when_the_lease_is_over() {
        let mut held = session(SessionPhase::Claimed);
        held.contender = Some(Contender {
            public_key: key(2),
            at: Time(at(15)),
        });
        assert_eq!(
            decide(Some(&held), ask(2), LAPSED, 61),
            ClaimDecision::GrantNextBoot
        );

        // The controller was first: boot 2 is armed, the machine still carries boot 1's id.
        let armed = next_boot(&held, "boot-b".into(), at(61), WINDOW);
        assert_eq!(
            (armed.boot, armed.revoked.as_slice()),
            (2, &["01".to_owned()][..])
        );
        assert_eq!(decide(Some(&armed), ask(2), FRESH, 62), ClaimDecision::Grant);
        assert_eq!(
            decide(
                Some(&armed),
                Ask {
                    boot_id: "boot-b",
                    key: key(2)
                },
                FRESH,
                62
            ),
            ClaimDecision::Grant
        );
        // The old agent was only cut off: it is fenced, and may be the agent again.
        assert_eq!(decide(Some(&armed), ask(1), FRESH, 62), ClaimDecision::Grant);
        // Once boot 2 is claimed, the old id is no way around its holder.
        let held = claimed(&armed, claim_of(2, "02"), at(62));
        assert!(matches!(
            decide(Some(&held), ask(1), FRESH, 63),
            ClaimDecision::Contend { .. }
        ));
        assert_eq!(decide(Some(&held), ask(2), FRESH, 63), ClaimDecision::Again);
    }
}
