//! The CNI: applied, then done when a node is Ready with it. No CNI of ours: done at once.

use steps::Step;

use crate::execute::decision::{Decision, Effect, View, done};
use crate::observe::{ApiSeen, brings_cni};

pub(super) fn decide(view: View<'_>) -> Decision {
    let ApiSeen::Answers { nodes, system } = &view.snapshot.api else {
        return view.wait_for_others("waits for the cluster's API");
    };
    if !brings_cni(view.snapshot) {
        return done();
    }
    if !system.cni_applied {
        return Step::Do(Effect::ApplyCni);
    }
    if nodes.iter().any(|node| node.ready) {
        return done();
    }
    match nodes.iter().next() {
        None => view.wait("waits for a node"),
        Some(node) => view.wait(format!(
            "node {} is not Ready yet: {}",
            node.name,
            node.reason.as_deref().unwrap_or("no reason given")
        )),
    }
}
