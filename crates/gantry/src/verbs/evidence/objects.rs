//! The objects that hang on a server.

use kube::{Resource, ResourceExt};
use serde::Serialize;
use serde_json::Value;

use super::redact;
use crate::failure::Outcome;
use crate::snapshot::Snapshot;

/// One object, without what is secret.
pub(super) struct Packed {
    pub(super) kind: String,
    pub(super) name: String,
    /// Name of its file.
    pub(super) file: String,
    pub(super) content: Value,
}

/// Server, Hardware, machines, BMC with its Jobs, Workflows.
pub(super) fn of_server(snapshot: &Snapshot, name: &str) -> Outcome<Vec<Packed>> {
    let mut packed = Vec::new();
    let server = snapshot.servers.iter().find(|server| server.name_any() == name);
    pack(&mut packed, "server", server)?;
    let hardware = snapshot
        .hardware
        .iter()
        .filter(|hardware| hardware.name_any() == name);
    pack(&mut packed, "hardware", hardware)?;
    let spec = server.map(|server| &server.spec);
    let claim = spec.and_then(|spec| Some(spec.claim.as_ref()?.name.as_str()));
    let failed = spec.and_then(|spec| Some(spec.last_failure.as_ref()?.owner.as_str()));
    let machines = snapshot.provider_machines.iter().filter(|machine| {
        let own_name = machine.name_any();
        let host = machine.status.as_ref().and_then(|status| status.host.as_deref());
        host == Some(name) || [claim, failed].contains(&Some(own_name.as_str()))
    });
    let machines: Vec<_> = machines.collect();
    pack(&mut packed, "providermachine", machines.iter().copied())?;
    let of_cluster = snapshot.machines.iter().filter(|machine| {
        machines
            .iter()
            .any(|found| found.spec.machine == machine.name_any())
    });
    pack(&mut packed, "machine", of_cluster)?;
    if let Some(bmc) = spec.and_then(|spec| spec.bmc.as_deref()) {
        let bmcs = snapshot.bmcs.iter().filter(|found| found.name_any() == bmc);
        pack(&mut packed, "bmc", bmcs)?;
        let jobs = snapshot
            .jobs
            .iter()
            .filter(|job| job.spec.machine_ref.name == bmc);
        pack(&mut packed, "job", jobs)?;
    }
    let workflows = snapshot
        .workflows
        .iter()
        .filter(|workflow| workflow.spec.hardware_ref.as_deref() == Some(name));
    pack(&mut packed, "workflow", workflows)?;
    Ok(packed)
}

fn pack<'a, K>(packed: &mut Vec<Packed>, prefix: &str, objects: impl IntoIterator<Item = &'a K>) -> Outcome
where
    K: Resource<DynamicType = ()> + Serialize + 'a,
{
    for object in objects {
        let mut content = serde_json::to_value(object)?;
        redact::object(&mut content);
        let name = object.name_any();
        packed.push(Packed {
            kind: K::kind(&()).into_owned(),
            file: format!("{prefix}-{name}"),
            name,
            content,
        });
    }
    Ok(())
}
