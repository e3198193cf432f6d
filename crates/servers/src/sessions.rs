//! Boot sessions: which agent may work on a machine (DESIGN §7, 11 to 13; reliability reference §2.2, tier 0).
//!
//! A session belongs to one attempt and one boot in it. Everything here is pure; the controller and the service
//! commit what is decided before anybody hears of it.
//!
//! ```text
//!  (higher attempt) -> Arming -> Armed -> Claimed -> Disarmed -> Closed
//!                        ^                 |    \
//!                        '-- next boot ----'     '-> Frozen
//! ```
//!
//! # Who may claim
//!
//! A boot id is public, so it opens nothing by itself. A claim counts only from the address that the machine's Hardware
//! reserves ([`boot_script::Peer`]), with NICs of the Hardware and the mainboard of an earlier inventory ([`Claimant`]),
//! and after the machine has started and fetched the installer ([`doubt`]). What is refused changes no session, so a
//! machine is never locked out by somebody else's try.
//!
//! # One key, one machine
//!
//! The first key that claims an armed boot is the agent. The same key again gets the same certificate. Another key
//! is either an impostor or the same machine after a reset, and the two look alike: a reset machine boots the installer again
//! with the boot id that the script carries, and makes a new key. They are told apart by the lease:
//!
//! - While the claim is fresh (heard within 45 s), the second key is refused and recorded as *contender*, with an alarm
//!   (Event `SecondAgent`); it is told how long to wait and asks again. Nothing is frozen yet, since freezing here would
//!   stop every installation whose machine is reset and back within the lease, and the second key has got nothing.
//! - Is the holder heard more than two seconds after that, both are alive: the session is frozen, the certificate
//!   revoked, an alarm raised (`SessionFrozen`). The Workflow fails with it, and a new attempt, by its ProviderMachine or
//!   by a new Workflow, is what serves the machine again: its number fences both keys.
//! - Is the holder silent until its lease ends, it was reset (or cut off; then it has stopped writing by itself). Boot
//!   k+1 begins at once (`AgentLost`): a new boot id, boot k's certificate revoked. The second key gets it when it asks
//!   next, and continues the Workflow at the action that was running.
//!
//! A machine's kernel arguments are fixed when its agent runs, so a reset machine usually still carries boot id k
//! when boot k+1 begins. Boot ids are public and prove nothing, therefore an earlier boot id of the *same attempt* may
//! claim the current boot; it has to be unclaimed, and the first key wins, as for any armed boot. So neither a reset
//! nor a network outage longer than the lease needs another restart of the machine, and a fenced agent that is back
//! claims again and continues with the next boot's certificate.
//!
//! # The armed window
//!
//! It counts from the machine's start ([`Window`]): before that the session waits for power-on or the first packet, and
//! with it the deadline moves, once. Boot k+1 has no such wait: its machine runs. A claim after the deadline is refused.

mod claim;
mod fit;
mod hearing;
mod out_of_band;
mod standing;
mod start;
mod upkeep;
mod window;

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use resources::gantry::{BootSession, SessionClaim, SessionPhase};
use resources::{Digest, Time};

pub use claim::{Ask, ClaimDecision, claim};
pub use fit::{Claimant, Misfit};
pub use hearing::hearing;
pub use out_of_band::ControlPlaneProof;
pub(crate) use out_of_band::{Admission, admission, is_control_plane, is_required, proof};
pub use standing::{FirstBootCall, NotAllowed, standing, standing_for_first_boot};
pub use start::{ASK_AGAIN, Doubt, Installer, doubt};
pub use upkeep::{Seen, Upkeep, apply, upkeep};
pub use window::{Allowances, Window};

/// Life of an agent's certificate.
pub const CERTIFICATE_LIFE: SignedDuration = SignedDuration::from_hours(1);
/// Longest life of a first-boot certificate (DESIGN §7, 16). What ends it is the object: a newer attempt, the end of the
/// first boot, or that the server is given back. Before that a machine may wait for long, for its cluster's first member.
pub const FIRST_BOOT_LIFE: SignedDuration = SignedDuration::from_hours(30 * 24);
/// A certificate that ends sooner is replaced when its key asks again.
const RENEW_BEFORE: SignedDuration = SignedDuration::from_mins(10);
/// Earlier boots that are remembered.
const REMEMBERED: usize = 8;

/// The first boot of an attempt: waits for its machine to start.
#[must_use]
pub fn first(attempt: u64, boot_id: String, now: Timestamp, window: Window) -> BootSession {
    BootSession {
        attempt,
        boot: 1,
        boot_id,
        phase: SessionPhase::Arming,
        armed_at: Time(now),
        deadline: Time(window.before_start(now)),
        started_at: None,
        post_minutes: Some(window.post_minutes),
        last_packet: None,
        strangers: Vec::new(),
        claim: None,
        revoked: Vec::new(),
        last_heard: None,
        contender: None,
        superseded: Vec::new(),
    }
}

/// The session of a machine that started then: the window counts from there.
#[must_use]
pub fn started(session: &BootSession, at: Timestamp, window: Window) -> BootSession {
    let mut session = session.clone();
    session.started_at = Some(Time(at));
    session.post_minutes = Some(window.post_minutes);
    session.deadline = Time(window.after_start(at));
    session
}

/// The next boot of the same attempt: fences the claim of this one.
#[must_use]
pub fn next_boot(session: &BootSession, boot_id: String, now: Timestamp, window: Window) -> BootSession {
    let mut next = started(&first(session.attempt, boot_id, now, window), now, window);
    next.boot = session.boot.saturating_add(1);
    next.revoked.clone_from(&session.revoked);
    next.revoked
        .extend(session.claim.iter().map(|claim| claim.serial.clone()));
    next.superseded.clone_from(&session.superseded);
    next.superseded.push(session.boot_id.clone());
    let surplus = next.superseded.len().saturating_sub(REMEMBERED);
    next.superseded.drain(..surplus);
    next
}

/// The session with this claim.
#[must_use]
pub fn claimed(session: &BootSession, claim: SessionClaim, now: Timestamp) -> BootSession {
    let mut session = session.clone();
    session.phase = SessionPhase::Claimed;
    session.claim = Some(claim);
    session.contender = None;
    session.last_heard = Some(Time(now));
    session
}

/// The session after its holder got another certificate, perhaps for another key. It was claimed when it was claimed.
#[must_use]
pub fn renewed(session: &BootSession, mut claim: SessionClaim, now: Timestamp) -> BootSession {
    let mut session = session.clone();
    let old = session.claim.take();
    if let Some(old) = &old {
        claim.at = old.at.clone();
    }
    session.claim = Some(claim);
    session.revoked.extend(old.map(|claim| claim.serial));
    session.last_heard = Some(Time(now));
    session
}

/// The session in which nobody is served any more.
#[must_use]
pub fn frozen(session: &BootSession) -> BootSession {
    let mut session = session.clone();
    session.phase = SessionPhase::Frozen;
    session
        .revoked
        .extend(session.claim.iter().map(|claim| claim.serial.clone()));
    session
}

/// The ended session.
#[must_use]
pub fn closed(session: &BootSession) -> BootSession {
    let mut session = session.clone();
    session.phase = SessionPhase::Closed;
    let serial = session.claim.as_ref().map(|claim| claim.serial.clone());
    if let Some(serial) = serial.filter(|serial| !session.revoked.contains(serial)) {
        session.revoked.push(serial);
    }
    session
}

fn is_holder(session: &BootSession, key: Digest) -> bool {
    session
        .claim
        .as_ref()
        .is_some_and(|claim| claim.public_key == key)
}

fn seconds(duration: Duration) -> u32 {
    u32::try_from(duration.as_secs()).unwrap_or(u32::MAX)
}

#[cfg(test)]
pub(crate) mod samples {
    //! Sessions for tables.
    use super::*;

    pub(crate) const WINDOW: Window = Window {
        ours: true,
        start_minutes: 30,
        post_minutes: 30,
    };

    pub(crate) fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    pub(crate) fn key(octet: u8) -> Digest {
        Digest::new([octet; 32])
    }

    pub(crate) fn claim_of(octet: u8, serial: &str) -> SessionClaim {
        SessionClaim {
            public_key: key(octet),
            serial: serial.into(),
            certificate: format!("certificate {serial}"),
            at: Time(at(0)),
            not_after: Time(at(3600)),
        }
    }

    pub(crate) fn session(phase: SessionPhase) -> BootSession {
        let mut session = started(&first(3, "boot-a".into(), at(0), WINDOW), at(0), WINDOW);
        session.phase = phase;
        if !matches!(phase, SessionPhase::Arming | SessionPhase::Armed) {
            session.claim = Some(claim_of(1, "01"));
        }
        session
    }
}
