//! The states of a ProviderMachine on bare metal, one file each: entry, exits, deadline, decision. Pure.

mod booting;
mod failed;
mod failures;
mod installing;
mod pending;
pub(crate) mod preparing;
mod releasing;
mod running;
#[cfg(test)]
mod tests;

use jiff::Timestamp;
use resources::gantry::ProviderMachineState;

use crate::snapshot::Snapshot;
use crate::step::Step;

/// The next step.
#[must_use]
pub fn decide(snapshot: &Snapshot, now: Timestamp) -> Step {
    let state = snapshot
        .machine
        .status
        .as_ref()
        .map_or_else(Default::default, |status| status.state);
    if snapshot.deleting() && state != ProviderMachineState::Releasing {
        return Step::go(ProviderMachineState::Releasing, "being given back");
    }
    match state {
        ProviderMachineState::Pending => pending::decide(snapshot, now),
        ProviderMachineState::Preparing => preparing::decide(snapshot, now),
        ProviderMachineState::Installing => installing::decide(snapshot, now),
        ProviderMachineState::Booting => booting::decide(snapshot, now),
        ProviderMachineState::Running => running::decide(snapshot),
        ProviderMachineState::Releasing => releasing::decide(snapshot, now),
        ProviderMachineState::Failed => failed::decide(),
    }
}
