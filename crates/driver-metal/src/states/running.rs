//! `running`: the installed system has shown itself, and its first boot goes on, is done or has failed. Left by deletion, with
//! another installation that is wanted, to `repairing` with a repair that is wanted, or to `failed` when the claim was taken away.

use super::failures::record_first_boot;
use crate::metal_state::MetalState;
use crate::repair;
use crate::snapshot::Snapshot;
use crate::step::{Effect, Step, fail};

pub(super) fn decide(snapshot: &Snapshot) -> Step {
    let Some(server) = snapshot.claimed() else {
        return fail("the server was taken away from a running machine");
    };
    if let Some(step) = record_first_boot(snapshot) {
        return step;
    }
    let first = snapshot.first_boot();
    if let Some(failure) = first.and_then(|first| first.failure.as_ref()) {
        return Step::done(failure.to_string());
    }
    let is_done = first.is_some_and(|first| first.revoked_at.is_some());
    if is_done && server.spec.last_failure.is_some() {
        return Step::Do(Effect::ClearFailure);
    }
    if let Some(number) = repair::wanted(snapshot).filter(|_| is_done) {
        return Step::go(
            MetalState::Repairing,
            format!("repair {number} is wanted: its certificates are renewed in the installer"),
        );
    }
    match first.and_then(|first| first.stage.as_ref()) {
        Some(stage) if !is_done => Step::done(format!("first boot: {}", stage.name)),
        _ => Step::done("runs"),
    }
}
