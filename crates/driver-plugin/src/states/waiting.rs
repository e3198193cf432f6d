//! Waits that several ways have.

use jiff::{SignedDuration, Timestamp};

use crate::snapshot::Snapshot;
use crate::step::Step;

/// Waits for something of which nobody knows when it comes.
pub(super) fn wait(reason: String, now: Timestamp) -> Step {
    Step::wait(reason, steps::later(now, SignedDuration::from_hours(24)))
}

/// Waits where no call may be made, or none may be made yet.
pub(super) fn before_call(snapshot: &Snapshot, now: Timestamp) -> Option<Step> {
    if let Some(obstacle) = snapshot.obstacle() {
        return Some(wait(obstacle, now));
    }
    let next = snapshot.plugin().next_call?.0;
    (next > now).then(|| Step::wait(snapshot.reason().unwrap_or_default(), next))
}
