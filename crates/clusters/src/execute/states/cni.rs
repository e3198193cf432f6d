//! The CNI: applied, then done when a node is Ready with it. No CNI of ours: done at once.

use super::{Decision, Effect, wait};
use crate::execute::snapshot::{ApiSeen, Snapshot};

pub(super) fn decide(snapshot: &Snapshot) -> Decision {
    let Some(desired) = &snapshot.desired else {
        return wait("waits for the cluster's documents");
    };
    let ApiSeen::Answers { nodes, system } = &snapshot.api else {
        return wait("waits for the cluster's API");
    };
    if desired.cni != "flannel" {
        return Decision::Done;
    }
    if !system.cni_applied {
        return Decision::Do(Effect::ApplyCni);
    }
    if nodes.iter().any(|node| node.ready) {
        return Decision::Done;
    }
    match nodes.first() {
        None => wait("waits for a node"),
        Some(node) => wait(format!(
            "node {} is not Ready yet: {}",
            node.name,
            node.reason.as_deref().unwrap_or("no reason given")
        )),
    }
}
