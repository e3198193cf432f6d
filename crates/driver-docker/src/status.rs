//! Between containers and the contract's messages.

use std::net::IpAddr;
use std::time::Duration;

use driver::json;
use driver::v1::{
    Accepted, Address, AddressKind, MachineIdentity, MachineStatus, Outcome, Owner, Phase, Power, Settled,
    outcome,
};
use serde_json::Map;

use crate::daemon::{Container, State};
use crate::marks;

/// Between two calls of what goes on.
const POLL: Duration = Duration::from_millis(200);

/// What a container is.
pub(crate) fn of(container: &Container) -> MachineStatus {
    let (owner, spec_hash) = marks::read(&container.labels).unzip();
    let addresses = addresses(container);
    let (phase, step) = phase(container.state, !addresses.is_empty());
    let mut keys = Map::new();
    keys.insert("containerId".to_owned(), container.id.clone().into());
    MachineStatus {
        owner,
        identity: Some(MachineIdentity {
            provider_id: format!("docker:////{}", container.name()),
            keys: Some(json::to_struct(&keys)),
        }),
        phase: phase.into(),
        outcome: Some(settled()),
        spec_hash: spec_hash.unwrap_or_default(),
        addresses,
        step: step.to_owned(),
        step_reason: if step.is_empty() {
            String::new()
        } else {
            format!("Docker says: {}", container.status)
        },
        observed_power: power(container.state).into(),
        created: Some(prost_types::Timestamp {
            seconds: container.created,
            nanos: 0,
        }),
        ..MachineStatus::default()
    }
}

/// The phase, and what is being done.
const fn phase(state: State, has_address: bool) -> (Phase, &'static str) {
    match state {
        State::Created => (Phase::Creating, "start"),
        State::Running if has_address => (Phase::Running, ""),
        State::Running => (Phase::Booting, "address"),
        State::Restarting => (Phase::Booting, "restart"),
        State::Unknown => (Phase::Booting, "unknown-state"),
        State::Paused => (Phase::Stopped, "paused"),
        State::Exited => (Phase::Stopped, "exited"),
        State::Removing | State::Dead => (Phase::Deleting, "remove"),
    }
}

const fn power(state: State) -> Power {
    match state {
        State::Running | State::Restarting | State::Paused => Power::On,
        State::Created | State::Exited | State::Removing | State::Dead => Power::Off,
        State::Unknown => Power::Unspecified,
    }
}

/// Addresses that others can use.
fn addresses(container: &Container) -> Vec<Address> {
    let networks = container.network_settings.networks.iter();
    let addresses = networks.flat_map(|(network, endpoint)| {
        [&endpoint.ipv4, &endpoint.ipv6].map(|address| Address {
            kind: AddressKind::InternalIp.into(),
            address: address.clone(),
            mac: endpoint.mac.clone(),
            network: network.clone(),
        })
    });
    addresses.filter(|address| is_usable(&address.address)).collect()
}

fn is_usable(address: &str) -> bool {
    let Ok(address) = address.parse::<IpAddr>() else {
        return false;
    };
    let is_link_local = match address {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    };
    !is_link_local && !address.is_loopback() && !address.is_unspecified() && !address.is_multicast()
}

/// Nothing, as the answer to a call that is done.
pub(crate) fn absent(owner: &Owner, phase: Phase) -> MachineStatus {
    MachineStatus {
        owner: Some(owner.clone()),
        phase: phase.into(),
        outcome: Some(settled()),
        ..MachineStatus::default()
    }
}

/// Settled when the machine is where the call wants it.
pub(crate) fn towards(mut status: MachineStatus, aim: Phase) -> MachineStatus {
    if status.phase() != aim {
        status.outcome = Some(accepted());
    }
    status
}

pub(crate) const fn settled() -> Outcome {
    Outcome {
        outcome: Some(outcome::Outcome::Settled(Settled {})),
    }
}

pub(crate) fn accepted() -> Outcome {
    Outcome {
        outcome: Some(outcome::Outcome::Accepted(Accepted {
            receipt: String::new(),
            poll_after: prost_types::Duration::try_from(POLL).ok(),
        })),
    }
}

#[cfg(test)]
mod tests {
    use driver::v1::{Phase, outcome};
    use serde_json::json;

    use super::{of, towards};
    use crate::daemon::Container;

    fn container(state: &str, address: &str) -> Container {
        serde_json::from_value(json!({
            "Id": "c79b", "Names": ["/prod-x"], "State": state, "Status": "Exited (137) 3 seconds ago", "Created": 7,
            "Labels": {"dev.gantry.installation": "i", "dev.gantry.machine-uid": "m", "dev.gantry.spec-hash": "h"},
            "NetworkSettings": {"Networks": {"lan": {
                "IPAddress": address, "GlobalIPv6Address": "", "MacAddress": "02:42:ac:1e:00:32",
            }}},
        }))
        .unwrap()
    }

    #[test]
    fn every_state_has_a_phase() {
        for (state, address, wanted) in [
            ("created", "172.30.0.2", Phase::Creating),
            ("running", "172.30.0.2", Phase::Running),
            ("running", "", Phase::Booting),
            ("running", "127.0.0.1", Phase::Booting),
            ("running", "169.254.0.7", Phase::Booting),
            ("restarting", "", Phase::Booting),
            ("paused", "172.30.0.2", Phase::Stopped),
            ("exited", "", Phase::Stopped),
            ("removing", "", Phase::Deleting),
            ("dead", "", Phase::Deleting),
            ("hibernating", "", Phase::Booting),
        ] {
            let status = of(&container(state, address));
            assert_eq!(status.phase(), wanted, "{state}, {address}");
            let settled = matches!(
                towards(status, Phase::Running).outcome.unwrap().outcome,
                Some(outcome::Outcome::Settled(_))
            );
            assert_eq!(settled, wanted == Phase::Running, "{state}");
        }
    }

    #[test]
    fn it_is_named_as_its_kubelet_names_it() {
        let status = of(&container("exited", ""));
        assert_eq!(status.identity.unwrap().provider_id, "docker:////prod-x");
        assert_eq!(status.spec_hash, "h");
        assert_eq!(status.owner.unwrap().machine_uid, "m");
        assert_eq!(status.step_reason, "Docker says: Exited (137) 3 seconds ago");
    }
}
