//! The states of a ProviderMachine on bare metal, one file each: entry, exits, deadline, decision. Pure.

mod adopting;
mod anew;
mod booting;
mod failed;
mod failures;
mod installing;
mod pending;
pub(crate) mod preparing;
pub(crate) mod releasing;
mod repairing;
mod running;
#[cfg(test)]
mod tests;
mod wiping;

use jiff::Timestamp;

use crate::metal_state::MetalState;
use crate::snapshot::Snapshot;
use crate::step::Step;

/// Whether an installation has come to its end in this state, well or not.
const fn has_ended(state: MetalState) -> bool {
    matches!(
        state,
        MetalState::Booting | MetalState::Running | MetalState::Failed
    )
}

/// The next step.
#[must_use]
pub fn decide(snapshot: &Snapshot, now: Timestamp) -> Step {
    let state = snapshot.state();
    if snapshot.deleting() && !matches!(state, MetalState::Releasing | MetalState::Wiping) {
        return Step::go(MetalState::Releasing, "being given back");
    }
    if has_ended(state) && snapshot.machine.is_wanted_anew() {
        return anew::decide(snapshot);
    }
    match state {
        MetalState::Pending => pending::decide(snapshot, now),
        MetalState::Preparing => preparing::decide(snapshot, now),
        MetalState::Installing => installing::decide(snapshot, now),
        MetalState::Booting => booting::decide(snapshot, now),
        MetalState::Running => running::decide(snapshot),
        MetalState::Repairing => repairing::decide(snapshot, now),
        MetalState::Releasing => releasing::decide(snapshot, now),
        MetalState::Wiping => wiping::decide(snapshot, now),
        MetalState::Failed => failed::decide(),
    }
}
