//! Which ProviderMachines a change of a Secret concerns, without a look at all of them.

use back_references::BackReferences;
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt as _;
use kube::runtime::reflector::{ObjectRef, Store};
use resources::gantry::{ProviderMachine, SecretPlace};

/// What each ProviderMachine needs. Clones share it.
#[derive(Clone, Default)]
pub(super) struct Wakes {
    userdata: BackReferences,
    credentials: BackReferences,
}

impl Wakes {
    /// Takes in what a machine is about to look at.
    pub(super) fn note(&self, machine: &ProviderMachine, credential: Option<&SecretPlace>) {
        let namespace = machine.namespace().unwrap_or_default();
        let userdata = machine.spec.bootstrap.secret.as_deref();
        self.userdata.note(machine, &namespace, userdata);
        let place = credential.map(|place| (place.namespace.as_str(), place.name.as_str()));
        let (namespace, name) = place.map_or(("", None), |(namespace, name)| (namespace, Some(name)));
        self.credentials.note(machine, namespace, name);
    }

    /// Whom a change of this Secret concerns.
    pub(super) fn of_secret(
        &self,
        machines: &Store<ProviderMachine>,
        secret: &Secret,
    ) -> Vec<ObjectRef<ProviderMachine>> {
        let (namespace, name) = (secret.namespace().unwrap_or_default(), secret.name_any());
        let both = [&self.userdata, &self.credentials];
        let found = both
            .into_iter()
            .flat_map(|table| table.of(machines, &namespace, &name));
        found.map(|machine| ObjectRef::from_obj(&*machine)).collect()
    }
}
