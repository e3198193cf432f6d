//! The end of every plan: DNS and kube-proxy run, the kubeconfig is written, no bootstrap data of a node is left.

use steps::Step;

use crate::execute::decision::{Decision, Effect, View, done};
use crate::observe::ApiSeen;

pub(super) fn decide(view: View<'_>) -> Decision {
    let snapshot = view.snapshot;
    if !snapshot.has_kubeconfig() {
        return Step::Do(Effect::WriteKubeconfig);
    }
    let ApiSeen::Answers { system, .. } = &snapshot.api else {
        return view.wait("waits for the cluster's API");
    };
    if let Some(missing) = &system.missing {
        return view.wait(missing.clone());
    }
    let mut left = snapshot.bootstrap.keys();
    // What was left by a machine that is gone would stay, with its token, where another plan has taken its place meanwhile.
    let existing = snapshot.existing();
    let done_with = |machine: &&String| {
        !existing.contains(machine) || snapshot.has_joined(machine) && snapshot.first_boot_ended(machine)
    };
    match left.find(done_with) {
        Some(machine) => Step::Do(Effect::DropBootstrap(machine.clone())),
        None => done(),
    }
}
