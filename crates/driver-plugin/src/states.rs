//! The decision: one file for each way in which a machine is on.

mod creating;
mod deleting;
mod running;
mod waiting;

#[cfg(test)]
mod tests;

use jiff::Timestamp;

use crate::plugin_state::PluginState;
use crate::snapshot::Snapshot;
use crate::step::Step;

/// The next step of a machine. Pure.
#[must_use]
pub fn decide(snapshot: &Snapshot, now: Timestamp) -> Step {
    if snapshot.is_deleted() {
        return deleting::decide(snapshot, now);
    }
    match snapshot.state() {
        PluginState::Pending | PluginState::Creating => creating::decide(snapshot, now),
        PluginState::Running => running::decide(snapshot, now),
        // Nothing takes a deletion back.
        PluginState::Deleting | PluginState::Failed => Step::rest(),
    }
}
