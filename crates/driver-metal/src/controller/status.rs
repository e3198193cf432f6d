//! What the claimed server and its hardware add to the status.

use kube::ResourceExt as _;
use resources::cluster_api::MachineAddress;
use resources::gantry::ProviderMachineStatus;

use crate::installation::{address, boot_mac};
use crate::snapshot::Snapshot;

/// The status as it was, with what the claimed server and its hardware tell.
pub(super) fn observed(snapshot: &Snapshot) -> ProviderMachineStatus {
    let mut status = snapshot.machine.status.clone().unwrap_or_default();
    if let Some(newest) = newest_workflow(snapshot) {
        status.workflow = Some(newest);
    }
    let Some(server) = snapshot.claimed() else {
        return status;
    };
    status.host = Some(server.name_any());
    let namespace = server.namespace().unwrap_or_default();
    status.provider_id = Some(format!("tinkerbell://{namespace}/{}", server.spec.hardware));
    if let Some(hardware) = snapshot.hardware.get(&server.spec.hardware) {
        status.mac = boot_mac(hardware).ok();
        let entry = |kind: &str, address: &str| MachineAddress {
            kind: kind.to_owned(),
            address: address.to_owned(),
        };
        status.addresses = std::iter::once(entry("Hostname", &node_config::hostname(hardware)))
            .chain(address(hardware).map(|ip| entry("InternalIP", ip)))
            .collect();
    }
    let first_boot = server
        .status
        .as_ref()
        .and_then(|status| status.first_boot.as_ref());
    status.bootstrap_requested_at = first_boot.and_then(|boot| boot.requested_at.clone());
    status.bootstrap_done_at = first_boot.and_then(|boot| boot.revoked_at.clone());
    status
}

fn newest_workflow(snapshot: &Snapshot) -> Option<String> {
    let name = snapshot.workflow_name(snapshot.installations());
    snapshot.workflows.contains_key(&name).then_some(name)
}
