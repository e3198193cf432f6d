//! What the claimed server and its hardware add to the status. Name, addresses and MAC of a machine are those of its
//! Hardware until it is installed, and stay what they were then: its system has them, whatever the Hardware says later.

use kube::ResourceExt as _;
use resources::cluster_api::MachineAddress;
use resources::gantry::ProviderMachineStatus;

use crate::boot_nic::boot_mac;
use crate::installation::address;
use crate::metal_state::MetalState;
use crate::repair;
use crate::snapshot::Snapshot;
use crate::wipe;

/// Whether the installation of the machine has not begun yet, so that it will be made of the Hardware as it is.
const fn is_to_come(state: MetalState) -> bool {
    matches!(state, MetalState::Pending | MetalState::Preparing)
}

/// The status as it was, with what the claimed server and its hardware tell.
pub(crate) fn observed(snapshot: &Snapshot) -> ProviderMachineStatus {
    let mut status = snapshot.machine.status.clone().unwrap_or_default();
    if let Some(newest) = newest_workflow(snapshot) {
        status.workflow = Some(newest);
    }
    let state = snapshot.state();
    let installs = is_to_come(state) || state == MetalState::Installing;
    if installs {
        status.installation = Some(snapshot.machine.spec.installation);
    }
    let Some(server) = snapshot.claimed() else {
        return status;
    };
    status.host = Some(server.name_any());
    if let Some(result) = repair::result(snapshot) {
        status.certificate_repair = Some(result);
    }
    let is_pinned = !is_to_come(state) && status.provider_id.is_some();
    let hardware = snapshot.hardware.get(&server.spec.hardware);
    if let Some(hardware) = hardware.filter(|_| !is_pinned) {
        let namespace = server.namespace().unwrap_or_default();
        status.provider_id = Some(format!("tinkerbell://{namespace}/{}", server.spec.hardware));
        status.mac = boot_mac(hardware).ok();
        let entry = |kind: &str, address: &str| MachineAddress {
            kind: kind.to_owned(),
            address: address.to_owned(),
        };
        status.addresses = std::iter::once(entry("Hostname", &node_config::hostname(hardware)))
            .chain(address(hardware).map(|ip| entry("InternalIP", ip)))
            .collect();
    }
    if matches!(state, MetalState::Releasing | MetalState::Wiping) {
        return status;
    }
    if snapshot.machine.spec.adopts.is_some() {
        let at = server.spec.claim.as_ref().and_then(|claim| claim.at.clone());
        status.bootstrap_requested_at.clone_from(&at);
        status.bootstrap_done_at = at;
        if let Some(number) = repair::wanted(snapshot) {
            status.certificate_repair = Some(repair::refused(number));
        }
        return status;
    }
    let of_workflow = |name: &String| snapshot.first_boot_of(name);
    let first_boot = status
        .workflow
        .as_ref()
        .and_then(of_workflow)
        .filter(|_| !installs);
    status.bootstrap_requested_at = first_boot.and_then(|boot| boot.requested_at.clone());
    status.bootstrap_stage = first_boot.and_then(|boot| boot.stage.clone());
    status.bootstrap_failure = first_boot.and_then(|boot| boot.failure.clone());
    status.bootstrap_done_at = first_boot.and_then(|boot| boot.revoked_at.clone());
    status
}

fn newest_workflow(snapshot: &Snapshot) -> Option<String> {
    if let Some(newest) = wipe::newest(snapshot) {
        return Some(newest);
    }
    let name = snapshot.workflow_name(snapshot.installations());
    snapshot.workflows.contains_key(&name).then_some(name)
}
