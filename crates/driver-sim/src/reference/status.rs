//! Between the provider's objects and the contract's messages.

use driver::json;
use driver::v1::{
    Accepted, Address, AddressKind, MachineIdentity, MachineStatus, Outcome, Owner, Phase, Power, Settled,
    Spec, outcome,
};
use serde_json::{Value, json};

use crate::memory::{Marks, NewObject, Object, ObjectPower};

/// What a machine is to be at the provider.
pub(super) fn wanted(owner: &Owner, spec: Spec, hash: &str, network: &str) -> NewObject {
    NewObject {
        name: owner.machine_name.clone(),
        marks: Marks {
            installation: owner.installation_id.clone(),
            cluster: owner.cluster_uid.clone(),
            cluster_name: owner.cluster_name.clone(),
            machine: owner.machine_uid.clone(),
            role: owner.role.clone(),
            hash: hash.to_owned(),
        },
        vcpus: spec.vcpus,
        memory_mib: spec.memory_mib,
        image: spec.image_ref,
        network: network.to_owned(),
        userdata: spec.userdata.map(|userdata| userdata.data).unwrap_or_default(),
    }
}

/// What an object is.
pub(super) fn of(object: &Object, with_local_addresses: bool) -> MachineStatus {
    let marks = &object.made.marks;
    let owner = Owner {
        installation_id: marks.installation.clone(),
        cluster_uid: marks.cluster.clone(),
        cluster_name: marks.cluster_name.clone(),
        machine_uid: marks.machine.clone(),
        machine_name: object.made.name.clone(),
        role: marks.role.clone(),
        fence: 0,
    };
    let phase = match object.power {
        ObjectPower::Off => Phase::Stopped,
        ObjectPower::On if object.has_booted() => Phase::Running,
        ObjectPower::On => Phase::Booting,
    };
    let addresses = object.addresses().into_iter();
    let addresses = addresses.filter(|address| with_local_addresses || address.starts_with("10."));
    let keys = match json!({"id": object.id.to_string()}) {
        Value::Object(keys) => Some(json::to_struct(&keys)),
        _ => None,
    };
    MachineStatus {
        owner: (!marks.installation.is_empty()).then_some(owner),
        identity: Some(MachineIdentity {
            provider_id: format!("memory://{}", object.id),
            keys,
        }),
        phase: phase.into(),
        outcome: Some(settled()),
        spec_hash: marks.hash.clone(),
        addresses: addresses
            .map(|address| Address {
                kind: AddressKind::InternalIp.into(),
                address,
                network: object.made.network.clone(),
                ..Address::default()
            })
            .collect(),
        driver_state: object.id.to_string().into_bytes(),
        step: if phase == Phase::Booting { "boot" } else { "" }.to_owned(),
        observed_power: match object.power {
            ObjectPower::On => Power::On,
            ObjectPower::Off => Power::Off,
        }
        .into(),
        ..MachineStatus::default()
    }
}

/// Nothing, as the answer to a call that is done.
pub(super) fn absent(owner: &Owner, phase: Phase) -> MachineStatus {
    MachineStatus {
        owner: Some(owner.clone()),
        phase: phase.into(),
        outcome: Some(settled()),
        ..MachineStatus::default()
    }
}

/// Settled when the machine is where the call wants it.
pub(super) fn towards(mut status: MachineStatus, aim: Phase) -> MachineStatus {
    if status.phase() != aim {
        let accepted = Accepted {
            receipt: String::new(),
            poll_after: Some(prost_types::Duration {
                seconds: 0,
                nanos: 5_000_000,
            }),
        };
        status.outcome = Some(Outcome {
            outcome: Some(outcome::Outcome::Accepted(accepted)),
        });
    }
    status
}

const fn settled() -> Outcome {
    Outcome {
        outcome: Some(outcome::Outcome::Settled(Settled {})),
    }
}
