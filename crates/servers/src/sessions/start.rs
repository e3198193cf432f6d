//! Whether the machine of an armed session can be the claimant at all: it has started, and has fetched the installer.
//!
//! Only the first boot of an attempt is judged so. Later boots follow one that was claimed, and their agent may be one
//! that was cut off and has fetched nothing anew.

use jiff::{SignedDuration, Timestamp};
use resources::gantry::{BootSession, SessionPhase};

use steps::later;

/// The fastest way from power-on to an agent's claim: firmware, boot program, kernel. Emulated machines take more
/// than twice as long.
const FASTEST_START: SignedDuration = SignedDuration::from_secs(3);
/// Seconds after which an agent that was too early asks again.
pub const ASK_AGAIN: u32 = 5;

/// What is known of the installer's way to the machine's address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Installer {
    /// It comes from somewhere else (the Hardware's own script or installer, an ISO).
    NotOurs,
    /// The address last fetched it then, as far as this process has heard.
    Fetched {
        /// When both files were there.
        at: Option<Timestamp>,
        /// When this process began to listen.
        since: Timestamp,
    },
}

/// Why the claim of an armed session is not yet believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Doubt {
    /// The machine has not started, or only just now.
    BeforeStart,
    /// Its address fetched no installer.
    WithoutBoot,
}

/// Judges the claim of a session. `started` is when the machine started, `powered` that this is known from its power
/// and not from a packet of its firmware.
#[must_use]
pub fn doubt(
    session: &BootSession,
    started: Option<Timestamp>,
    powered: bool,
    installer: Installer,
    now: Timestamp,
) -> Option<Doubt> {
    let waiting = matches!(session.phase, SessionPhase::Arming | SessionPhase::Armed);
    if !waiting || session.boot > 1 {
        return None;
    }
    let Some(started) = started else {
        return Some(Doubt::BeforeStart);
    };
    let earliest = if powered {
        later(started, FASTEST_START)
    } else {
        started
    };
    if now < earliest {
        return Some(Doubt::BeforeStart);
    }
    let armed = session.armed_at.0;
    match installer {
        Installer::NotOurs => None,
        Installer::Fetched { at: Some(at), .. } if at >= armed => None,
        // What was fetched before a restart of the appliance is not known; the machine is not held for that. Committed
        // times are whole seconds.
        Installer::Fetched { since, .. } if since >= later(armed, SignedDuration::from_secs(1)) => None,
        Installer::Fetched { .. } => Some(Doubt::WithoutBoot),
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples::{at, session};
    use super::*;

    const BEFORE: i64 = -100;

    fn fetched(second: Option<i64>, since: i64) -> Installer {
        Installer::Fetched {
            at: second.map(at),
            since: at(since),
        }
    }

    #[test]
    fn a_claim_follows_a_start_and_a_fetch() {
        use Doubt::{BeforeStart, WithoutBoot};
        let armed = session(SessionPhase::Armed);
        for (started, powered, installer, now, expected) in [
            (None, true, fetched(Some(9), BEFORE), 60, Some(BeforeStart)),
            (None, false, Installer::NotOurs, 60, Some(BeforeStart)),
            (Some(50), true, fetched(Some(51), BEFORE), 52, Some(BeforeStart)),
            (Some(50), true, fetched(Some(51), BEFORE), 53, None),
            (Some(50), false, fetched(Some(51), BEFORE), 51, None),
            (Some(50), true, fetched(None, BEFORE), 60, Some(WithoutBoot)),
            (Some(50), true, fetched(Some(-1), BEFORE), 60, Some(WithoutBoot)),
            (Some(50), true, fetched(None, 0), 60, Some(WithoutBoot)),
            (Some(50), true, fetched(None, 1), 60, None),
            (Some(50), true, fetched(None, 55), 60, None),
            (Some(50), true, Installer::NotOurs, 60, None),
        ] {
            let doubt = doubt(&armed, started.map(at), powered, installer, at(now));
            assert_eq!(doubt, expected, "{started:?} {powered} {installer:?} {now}");
        }
    }

    #[test]
    fn what_is_claimed_and_later_boots_are_not_judged() {
        let none = |session: &BootSession| doubt(session, None, true, fetched(None, BEFORE), at(60));
        for phase in [
            SessionPhase::Claimed,
            SessionPhase::Disarmed,
            SessionPhase::Closed,
        ] {
            assert_eq!(none(&session(phase)), None, "{phase:?}");
        }
        let mut second = session(SessionPhase::Arming);
        assert_eq!(none(&second), Some(Doubt::BeforeStart));
        second.boot = 2;
        assert_eq!(none(&second), None);
    }
}
