//! Which ProviderMachines a change of another object concerns, without a look at all of them.

use std::sync::Arc;

use back_references::BackReferences;
use kube::ResourceExt as _;
use kube::runtime::reflector::{ObjectRef, Store};
use resources::bmc;
use resources::gantry::{Image, ProviderMachine, Server};

use crate::metal_state::MetalState;

/// What stands for every server of a namespace.
const ANY: &str = "";

/// What each ProviderMachine waits for. Clones share it.
#[derive(Clone)]
pub(super) struct Wakes {
    machines: Store<ProviderMachine>,
    /// Those that may take a server.
    takers: BackReferences,
    /// Those that have, or had, a server.
    hosts: BackReferences,
    /// Those that give their server back.
    releasing: BackReferences,
    /// Those that need an image, by its URL.
    images: BackReferences,
}

impl Wakes {
    pub(super) fn new(machines: Store<ProviderMachine>) -> Self {
        Self {
            machines,
            takers: BackReferences::default(),
            hosts: BackReferences::default(),
            releasing: BackReferences::default(),
            images: BackReferences::default(),
        }
    }

    /// Takes in what a machine is about to look at.
    pub(super) fn note(&self, machine: &ProviderMachine) {
        let namespace = machine.namespace().unwrap_or_default();
        let status = machine.status.as_ref();
        let state = MetalState::of(status);
        let host = status.and_then(|status| status.host.as_deref());
        let takes = host.is_none() || matches!(state, Some(MetalState::Pending | MetalState::Failed));
        let releases = state == Some(MetalState::Releasing);
        self.takers.note(machine, &namespace, takes.then_some(ANY));
        self.hosts.note(machine, &namespace, host);
        self.releasing.note(machine, &namespace, releases.then_some(ANY));
        self.images
            .note(machine, &namespace, Some(&machine.spec.image_url));
    }

    /// Whom a change of this server concerns: who has claimed it; for a free one, who may take it or had it.
    pub(super) fn of_server(&self, server: &Server) -> Vec<ObjectRef<ProviderMachine>> {
        if let Some(claim) = &server.spec.claim {
            return vec![ObjectRef::new(&claim.name).within(&claim.namespace)];
        }
        let namespace = server.namespace().unwrap_or_default();
        let mut found = self.takers.of(&self.machines, &namespace, ANY);
        found.extend(self.hosts.of(&self.machines, &namespace, &server.name_any()));
        references(&found)
    }

    /// Whom a change of this BMC concerns: what is being given back goes on when it answers again.
    pub(super) fn of_bmc(&self, bmc: &bmc::Machine) -> Vec<ObjectRef<ProviderMachine>> {
        let namespace = bmc.namespace().unwrap_or_default();
        references(&self.releasing.of(&self.machines, &namespace, ANY))
    }

    /// Whom a change of this image concerns.
    pub(super) fn of_image(&self, image: &Image) -> Vec<ObjectRef<ProviderMachine>> {
        let namespace = image.namespace().unwrap_or_default();
        references(&self.images.of(&self.machines, &namespace, &image.spec.url))
    }
}

fn references(machines: &[Arc<ProviderMachine>]) -> Vec<ObjectRef<ProviderMachine>> {
    machines
        .iter()
        .map(|machine| ObjectRef::from_obj(&**machine))
        .collect()
}
