//! `running`: the installed system has shown itself. Left by deletion only, or to `failed` when the claim was taken away.

use super::fail;
use crate::snapshot::Snapshot;
use crate::step::Step;

pub(super) fn decide(snapshot: &Snapshot) -> Step {
    match snapshot.claimed() {
        Some(_) => Step::Wait {
            reason: "runs".to_owned(),
            until: None,
            percent: None,
        },
        None => fail("the server was taken away from a running machine"),
    }
}
