//! Whether a certificate still counts, judged by the live object and never by the certificate alone.

use jiff::Timestamp;
use resources::Digest;
use resources::gantry::{Attempt, BootSession, FirstBoot, SessionPhase};

use super::is_holder;

/// Why a certificate does not count.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotAllowed {
    /// It is of another attempt than the open one.
    #[error("attempt {named} is fenced: {}", current.map_or_else(|| "none is wanted".to_owned(), |current| format!("attempt {current} is wanted")))]
    Fenced {
        /// Attempt of the certificate.
        named: u64,
        /// Attempt that is wanted.
        current: Option<u64>,
    },
    /// Its attempt has ended.
    #[error("attempt {0} has ended")]
    Ended(u64),
    /// Two agents claimed the machine.
    #[error("the session of attempt {0} is frozen: two agents claimed this machine")]
    Frozen(u64),
    /// Its serial number was revoked or its key is not the holder's.
    #[error("this certificate was replaced; claim again")]
    Replaced,
    /// The first boot of its attempt has failed.
    #[error("the first boot of attempt {0} has failed; another installation is needed")]
    Failed(u64),
    /// It is over its time.
    #[error("this certificate ended at {0}")]
    Expired(Timestamp),
}

/// Whether the agent with this certificate may work.
pub fn standing(
    wanted: Option<&Attempt>,
    session: Option<&BootSession>,
    attempt: u64,
    key: Digest,
    serial: &str,
) -> Result<(), NotAllowed> {
    let current = wanted.map(|wanted| wanted.number);
    let fenced = NotAllowed::Fenced {
        named: attempt,
        current,
    };
    let (Some(wanted), Some(session)) = (wanted, session) else {
        return Err(fenced);
    };
    if wanted.number != attempt || session.attempt != attempt {
        return Err(fenced);
    }
    match session.phase {
        SessionPhase::Frozen => return Err(NotAllowed::Frozen(attempt)),
        SessionPhase::Closed => return Err(NotAllowed::Ended(attempt)),
        _ if wanted.closed => return Err(NotAllowed::Ended(attempt)),
        SessionPhase::Arming | SessionPhase::Armed => return Err(NotAllowed::Replaced),
        SessionPhase::Claimed | SessionPhase::Disarmed => {}
    }
    if !is_holder(session, key) || session.revoked.iter().any(|revoked| revoked == serial) {
        return Err(NotAllowed::Replaced);
    }
    Ok(())
}

/// What an installed system asks for or says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FirstBootCall {
    /// It asks for its data.
    Data,
    /// It says what it works on, or that it has failed. What was said before may be said again.
    Report,
    /// It is done, and may say so again.
    Done,
}

/// Whether a call of the installed system with this certificate counts: as long as no newer attempt is wanted, and its first
/// boot has not ended otherwise.
pub fn standing_for_first_boot(
    wanted: Option<&Attempt>,
    first_boot: Option<&FirstBoot>,
    attempt: u64,
    key: Digest,
    now: Timestamp,
    call: FirstBootCall,
) -> Result<(), NotAllowed> {
    let current = wanted.map(|wanted| wanted.number);
    let fenced = NotAllowed::Fenced {
        named: attempt,
        current,
    };
    let of_attempt = first_boot.filter(|first_boot| first_boot.attempt == attempt);
    let Some(first_boot) = of_attempt.filter(|_| current == Some(attempt)) else {
        return Err(fenced);
    };
    if first_boot.public_key != key {
        return Err(NotAllowed::Replaced);
    }
    if first_boot.revoked_at.is_some() && call != FirstBootCall::Done {
        return Err(NotAllowed::Ended(attempt));
    }
    if first_boot.failure.is_some() && call != FirstBootCall::Report {
        return Err(NotAllowed::Failed(attempt));
    }
    if now > first_boot.not_after.0 {
        return Err(NotAllowed::Expired(first_boot.not_after.0));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::samples::{at, key, session};
    use super::*;
    use resources::Time;
    use resources::gantry::FirstBootFailure;

    #[test]
    fn only_the_holder_of_the_open_attempt_stands() {
        let wanted = Attempt {
            number: 3,
            workflow: "w".into(),
            ..Attempt::default()
        };
        let stands = |session: &BootSession, attempt: u64, octet: u8, serial: &str| {
            standing(Some(&wanted), Some(session), attempt, key(octet), serial)
        };
        for phase in [SessionPhase::Claimed, SessionPhase::Disarmed] {
            assert_eq!(stands(&session(phase), 3, 1, "01"), Ok(()));
            assert_eq!(
                stands(&session(phase), 3, 2, "01"),
                Err(NotAllowed::Replaced),
                "another key"
            );
        }
        let mut held = session(SessionPhase::Claimed);
        held.revoked.push("01".into());
        assert_eq!(
            stands(&held, 3, 1, "01"),
            Err(NotAllowed::Replaced),
            "revoked serial"
        );
        assert_eq!(stands(&held, 3, 1, "02"), Ok(()), "its successor");
        assert!(matches!(
            stands(&held, 2, 1, "02"),
            Err(NotAllowed::Fenced {
                named: 2,
                current: Some(3)
            })
        ));
        assert_eq!(
            stands(&session(SessionPhase::Frozen), 3, 1, "01"),
            Err(NotAllowed::Frozen(3))
        );
        assert_eq!(
            stands(&session(SessionPhase::Closed), 3, 1, "01"),
            Err(NotAllowed::Ended(3))
        );
        assert_eq!(
            stands(&session(SessionPhase::Armed), 3, 1, "01"),
            Err(NotAllowed::Replaced)
        );
        let over = Attempt {
            closed: true,
            ..wanted.clone()
        };
        let open = session(SessionPhase::Claimed);
        assert_eq!(
            standing(Some(&over), Some(&open), 3, key(1), "01"),
            Err(NotAllowed::Ended(3))
        );
        assert!(matches!(
            standing(None, Some(&open), 3, key(1), "01"),
            Err(NotAllowed::Fenced { .. })
        ));
    }

    #[test]
    fn a_first_boot_counts_by_key_attempt_and_time() {
        let mut first = FirstBoot::new(3, key(9), "0a".into(), Time(at(7200)));
        let wanted = |number| Attempt {
            number,
            closed: true,
            ..Attempt::default()
        };
        let open = wanted(3);
        let stands = |first: &FirstBoot, attempt, octet, second, call| {
            standing_for_first_boot(Some(&open), Some(first), attempt, key(octet), at(second), call)
        };
        let all = [FirstBootCall::Data, FirstBootCall::Report, FirstBootCall::Done];
        for call in all {
            assert_eq!(stands(&first, 3, 9, 60, call), Ok(()));
            assert_eq!(stands(&first, 3, 8, 60, call), Err(NotAllowed::Replaced));
            assert!(matches!(
                stands(&first, 2, 9, 60, call),
                Err(NotAllowed::Fenced { .. })
            ));
            assert_eq!(
                stands(&first, 3, 9, 7201, call),
                Err(NotAllowed::Expired(at(7200)))
            );
            assert!(standing_for_first_boot(Some(&open), None, 3, key(9), at(0), call).is_err());
            for newer in [Some(&wanted(4)), None] {
                assert!(matches!(
                    standing_for_first_boot(newer, Some(&first), 3, key(9), at(60), call),
                    Err(NotAllowed::Fenced { named: 3, .. })
                ));
            }
        }
        let [data, report, done] = all.map(|call| move |first: &FirstBoot| stands(first, 3, 9, 101, call));
        first.revoked_at = Some(Time(at(100)));
        let ended = Err(NotAllowed::Ended(3));
        assert_eq!(
            (data(&first), report(&first)),
            (ended.clone(), ended),
            "it was done"
        );
        assert_eq!(done(&first), Ok(()), "saying done twice");
        first.revoked_at = None;
        first.failure = Some(FirstBootFailure {
            stage: "kubeadm-join".into(),
            exit_status: Some(1),
            lines: Vec::new(),
            at: Time(at(100)),
        });
        let failed = Err(NotAllowed::Failed(3));
        assert_eq!((data(&first), done(&first)), (failed.clone(), failed));
        assert_eq!(report(&first), Ok(()), "saying twice that it failed");
    }
}
