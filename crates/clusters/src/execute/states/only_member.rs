//! The only member of a control plane on its way to the next installation. Its machine is marked, the intent is written, and
//! etcd is stopped and saved; another machine is given the data once nobody else has them, and etcd takes writes again as soon
//! as it runs there.

use steps::Step;

use super::join;
use super::provision::asks;
use crate::execute::decision::{DataEffect, Decision, Effect, View, done, fail};
use crate::observe::{ApiSeen, EtcdSeen, NodeView};
use crate::plan::CONTROL_PLANE_NODE;

/// Done when the data are whole.
pub(super) fn save(view: View<'_>) -> Decision {
    let machine = view.machine();
    let saved = view.snapshot.saved();
    match saved {
        Some(saved) if saved.machine != machine => fail(format!(
            "the etcd of {} was stopped before, and its data are the ones to be restored",
            saved.machine
        )),
        Some(saved) if saved.snapshot.is_some() => done(),
        Some(_) => match &view.snapshot.etcd {
            EtcdSeen::Members(etcd) if etcd.members.len() == 1 || etcd.is_frozen() => {
                Step::Do(Effect::Data(DataEffect::Save(machine.to_owned())))
            }
            EtcdSeen::Members(etcd) => view.wait(format!(
                "{machine}: its etcd is stopped only while it is alone, and it has {} members",
                etcd.members.len()
            )),
            _ => view.wait(format!("{machine}: etcd does not say who its members are")),
        },
        None => view
            .mark()
            .unwrap_or_else(|| Step::Do(Effect::Data(DataEffect::Begin(machine.to_owned())))),
    }
}

/// Done when the cluster's API answers and its node is there, as for the first member of a new cluster.
pub(super) fn restore(view: View<'_>) -> Decision {
    let (machine, snapshot) = (view.machine(), view.snapshot);
    if let Some(decision) = asks(view) {
        return decision;
    }
    let runs_them = snapshot.is_founder(machine) && snapshot.was_given_data(machine);
    if let (Some(_), EtcdSeen::Members(etcd)) = (snapshot.saved(), &snapshot.etcd)
        && runs_them
        && (etcd.is_frozen() || etcd.serves())
    {
        return Step::Do(Effect::Data(DataEffect::Thaw(machine.to_owned())));
    }
    start(view)
}

/// The first member of a control plane, whether it starts with saved data or without.
pub(super) fn start(view: View<'_>) -> Decision {
    let decision = join::decide(view, join::How::Init);
    let founder = view.snapshot.founder();
    let is_restored = founder.is_some_and(|founder| founder.restored_from.is_some());
    if !is_restored || decision != done() {
        return decision;
    }
    stale_member(view).map_or(decision, |node| Step::Do(Effect::DeleteStaleNode(node)))
}

/// A node of the control plane that is on no machine of the cluster: an older snapshot still knows it.
fn stale_member(view: View<'_>) -> Option<String> {
    let snapshot = view.snapshot;
    let ApiSeen::Answers { nodes, .. } = &snapshot.api else {
        return None;
    };
    let existing = snapshot.existing();
    let is_known = |node: &NodeView| {
        let mut machines = existing.iter();
        machines.any(|machine| {
            snapshot
                .node(machine)
                .is_some_and(|known| known.name == node.name)
        })
    };
    let is_member = |node: &&NodeView| node.labels.contains_key(CONTROL_PLANE_NODE);
    let mut members = nodes.iter().filter(is_member);
    members.find(|node| !is_known(node)).map(|node| node.name.clone())
}
