//! The end of a creation: DNS and kube-proxy run on every node, the kubeconfig is written, no bootstrap data is left.

use super::{Decision, Effect, wait};
use crate::execute::snapshot::{ApiSeen, Snapshot};

pub(super) fn decide(snapshot: &Snapshot) -> Decision {
    let Some(desired) = &snapshot.desired else {
        return wait("waits for the cluster's documents");
    };
    if !snapshot.kubeconfig {
        return Decision::Do(Effect::WriteKubeconfig);
    }
    let ApiSeen::Answers { nodes, system } = &snapshot.api else {
        return wait("waits for the cluster's API");
    };
    if let Some(node) = nodes.iter().find(|node| !node.ready) {
        return wait(format!(
            "node {} is not Ready: {}",
            node.name,
            node.reason.as_deref().unwrap_or("no reason given")
        ));
    }
    if let Some(missing) = &system.missing {
        return wait(missing.clone());
    }
    let left = desired.machines.iter().find(|machine| {
        snapshot.bootstrap.contains_key(&machine.name) && snapshot.first_boot_done(&machine.name)
    });
    left.map_or(Decision::Done, |machine| {
        Decision::Do(Effect::DropBootstrap(machine.name.clone()))
    })
}
