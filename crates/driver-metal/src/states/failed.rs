//! `failed`: stopped, the reason stands in the status. Left by deletion only.

use crate::snapshot::Snapshot;
use crate::step::Step;

pub(super) fn decide(snapshot: &Snapshot) -> Step {
    let reason = snapshot
        .machine
        .status
        .as_ref()
        .and_then(|status| status.reason.clone());
    Step::Wait {
        reason: reason.unwrap_or_else(|| "failed".to_owned()),
        until: None,
        percent: None,
    }
}
