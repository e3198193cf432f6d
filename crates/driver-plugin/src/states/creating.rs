//! Pending and creating: the driver is asked until the machine runs.
//!
//! Entry: a new object. Exits: `running` when the driver has settled; `failed` when it can't be made, or not in time.
//! Deadline: `spec.deadlineMinutes` from the first call on, which counts only while the driver answers.

use jiff::Timestamp;

use super::waiting::{before_call, wait};
use crate::plugin_state::PluginState;
use crate::snapshot::{Snapshot, UserdataView};
use crate::step::{Effect, Method, Step, fail};

/// Minutes from the first call to a machine that runs.
const DEADLINE: u32 = 60;

pub(super) fn decide(snapshot: &Snapshot, now: Timestamp) -> Step {
    if let Some(step) = before_call(snapshot, now) {
        return step;
    }
    if let Some(fault) = missing(snapshot) {
        return wait(fault, now);
    }
    if !snapshot.is_held() {
        return Step::Do(Effect::AddFinalizer);
    }
    if snapshot.state() == PluginState::Pending {
        return Step::go(
            PluginState::Creating,
            format!("{} is asked for it", snapshot.whom()),
        );
    }
    if let Some(reason) = too_late(snapshot, now) {
        return fail(reason);
    }
    let plugin = snapshot.plugin();
    if plugin.call.is_some() || plugin.outcome_unknown {
        return Step::Do(Effect::Call(Method::Find));
    }
    Step::Do(Effect::Call(Method::Create))
}

/// What the object itself lacks.
fn missing(snapshot: &Snapshot) -> Option<String> {
    let spec = &snapshot.machine.spec;
    for (field, value) in [
        ("machineUid", &spec.machine_uid),
        ("clusterUid", &spec.cluster_uid),
    ] {
        if value.is_empty() {
            return Some(format!(
                "spec.{field} is missing: the machine is marked with it at its provider"
            ));
        }
    }
    match &snapshot.userdata {
        UserdataView::Missing(what) => Some(what.clone()),
        UserdataView::Ready => None,
    }
}

fn too_late(snapshot: &Snapshot, now: Timestamp) -> Option<String> {
    let since = snapshot.machine.status.as_ref()?.since.as_ref()?.0;
    let minutes = snapshot.machine.spec.deadline_minutes.unwrap_or(DEADLINE);
    if snapshot.plugin().attempts == 0 || now < steps::minutes_after(since, minutes.into()) {
        return None;
    }
    let last = snapshot.reason().unwrap_or_default();
    Some(format!(
        "it does not run {minutes} minutes after {} was asked for it first: {last}",
        snapshot.whom()
    ))
}
