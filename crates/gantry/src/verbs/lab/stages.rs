//! `gantry lab stages`: when each machine of a rack reached which stage, told by what observed it: the BMC's log of the
//! rack (outside of the appliance), the boot events, and the objects.

use std::collections::BTreeMap;
use std::path::Path;

use jiff::Timestamp;
use kube::ResourceExt;
use lab::CommandRecord;
use resources::tinkerbell::ActionState;

use crate::explain::Evidence;
use crate::snapshot::Snapshot;

/// The stages, in order.
pub(super) const STAGES: [&str; 7] = [
    "power-on",
    "script",
    "installer",
    "image written",
    "OS up",
    "kubeadm done",
    "Ready",
];

/// When a machine reached each stage.
pub(super) type Times = [Option<Timestamp>; 7];

/// The stages of every machine that Hardware names.
pub(super) fn stages(
    snapshot: &Snapshot,
    evidence: &Evidence,
    bmc: &[CommandRecord],
) -> BTreeMap<String, Times> {
    let names = snapshot.hardware.iter().map(ResourceExt::name_any);
    names
        .map(|name| (name.clone(), of_machine(snapshot, evidence, bmc, &name)))
        .collect()
}

fn of_machine(snapshot: &Snapshot, evidence: &Evidence, bmc: &[CommandRecord], name: &str) -> Times {
    let power_on = bmc
        .iter()
        .filter(|record| record.machine == name)
        .filter(|record| {
            record
                .effect
                .as_deref()
                .is_some_and(|effect| effect.starts_with("powered") && effect.ends_with(" on"))
        })
        .find_map(|record| record.time.parse().ok());
    let events = evidence.boot.get(name).map(Vec::as_slice).unwrap_or_default();
    let script = events
        .iter()
        .filter(|event| event.text("kind") == "Http" && event.text("text").starts_with("script"))
        .map(|event| event.time)
        .min();
    let server = snapshot
        .servers
        .iter()
        .find(|server| server.spec.hardware == name);
    let status = server.and_then(|server| server.status.as_ref());
    let session = status.and_then(|status| status.boot_session.as_ref());
    let installer = session
        .and_then(|session| session.claim.as_ref())
        .map(|claim| claim.at.0);
    let workflow = server
        .and_then(|server| server.spec.attempt.as_ref())
        .and_then(|attempt| {
            snapshot
                .workflows
                .iter()
                .find(|workflow| workflow.name_any() == attempt.workflow)
        });
    let actions = workflow
        .and_then(|workflow| workflow.status.as_ref())
        .map(|status| status.tasks.as_slice());
    // The image is the first action that writes; whatever its name is, it is the longest.
    let written = actions
        .into_iter()
        .flatten()
        .flat_map(|task| &task.actions)
        .filter(|action| action.state == ActionState::Success && action.name.contains("image"))
        .find_map(|action| action.execution_stop.as_ref().map(|time| time.0));
    let first_boot = status.and_then(|status| status.first_boot.as_ref());
    let up = first_boot
        .and_then(|first| first.requested_at.as_ref())
        .map(|time| time.0);
    let joined = first_boot
        .and_then(|first| first.revoked_at.as_ref())
        .map(|time| time.0);
    [
        power_on,
        script,
        installer,
        written,
        up,
        joined,
        ready(snapshot, name),
    ]
}

fn ready(snapshot: &Snapshot, host: &str) -> Option<Timestamp> {
    let provider = snapshot
        .provider_machines
        .iter()
        .find(|machine| machine.status.as_ref().and_then(|status| status.host.as_deref()) == Some(host))?;
    let machine = snapshot
        .machines
        .iter()
        .find(|machine| machine.name_any() == provider.spec.machine)?;
    let status = machine.status.as_ref()?;
    let running = status.phase == Some(resources::cluster_api::MachinePhase::Running);
    status.since.as_ref().filter(|_| running).map(|since| since.0)
}

/// Reads the rack's log of BMC commands.
pub(super) fn bmc_log(path: &Path) -> Vec<CommandRecord> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect()
}

/// Rows for people: seconds since power-on.
pub(super) fn rows(stages: &BTreeMap<String, Times>) -> Vec<Vec<String>> {
    stages
        .iter()
        .map(|(name, times)| {
            let start = times.iter().flatten().min().copied();
            let cell = |time: &Option<Timestamp>| match (time, start) {
                (Some(time), Some(start)) => format!("{} s", time.as_second() - start.as_second()),
                _ => "-".to_owned(),
            };
            std::iter::once(name.clone())
                .chain(times.iter().map(cell))
                .collect()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_count_from_power_on() {
        let at = |second| Timestamp::from_second(second).ok();
        let times = [at(100), at(130), None, at(190), None, None, at(400)];
        let rows = rows(&BTreeMap::from([("a".to_owned(), times)]));
        assert_eq!(rows, [["a", "0 s", "30 s", "-", "90 s", "-", "-", "300 s"]]);
    }

    #[test]
    fn a_missing_log_is_no_evidence() {
        assert!(bmc_log(Path::new("/nonexistent")).is_empty());
    }
}
