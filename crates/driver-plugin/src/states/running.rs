//! Running: the machine is looked at now and then.
//!
//! Entry: its driver said that it runs. Exits: `failed` when the provider says that it is gone, or that it will never run
//! again. No deadline.

use jiff::Timestamp;

use super::waiting::before_call;
use crate::snapshot::Snapshot;
use crate::step::{Effect, Method, Step, fail};

pub(super) fn decide(snapshot: &Snapshot, now: Timestamp) -> Step {
    let machine = &snapshot.machine;
    if machine.is_wanted_anew() {
        return fail(format!(
            "installation {} is wanted, and {} does not install a machine anew: another machine takes its place",
            machine.spec.installation,
            snapshot.whom()
        ));
    }
    if let Some(step) = before_call(snapshot, now) {
        return step;
    }
    Step::Do(Effect::Call(Method::Observe))
}
