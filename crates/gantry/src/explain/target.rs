//! Who is meant by a name, MAC, IP or serial number.

use std::net::Ipv4Addr;

use kube::ResourceExt;
use resources::Mac;
use resources::tinkerbell::Hardware;

use crate::snapshot::Snapshot;

/// What was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Target {
    /// A cluster with all its machines.
    Cluster(String),
    /// One physical machine, by the name of its Hardware.
    Server(String),
    /// A machine of a cluster that has no host yet.
    ProviderMachine(String),
    /// A MAC or IP that no Hardware has: only records can tell of it.
    Unknown(String),
}

/// Finds it; `None` when nothing has that name.
pub(crate) fn find(snapshot: &Snapshot, asked: &str) -> Option<Target> {
    let (kind, name) = asked
        .split_once('/')
        .map_or((None, asked), |(kind, name)| (Some(kind), name));
    let wants = |names: &[&str]| kind.is_none_or(|kind| names.contains(&kind));
    if wants(&["cluster", "clusters"]) && snapshot.cluster(name).is_some() {
        return Some(Target::Cluster(name.to_owned()));
    }
    let of_machine = |machine: &str| {
        let found = snapshot
            .provider_machines
            .iter()
            .find(|m| m.name_any() == machine || m.spec.machine == machine)?;
        let host = found.status.as_ref().and_then(|status| status.host.clone());
        Some(host.map_or(Target::ProviderMachine(found.name_any()), Target::Server))
    };
    if wants(&["machine", "machines", "providermachine"])
        && let Some(target) = of_machine(name)
    {
        return Some(target);
    }
    if wants(&["workflow", "workflows"])
        && let Some(workflow) = snapshot
            .workflows
            .iter()
            .find(|workflow| workflow.name_any() == name)
        && let Some(hardware) = &workflow.spec.hardware_ref
    {
        return Some(Target::Server(hardware.clone()));
    }
    if let Some(server) = server_named(snapshot, name) {
        return Some(Target::Server(server));
    }
    let address = name.parse::<Mac>().map(|mac| mac.to_string()).ok();
    let address = address.or_else(|| name.parse::<Ipv4Addr>().ok().map(|ip| ip.to_string()))?;
    Some(Target::Unknown(address))
}

/// Name of the Hardware with this name, MAC, IP, BMC address or serial number.
fn server_named(snapshot: &Snapshot, name: &str) -> Option<String> {
    let mac = name.parse::<Mac>().ok();
    let by_hardware = snapshot.hardware.iter().find(|hardware| {
        hardware.name_any() == name
            || (mac.is_some() && macs(hardware).contains(&mac))
            || addresses(hardware).any(|a| a == name)
    });
    if let Some(hardware) = by_hardware {
        return Some(hardware.name_any());
    }
    let by_server = snapshot.servers.iter().find(|server| {
        let inventory = server
            .status
            .as_ref()
            .and_then(|status| status.inventory.as_ref());
        let told = inventory.is_some_and(|inventory| {
            inventory.serial.as_deref() == Some(name)
                || inventory.uuid.as_deref() == Some(name)
                || inventory.nics.iter().any(|nic| Some(nic.mac) == mac)
        });
        told || server.name_any() == name || server.spec.machine_id == name
    });
    if let Some(server) = by_server {
        return Some(server.spec.hardware.clone());
    }
    let bmc = snapshot
        .bmcs
        .iter()
        .find(|bmc| bmc.name_any() == name || bmc.spec.connection.host == name)?;
    let bmc = bmc.name_any();
    let of_bmc = |hardware: &&Hardware| {
        hardware
            .spec
            .bmc_ref
            .as_ref()
            .is_some_and(|reference| reference.name == bmc)
    };
    snapshot.hardware.iter().find(of_bmc).map(ResourceExt::name_any)
}

/// MACs of a Hardware.
pub(super) fn macs(hardware: &Hardware) -> Vec<Option<Mac>> {
    hardware
        .spec
        .interfaces
        .iter()
        .filter_map(|nic| nic.dhcp.as_ref())
        .map(|dhcp| dhcp.mac)
        .collect()
}

/// Addresses of a Hardware.
pub(super) fn addresses(hardware: &Hardware) -> impl Iterator<Item = &str> {
    let dhcp = hardware
        .spec
        .interfaces
        .iter()
        .filter_map(|nic| nic.dhcp.as_ref());
    dhcp.filter_map(|dhcp| dhcp.ip.as_ref()?.address.as_deref())
}

#[cfg(test)]
pub(super) mod tests {
    use serde_json::json;

    use super::*;

    /// A cluster `c` with a machine `m` on the server `node-1`.
    pub(in crate::explain) fn snapshot() -> Snapshot {
        let hardware = json!({
            "apiVersion": "tinkerbell.org/v1alpha1", "kind": "Hardware", "metadata": {"name": "node-1", "namespace": "n"},
            "spec": {"bmcRef": {"kind": "Machine", "name": "bmc-node-1"},
                "interfaces": [{"netboot": {"allowPXE": true},
                    "dhcp": {"mac": "02:00:00:00:00:01", "ip": {"address": "10.0.0.5"}}}]},
        });
        let server = json!({
            "apiVersion": "gantry.dev/v1alpha1", "kind": "Server", "metadata": {"name": "node-1", "namespace": "n"},
            "spec": {"machineId": "id-1", "hardware": "node-1", "bmc": "bmc-node-1",
                "claim": {"kind": "ProviderMachine", "name": "m", "namespace": "n"},
                "attempt": {"number": 1, "workflow": "w"},
                "disks": [{"name": "/dev/sda", "serial": "S1", "size": 1024, "attempt": 1,
                    "contents": ["GPT", "partition 1: ZFS"]}]},
            "status": {"state": "provisioning", "since": "2026-01-01T00:00:00Z", "reason": "waits for the agent",
                "deadline": "2026-01-01T00:10:00Z", "power": "on", "inventory": {"serial": "SN-7"}},
        });
        let bmc = json!({
            "apiVersion": "bmc.tinkerbell.org/v1alpha1", "kind": "Machine",
            "metadata": {"name": "bmc-node-1", "namespace": "n"},
            "spec": {"connection": {"host": "10.1.0.5", "insecureTLS": true}},
            "status": {"powerState": "on", "protocol": "ipmi", "protocolReason": "no Redfish: connection refused",
                "lastPolled": "2026-01-01T00:00:58Z"},
        });
        let cluster = json!({
            "apiVersion": "anywhere.eks.amazonaws.com/v1alpha1", "kind": "Cluster",
            "metadata": {"name": "c", "namespace": "n"}, "spec": {}, "status": {"phase": "Creating"},
        });
        let machine = json!({
            "apiVersion": "gantry.dev/v1alpha1", "kind": "ProviderMachine", "metadata": {"name": "m", "namespace": "n"},
            "spec": {"provider": "metal", "clusterName": "c", "machine": "m", "imageURL": "file:///x"},
            "status": {"phase": "creating", "driverState": "installing", "host": "node-1", "workflow": "w"},
        });
        let workflow = json!({
            "apiVersion": "tinkerbell.org/v1alpha1", "kind": "Workflow", "metadata": {"name": "w", "namespace": "n"},
            "spec": {"hardwareRef": "node-1"},
            "status": {"state": "PENDING", "attempt": 1, "tasks": [{"id": "t", "name": "t", "actions": [
                {"id": "a", "name": "stream-image", "state": "PENDING"}]}]},
        });
        Snapshot {
            hardware: vec![serde_json::from_value(hardware).unwrap()],
            servers: vec![serde_json::from_value(server).unwrap()],
            bmcs: vec![serde_json::from_value(bmc).unwrap()],
            clusters: vec![serde_json::from_value(cluster).unwrap()],
            provider_machines: vec![serde_json::from_value(machine).unwrap()],
            workflows: vec![serde_json::from_value(workflow).unwrap()],
            ..Snapshot::default()
        }
    }

    #[test]
    fn everything_that_names_a_machine_finds_it() {
        let names = [
            "node-1",
            "server/node-1",
            "02-00-00-00-00-01",
            "10.0.0.5",
            "10.1.0.5",
            "bmc-node-1",
            "SN-7",
            "id-1",
            "w",
            "m",
            "machine/m",
        ];
        for name in names {
            assert_eq!(
                find(&snapshot(), name),
                Some(Target::Server("node-1".into())),
                "{name}"
            );
        }
    }

    #[test]
    fn clusters_strangers_and_nothing() {
        assert_eq!(find(&snapshot(), "c"), Some(Target::Cluster("c".into())));
        assert_eq!(
            find(&snapshot(), "02:00:00:00:00:99"),
            Some(Target::Unknown("02:00:00:00:00:99".into()))
        );
        assert_eq!(
            find(&snapshot(), "10.9.9.9"),
            Some(Target::Unknown("10.9.9.9".into()))
        );
        assert_eq!(find(&snapshot(), "nobody"), None);
    }
}
