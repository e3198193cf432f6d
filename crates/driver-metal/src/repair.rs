//! Repairs of the installed system, in the installer: the certificates of a member of a control plane that have ended. Everything
//! is read from objects: the wish, and the Workflows `<ProviderMachine>-repair-<n>`, where `n` is the number of the wish.

use agent_protocol::environment::{FACT_API_SERVER_CERTIFICATE, FACT_ETCD_CERTIFICATE};
use kube::ResourceExt as _;
use resources::gantry::{CertificateRepairResult, Server};
use resources::tinkerbell::{Hardware, Workflow, WorkflowState};

use crate::snapshot::Snapshot;
use crate::wipe;

/// The number of the repair that is wanted and has not come to its end.
pub(crate) fn wanted(snapshot: &Snapshot) -> Option<u32> {
    let wanted = snapshot.machine.spec.certificate_repair.as_ref()?.number;
    let status = snapshot.machine.status.as_ref();
    let last = status.and_then(|status| status.certificate_repair.as_ref());
    last.is_none_or(|last| last.number < wanted).then_some(wanted)
}

/// Name of the Workflow of a repair.
pub(crate) fn name(snapshot: &Snapshot, number: u32) -> String {
    format!("{}{number}", prefix(snapshot))
}

/// The answer for a machine that was adopted.
pub(crate) fn refused(number: u32) -> CertificateRepairResult {
    CertificateRepairResult {
        number,
        failure: Some(
            "the machine was adopted, so that nobody knows which disk its system is on; renew the certificates on it by hand, with \
             kubeadm certs renew all"
                .to_owned(),
        ),
        ..CertificateRepairResult::default()
    }
}

/// What came of the newest repair that has ended.
pub(crate) fn result(snapshot: &Snapshot) -> Option<CertificateRepairResult> {
    let prefix = prefix(snapshot);
    let number = |name: &String| name.strip_prefix(&prefix)?.parse::<u32>().ok();
    let ended = snapshot.workflows.iter().filter_map(|(name, workflow)| {
        Some((number(name)?, workflow)).filter(|(_, workflow)| has_ended(workflow))
    });
    let (number, workflow) = ended.max_by_key(|(number, _)| *number)?;
    let status = workflow.status.clone().unwrap_or_default();
    let digest = |fact: &str| status.facts.get(fact)?.parse().ok();
    let failure = match status.state {
        Some(WorkflowState::Success) => None,
        _ => Some(
            status
                .reason
                .clone()
                .unwrap_or_else(|| "the workflow gave no reason".to_owned()),
        ),
    };
    Some(CertificateRepairResult {
        number,
        failure,
        api_server: digest(FACT_API_SERVER_CERTIFICATE),
        etcd: digest(FACT_ETCD_CERTIFICATE),
    })
}

/// The name that the disk of the installed system is pinned under: the Hardware's first disk, where this claim has written to
/// several.
pub(crate) fn system_disk<'a>(server: &'a Server, hardware: &Hardware) -> Option<&'a str> {
    let written = wipe::disks(server, Some(hardware));
    let first = hardware.spec.disks.first().and_then(|disk| disk.device.as_ref());
    let is_first = |name: &&str| first.is_some_and(|first| first == name);
    let names = || written.iter().map(|pin| pin.name.as_str());
    names().find(is_first).or_else(|| names().next())
}

fn prefix(snapshot: &Snapshot) -> String {
    format!("{}-repair-", snapshot.machine.name_any())
}

pub(crate) fn has_ended(workflow: &Workflow) -> bool {
    let state = workflow.status.as_ref().and_then(|status| status.state);
    state.is_some_and(WorkflowState::is_terminal)
}
