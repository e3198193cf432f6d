//! The lifecycle of a server, one file for each state. Pure: a snapshot and the time in, one step out.
//!
//! ```text
//! discovered -> available -> claimed -> provisioning -> running
//!                   ^           |  ^        |   |          |
//!                   |           |  '--------'   v          |
//!                   '------- releasing <----- failed <-----'
//! ```
//!
//! An attempt to wipe leads from `provisioning` to `wiping`, and from there back to `claimed` with its end, or to `failed`.

mod attempt;
mod available;
mod claimed;
mod discovered;
mod effect;
mod failed;
mod provisioning;
mod releasing;
mod running;
mod snapshot;
mod wiping;

use jiff::Timestamp;
use resources::gantry::ServerState;

pub(crate) use effect::{Effect, Step};
pub(crate) use snapshot::{FOREIGN, Snapshot};

/// The next step of a server.
pub(crate) fn decide(snapshot: &Snapshot<'_>, now: Timestamp) -> Step {
    if let Some(step) = snapshot.trust_step() {
        return step;
    }
    match snapshot.state() {
        ServerState::Discovered => discovered::decide(snapshot),
        ServerState::Available => available::decide(snapshot),
        ServerState::Claimed => claimed::decide(snapshot),
        ServerState::Provisioning => provisioning::decide(snapshot, now),
        ServerState::Running => running::decide(snapshot),
        ServerState::Releasing => releasing::decide(snapshot, now),
        ServerState::Wiping => wiping::decide(snapshot, now),
        ServerState::Failed => failed::decide(snapshot),
    }
}

#[cfg(test)]
mod samples;
