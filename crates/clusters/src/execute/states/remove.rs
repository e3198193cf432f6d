//! The way back: a machine is gone when ProviderMachine and Machine are; a cluster when nothing of it is left.

use resources::gantry::ProviderMachineState;

use super::{Decision, Effect, wait};
use crate::execute::snapshot::Snapshot;

pub(super) fn machine(name: &str, snapshot: &Snapshot) -> Decision {
    match (snapshot.provider_machines.get(name), snapshot.machines.get(name)) {
        (None, None) if snapshot.bootstrap.contains_key(name) => {
            Decision::Do(Effect::DropBootstrap(name.to_owned()))
        }
        (None, None) => Decision::Done,
        (Some(provider), _) if provider.metadata.deletion_timestamp.is_some() => {
            let status = provider.status.clone().unwrap_or_default();
            let reason = match status.state {
                ProviderMachineState::Releasing => {
                    status.reason.unwrap_or_else(|| "being given back".to_owned())
                }
                _ => "waits for its driver to give the server back".to_owned(),
            };
            wait(format!("{name}: {reason}"))
        }
        (_, _) => Decision::Do(Effect::RemoveMachine(name.to_owned())),
    }
}

pub(super) fn cluster(snapshot: &Snapshot) -> Decision {
    if let Some(name) = snapshot.existing().first() {
        return Decision::Do(Effect::RemoveMachine(name.clone()));
    }
    match snapshot.leftovers.first() {
        Some((kind, name)) => Decision::Do(Effect::Remove(*kind, name.clone())),
        None => Decision::Done,
    }
}
