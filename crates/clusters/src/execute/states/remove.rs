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

/// While a cluster is deleted, one machine that can't be given back holds up none of the others: the next one that
/// nobody has asked back yet.
pub(super) fn another(snapshot: &Snapshot) -> Option<Effect> {
    let asked = |name: &&String| {
        let provider = snapshot.provider_machines.get(*name);
        provider.is_some_and(|provider| provider.metadata.deletion_timestamp.is_some())
    };
    let existing = snapshot.existing();
    let next = existing.iter().find(|name| !asked(name))?;
    Some(Effect::RemoveMachine(next.clone()))
}

/// After a plan has stopped: the next machine that can't go on because its system was not installed yet, or what is left
/// of one. Nobody would ever give it the data to join with.
pub(super) fn abandoned(snapshot: &Snapshot) -> Option<Effect> {
    let waiting = snapshot.provider_machines.iter().find(|(_, provider)| {
        let state = provider
            .status
            .as_ref()
            .map(|status| status.state)
            .unwrap_or_default();
        let early = matches!(
            state,
            ProviderMachineState::Pending
                | ProviderMachineState::Preparing
                | ProviderMachineState::Installing
        );
        early && provider.metadata.deletion_timestamp.is_none()
    });
    let remainder = || {
        snapshot.machines.iter().find(|(name, machine)| {
            let joined = machine
                .status
                .as_ref()
                .is_some_and(|status| status.node_ref.is_some());
            !joined && !snapshot.provider_machines.contains_key(*name)
        })
    };
    let name = waiting
        .map(|(name, _)| name)
        .or_else(|| remainder().map(|(name, _)| name))?;
    Some(Effect::RemoveMachine(name.clone()))
}

/// Whether the machine's driver is giving its server back: that takes as long as the driver, and whoever it waits for,
/// needs.
pub(crate) fn is_with_its_driver(name: &str, snapshot: &Snapshot) -> bool {
    let provider = snapshot.provider_machines.get(name);
    let status = provider.and_then(|provider| provider.status.as_ref());
    status.is_some_and(|status| status.state == ProviderMachineState::Releasing)
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
