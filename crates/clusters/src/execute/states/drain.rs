//! The pods of a node are moved before its machine goes. Done when none is left that has to move, or the node is gone, or when
//! what comes after it has begun.

use steps::Step;

use crate::execute::decision::{Decision, Effect, View, done};
use crate::observe::ApiSeen;

pub(super) fn decide(view: View<'_>) -> Decision {
    let machine = view.machine();
    if view.saves_data_of(machine) {
        return done();
    }
    if !matches!(view.snapshot.api, ApiSeen::Answers { .. }) {
        return view.wait_for_others(format!(
            "{machine}: waits for the cluster's API before its pods are moved"
        ));
    }
    if let Some(mark) = view.mark() {
        return mark;
    }
    match view.snapshot.own_node(machine) {
        None => done(),
        Some(_) => Step::Do(Effect::Drain(machine.to_owned())),
    }
}
