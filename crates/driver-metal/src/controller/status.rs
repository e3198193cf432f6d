//! Writing the status of a ProviderMachine: the one thing that this crate owns.

use jiff::Timestamp;
use kube::ResourceExt as _;
use kube::api::{Api, Patch, PatchParams};
use resources::cluster_api::MachineAddress;
use resources::gantry::{ProviderMachine, ProviderMachineState, ProviderMachineStatus};
use resources::{Time, keys};
use serde_json::json;

use super::MetalDriver;
use crate::error::Error;
use crate::installation::{address, boot_mac};
use crate::snapshot::Snapshot;

impl MetalDriver {
    pub(super) async fn write_wait(
        &self,
        snapshot: &Snapshot,
        reason: String,
        until: Option<Timestamp>,
        percent: Option<u8>,
    ) -> Result<(), Error> {
        let mut status = observed(snapshot);
        status.reason = Some(reason);
        status.deadline = until.map(Time);
        status.percent = percent;
        self.write(snapshot, status).await
    }

    pub(super) async fn write_state(
        &self,
        snapshot: &Snapshot,
        state: ProviderMachineState,
        reason: String,
        now: Timestamp,
    ) -> Result<(), Error> {
        let mut status = observed(snapshot);
        status.state = state;
        status.since = Some(Time(now));
        status.reason = Some(reason);
        status.deadline = None;
        status.percent = None;
        self.write(snapshot, status).await
    }

    async fn write(&self, snapshot: &Snapshot, status: ProviderMachineStatus) -> Result<(), Error> {
        if snapshot.machine.status.as_ref() == Some(&status) {
            return Ok(());
        }
        let name = snapshot.machine.name_any();
        let machines = Api::<ProviderMachine>::namespaced(
            self.client.clone(),
            &snapshot.machine.namespace().unwrap_or_default(),
        );
        let patch =
            json!({ "apiVersion": "gantry.dev/v1alpha1", "kind": "ProviderMachine", "status": status });
        machines
            .patch_status(
                &name,
                &PatchParams::apply(keys::MANAGER_METAL).force(),
                &Patch::Apply(patch),
            )
            .await
            .map_err(Error::api(
                "write the status of",
                "ProviderMachine",
                name.as_str(),
            ))?;
        Ok(())
    }
}

/// The status as it was, with what the claimed server and its hardware tell.
fn observed(snapshot: &Snapshot) -> ProviderMachineStatus {
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
    status
}

fn newest_workflow(snapshot: &Snapshot) -> Option<String> {
    let name = snapshot.workflow_name(snapshot.installations());
    snapshot.workflows.contains_key(&name).then_some(name)
}
