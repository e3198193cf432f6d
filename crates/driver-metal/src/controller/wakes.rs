//! Which ProviderMachines a change of another object concerns, without a look at all of them.

use std::sync::Arc;

use back_references::BackReferences;
use kube::ResourceExt as _;
use kube::runtime::reflector::{ObjectRef, Store};
use resources::bmc;
use resources::gantry::{Image, ProviderMachine, Server};

use crate::metal_state::MetalState;

/// What each ProviderMachine waits for. Clones share it.
#[derive(Clone)]
pub(super) struct Wakes {
    machines: Store<ProviderMachine>,
    /// Those that have, or had, a server.
    hosts: BackReferences,
    /// Those that give a server back, by its BMC.
    releasing: BackReferences,
    /// Those that need an image, by its URL.
    images: BackReferences,
}

impl Wakes {
    pub(super) fn new(machines: Store<ProviderMachine>) -> Self {
        Self {
            machines,
            hosts: BackReferences::default(),
            releasing: BackReferences::default(),
            images: BackReferences::default(),
        }
    }

    /// Takes in what a machine is about to look at.
    pub(super) fn note(&self, machine: &ProviderMachine) {
        let namespace = machine.namespace().unwrap_or_default();
        let status = machine.status.as_ref();
        let host = status.and_then(|status| status.host.as_deref());
        self.hosts.note(machine, &namespace, host);
        self.images
            .note(machine, &namespace, Some(&machine.spec.image_url));
    }

    /// Takes in the BMC of the server that a machine has, before that is read.
    pub(super) fn note_bmc(&self, machine: &ProviderMachine, bmc: Option<&str>) {
        let namespace = machine.namespace().unwrap_or_default();
        let releases = MetalState::of(machine.status.as_ref()) == Some(MetalState::Releasing);
        self.releasing.note(machine, &namespace, bmc.filter(|_| releases));
    }

    /// Whom a change of this server concerns: who has claimed it; for a free one, who had it. Who looks for one is woken
    /// by the index of the hosts.
    pub(super) fn of_server(&self, server: &Server) -> Vec<ObjectRef<ProviderMachine>> {
        if let Some(claim) = &server.spec.claim {
            return vec![ObjectRef::new(&claim.name).within(&claim.namespace)];
        }
        let namespace = server.namespace().unwrap_or_default();
        references(&self.hosts.of(&self.machines, &namespace, &server.name_any()))
    }

    /// Whom a change of this BMC concerns: what is being given back goes on when it answers again.
    pub(super) fn of_bmc(&self, bmc: &bmc::Machine) -> Vec<ObjectRef<ProviderMachine>> {
        let namespace = bmc.namespace().unwrap_or_default();
        references(&self.releasing.of(&self.machines, &namespace, &bmc.name_any()))
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
