//! Status of a Machine.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt as _;
use resources::cluster_api::{Machine, MachineInitialization, MachinePhase, MachineStatus, NodeRef};
use resources::conditions::{Fact, Holds, UPGRADE_GATES_PASSED, conditions, since};
use resources::gantry::{MachineRole, ProviderMachinePhase, ProviderMachineStatus, StepStatus};

use crate::observe::{ApiSeen, ETCD_HEALTHY, GatesProgress, NODE_HEALTHY, Snapshot, votes};

/// Condition of a Machine: on it is installed what is wanted now.
pub(super) const UP_TO_DATE: &str = "UpToDate";

/// Status of a Machine. While `step` of its is carried out, reason and deadline are the step's.
pub(super) fn status(
    machine: &Machine,
    snapshot: &Snapshot,
    step: Option<&StepStatus>,
    now: Timestamp,
) -> MachineStatus {
    let name = machine.name_any();
    let before = machine.status.clone().unwrap_or_default();
    let driver = snapshot.provider_status(&name).cloned().unwrap_or_default();
    let phase = phase(machine, snapshot, &driver);
    let (reason, deadline) = reason(&name, phase, snapshot, step, &driver);
    let node = snapshot.own_node(&name).filter(|_| snapshot.has_joined(&name));
    let node_ref = node.map(|node| NodeRef {
        name: node.name.clone(),
    });
    let mut all = facts(&name, snapshot, &before);
    all.extend(gates(&name, snapshot, now));
    all.extend(up_to_date(&name, snapshot));
    all.extend(ready(phase, reason.as_deref(), snapshot));
    MachineStatus {
        conditions: conditions(&before.conditions, &all, machine.metadata.generation, now),
        since: since(before.since.as_ref(), before.phase == Some(phase), now),
        phase: Some(phase),
        reason,
        deadline,
        percent: driver.percent.filter(|_| phase == MachinePhase::Provisioning),
        node_ref: node_ref.or(before.node_ref),
        addresses: driver.addresses,
        initialization: Some(MachineInitialization {
            infrastructure_provisioned: Some(driver.provider_id.is_some()),
            bootstrap_data_secret_created: Some(
                snapshot.bootstrap.contains_key(&name) || snapshot.has_joined(&name),
            ),
        }),
        observed_generation: machine.metadata.generation,
    }
}

fn phase(machine: &Machine, snapshot: &Snapshot, driver: &ProviderMachineStatus) -> MachinePhase {
    let name = machine.name_any();
    let before = machine.status.as_ref().and_then(|status| status.phase);
    let silent = !matches!(snapshot.api, ApiSeen::Answers { .. });
    let Some(provider) = snapshot.provider_machines.get(&name) else {
        let leaves = machine.metadata.deletion_timestamp.is_some();
        return if leaves {
            MachinePhase::Deleting
        } else {
            MachinePhase::Pending
        };
    };
    let node = snapshot.own_node(&name).filter(|_| snapshot.has_joined(&name));
    if machine.metadata.deletion_timestamp.is_some() || provider.metadata.deletion_timestamp.is_some() {
        MachinePhase::Deleting
    } else if driver.phase == ProviderMachinePhase::Failed || provider.spec.given_up.is_some() {
        MachinePhase::Failed
    // An API that is silent for a moment takes no node away.
    } else if before == Some(MachinePhase::Running) && silent || node.is_some_and(|node| node.ready) {
        MachinePhase::Running
    } else if driver.phase == ProviderMachinePhase::Running {
        MachinePhase::Provisioned
    } else {
        MachinePhase::Provisioning
    }
}

fn reason(
    name: &str,
    phase: MachinePhase,
    snapshot: &Snapshot,
    step: Option<&StepStatus>,
    driver: &ProviderMachineStatus,
) -> (Option<String>, Option<Time>) {
    let given_up = snapshot
        .provider_machines
        .get(name)
        .and_then(|machine| machine.spec.given_up.clone());
    if phase == MachinePhase::Failed && given_up.is_some() {
        return (given_up, None);
    }
    match (phase, step) {
        (MachinePhase::Running, None) => (None, None),
        (_, Some(row)) if row.reason.is_some() => (row.reason.clone(), row.deadline.clone()),
        (_, _) => (driver.reason.clone(), driver.deadline.clone()),
    }
}

fn facts(name: &str, snapshot: &Snapshot, before: &MachineStatus) -> Vec<Fact> {
    let mut facts = healthy(name, snapshot, before);
    facts.extend(etcd_healthy(name, snapshot, before));
    facts.extend(first_boot(snapshot.provider_status(name)));
    facts
}

/// What Cluster API's clients go by: whether pods can run on the machine.
fn ready(phase: MachinePhase, why: Option<&str>, snapshot: &Snapshot) -> [Fact; 2] {
    let silent = !matches!(snapshot.api, ApiSeen::Answers { .. });
    let because = |holds, reason: &'static str, text: &str| (holds, reason, why.unwrap_or(text).to_owned());
    let (holds, reason, message) = match phase {
        MachinePhase::Running if silent => because(Holds::Unknown, "ApiSilent", "the API does not answer"),
        MachinePhase::Running => (Holds::True, "NodeReady", "the node is Ready".to_owned()),
        MachinePhase::Deleting => because(Holds::False, "Deleting", "it is being given back"),
        MachinePhase::Failed => because(Holds::False, "Failed", "it has failed"),
        MachinePhase::Provisioned => because(Holds::False, "NodeNotReady", "its node is not Ready"),
        MachinePhase::Pending | MachinePhase::Provisioning => {
            because(Holds::False, "NotInstalled", "it is not installed yet")
        }
    };
    [
        ("Ready", holds, reason, message.clone()),
        ("Available", holds, reason, message),
    ]
}

/// Whether on a machine is installed what is wanted of its pool now.
fn up_to_date(name: &str, snapshot: &Snapshot) -> Option<Fact> {
    let pool = snapshot.wanted.as_ref()?.pool(snapshot.pool_of(name)?)?;
    let revision = &snapshot.provider_machines.get(name)?.spec.revision;
    let holds = *revision == pool.revision;
    let (reason, message) = if holds {
        ("UpToDate", "what is wanted is installed".to_owned())
    } else {
        (
            "NotUpToDate",
            format!("revision {revision} is installed, {} is wanted", pool.revision),
        )
    };
    Some((UP_TO_DATE, holds.into(), reason, message))
}

/// How the first boot of the machine's installation went, once it asked for its data. What follows from a failure is in the
/// reason of the machine.
fn first_boot(driver: Option<&ProviderMachineStatus>) -> Option<Fact> {
    let driver = driver?;
    let fact = |holds, reason, message| Some(("FirstBootSucceeded", holds, reason, message));
    if let Some(failure) = &driver.bootstrap_failure {
        let message = format!("{failure}\nLast lines:\n{}", failure.lines.join("\n"));
        return fact(Holds::False, "Failed", message);
    }
    if driver.bootstrap_done_at.is_some() {
        return fact(Holds::True, "Done", "the first boot is done".to_owned());
    }
    driver.bootstrap_requested_at.as_ref()?;
    let stage = driver.bootstrap_stage.as_ref().map(|stage| stage.name.as_str());
    let stage = stage.unwrap_or("its request for data");
    fact(
        Holds::Unknown,
        "UnderWay",
        format!("the first boot is at {stage}"),
    )
}

/// The upgrade gates of a machine that was made for a rollout.
fn gates(name: &str, snapshot: &Snapshot, now: Timestamp) -> Option<Fact> {
    let fact = |holds, reason, message: &str| Some((UPGRADE_GATES_PASSED, holds, reason, message.to_owned()));
    if snapshot.has_passed_gates(name) {
        return fact(
            Holds::True,
            "Passed",
            "the upgrade gates have succeeded after it joined",
        );
    }
    if !snapshot.is_gated(name) {
        return None;
    }
    match snapshot.gates_progress(name, now) {
        Some(GatesProgress::Failed(why)) => fact(Holds::False, "Failed", &why),
        Some(GatesProgress::Running(jobs)) => fact(Holds::Unknown, "Running", &jobs),
        _ => fact(
            Holds::Unknown,
            "Pending",
            "the upgrade gates are run when it has joined",
        ),
    }
}

fn healthy(name: &str, snapshot: &Snapshot, before: &MachineStatus) -> Vec<Fact> {
    if !snapshot.has_joined(name) {
        return Vec::new();
    }
    let (holds, reason, message) = match &snapshot.api {
        ApiSeen::Answers { .. } => match snapshot.own_node(name) {
            Some(node) if node.ready => (Holds::True, "NodeReady", "the node is Ready".to_owned()),
            Some(node) => {
                let why = node.reason.as_deref().unwrap_or("no reason given");
                (
                    Holds::False,
                    "NodeNotReady",
                    format!("node {} is not Ready: {why}", node.name),
                )
            }
            None => (
                Holds::False,
                "NodeMissing",
                "its node is not in the cluster".to_owned(),
            ),
        },
        // What was known last stands: how long a node was down is counted from it.
        _ => {
            let known = before.conditions.iter().find(|known| known.type_ == NODE_HEALTHY);
            match known.map(|known| known.status.as_str()) {
                Some("False") => (Holds::False, "ApiSilent", "the API does not answer".to_owned()),
                _ => (Holds::Unknown, "ApiSilent", "the API does not answer".to_owned()),
            }
        }
    };
    vec![(NODE_HEALTHY, holds, reason, message)]
}

fn etcd_healthy(name: &str, snapshot: &Snapshot, before: &MachineStatus) -> Option<Fact> {
    let joined = snapshot.has_joined(name) && snapshot.role(name) == MachineRole::ControlPlane;
    let mut conditions = before.conditions.iter();
    let known = conditions.find(|known| known.type_ == ETCD_HEALTHY);
    let was_down = known.is_some_and(|known| known.status == "False");
    let (holds, reason, message) = match votes(snapshot, name) {
        Some(true) => (Holds::True, "Votes", "it is a healthy voting member of etcd"),
        Some(false) => (
            Holds::False,
            "DoesNotVote",
            "it is no healthy voting member of etcd",
        ),
        // What was known last stands: how long it did not vote is counted from it.
        None if was_down => (
            Holds::False,
            "EtcdSilent",
            "etcd does not say who its members are",
        ),
        None => (
            Holds::Unknown,
            "EtcdSilent",
            "etcd does not say who its members are",
        ),
    };
    joined.then(|| (ETCD_HEALTHY, holds, reason, message.to_owned()))
}
