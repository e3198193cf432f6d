//! Deleting: the driver is asked until nothing is left, and then whether that is so.
//!
//! Entry: somebody deletes the object. Exit: the object goes, on evidence: either no call that makes a machine was ever begun,
//! or the driver has said that the machine is deleted and after that that there is none. No deadline: what is not known to be
//! gone is held.

use jiff::Timestamp;

use super::waiting::before_call;
use crate::plugin_state::PluginState;
use crate::snapshot::Snapshot;
use crate::step::{Effect, Method, Step};

pub(super) fn decide(snapshot: &Snapshot, now: Timestamp) -> Step {
    if !snapshot.is_held() {
        return Step::rest();
    }
    let plugin = snapshot.plugin();
    let is_gone = plugin.deleted_at.is_some() && plugin.absent_since.is_some();
    if plugin.attempts == 0 || is_gone {
        return Step::Do(Effect::RemoveFinalizer);
    }
    if snapshot.state() != PluginState::Deleting {
        return Step::go(
            PluginState::Deleting,
            format!("{} is asked to delete it", snapshot.whom()),
        );
    }
    if let Some(step) = before_call(snapshot, now) {
        return step;
    }
    let confirms = plugin.deleted_at.is_some();
    Step::Do(Effect::Call(match confirms {
        true => Method::Confirm,
        false => Method::Delete,
    }))
}
