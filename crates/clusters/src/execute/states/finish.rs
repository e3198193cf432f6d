//! The end of a creation: every wanted machine is a Ready node, DNS and kube-proxy run, the kubeconfig is written, no
//! bootstrap data is left. Nodes that belong to no wanted machine are somebody else's.

use super::{Decision, Effect, wait};
use crate::execute::snapshot::{ApiSeen, Snapshot};

pub(super) fn decide(snapshot: &Snapshot) -> Decision {
    let Some(desired) = &snapshot.desired else {
        return wait("waits for the cluster's documents");
    };
    if !snapshot.kubeconfig {
        return Decision::Do(Effect::WriteKubeconfig);
    }
    let ApiSeen::Answers { system, .. } = &snapshot.api else {
        return wait("waits for the cluster's API");
    };
    for machine in &desired.machines {
        match snapshot.node(&machine.name) {
            None => return wait(format!("{}: its node is not in the cluster", machine.name)),
            Some(node) if !node.ready => {
                return wait(format!(
                    "{}: node {} is not Ready: {}",
                    machine.name,
                    node.name,
                    node.reason.as_deref().unwrap_or("no reason given")
                ));
            }
            Some(_) => {}
        }
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
