//! A failed installation is recorded on its Server before anything follows from it, because the Server may be given back
//! then, and the next choice of a server depends on it.

use crate::snapshot::Snapshot;
use crate::step::{Effect, Step};

/// Records that the first boot of the installed system has failed, unless it is recorded.
pub(super) fn record_first_boot(snapshot: &Snapshot) -> Option<Step> {
    let first = snapshot.first_boot()?;
    record(snapshot, first.attempt, &first.failure.as_ref()?.to_string())
}

/// Records that this attempt failed, unless it is recorded.
pub(super) fn record(snapshot: &Snapshot, attempt: u64, reason: &str) -> Option<Step> {
    let known = snapshot.claimed()?.spec.last_failure.as_ref();
    if known.is_some_and(|failure| failure.attempt == attempt) {
        return None;
    }
    Some(Step::Do(Effect::RecordFailure {
        attempt,
        reason: reason.to_owned(),
    }))
}
