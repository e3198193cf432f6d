//! `running`: the installed system has shown itself. Left by deletion only, or to `failed` when the claim was taken away.

use crate::snapshot::Snapshot;
use crate::step::{Effect, Step, fail};

pub(super) fn decide(snapshot: &Snapshot) -> Step {
    match snapshot.claimed() {
        Some(server) if server.spec.last_failure.is_some() => Step::Do(Effect::ClearFailure),
        Some(_) => Step::done("runs"),
        None => fail("the server was taken away from a running machine"),
    }
}
