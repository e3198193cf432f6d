//! The way back: a machine is gone when ProviderMachine and Machine are; a cluster when nothing of it is left.

use kube::ResourceExt as _;
use resources::gantry::ProviderMachinePhase;
use steps::Step;

use crate::execute::decision::{Decision, Effect, View, done};

pub(super) fn machine(view: View<'_>) -> Decision {
    let (name, snapshot) = (view.machine(), view.snapshot);
    match (snapshot.provider_machines.get(name), snapshot.machines.get(name)) {
        (None, None) if snapshot.bootstrap.contains_key(name) => {
            Step::Do(Effect::DropBootstrap(name.to_owned()))
        }
        (None, None) => done(),
        (None, Some(_)) => view
            .mark()
            .unwrap_or_else(|| Step::Do(Effect::ReleaseMachine(name.to_owned()))),
        (Some(provider), _) if provider.metadata.deletion_timestamp.is_some() => {
            let status = provider.status.clone().unwrap_or_default();
            let reason = match status.phase {
                ProviderMachinePhase::Deleting => {
                    status.reason.unwrap_or_else(|| "being given back".to_owned())
                }
                _ => "waits for its driver to give the server back".to_owned(),
            };
            let reason = format!("{name}: {reason}");
            // Nothing else is wanted of a cluster that is being deleted. Of any other the planner says that it takes too long.
            match snapshot.wanted {
                None => view.wait_for_others(reason),
                Some(_) => view.wait(reason),
            }
        }
        // What is handed over goes with the driver's object, and nothing would name its token any more.
        (Some(_), _) if snapshot.is_pushed(name) && snapshot.bootstrap.contains_key(name) => view
            .mark()
            .unwrap_or_else(|| Step::Do(Effect::DropBootstrap(name.to_owned()))),
        (Some(_), _) => view
            .mark()
            .unwrap_or_else(|| Step::Do(Effect::RemoveMachine(name.to_owned()))),
    }
}

pub(super) fn cluster(view: View<'_>) -> Decision {
    let left = view.snapshot.leftovers();
    match left.first() {
        Some((kind, name)) => Step::Do(Effect::Remove(*kind, name.clone())),
        // What the machines shared is taken apart by the provider's driver.
        None => match &view.snapshot.provider_cluster {
            Some(left) => view.wait(format!(
                "ProviderCluster {}: waits for its driver",
                left.name_any()
            )),
            None => done(),
        },
    }
}
