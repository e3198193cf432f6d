//! Statuses of MachineDeployments and MachineSets: how many of their machines are how far.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, LabelSelector};
use kube::{Resource, ResourceExt as _};
use resources::cluster_api::{
    MachineDeployment, MachineDeploymentPhase, MachineDeploymentStatus, MachinePhase, MachineSet,
    MachineSetStatus, MachineStatus,
};
use resources::conditions::{Fact, Holds, conditions};
use resources::keys;

use super::machine::UP_TO_DATE;
use crate::observe::{ApiSeen, Snapshot};

/// How many machines are how far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Count {
    all: i32,
    ready: i32,
    available: i32,
    up_to_date: i32,
    failed: i32,
    going: i32,
}

impl Count {
    fn of<'a>(snapshot: &Snapshot, machines: impl Iterator<Item = (&'a String, &'a MachineStatus)>) -> Self {
        let mut count = Self::default();
        for (name, status) in machines {
            let going = snapshot.is_going(name);
            let ready = status.phase == Some(MachinePhase::Running) || going && is_ready(snapshot, name);
            let conditions = &status.conditions;
            let up_to_date = conditions
                .iter()
                .any(|known| known.type_ == UP_TO_DATE && known.status == "True");
            for (number, holds) in [
                (&mut count.all, true),
                (&mut count.ready, ready),
                (&mut count.available, ready && !going),
                (&mut count.up_to_date, up_to_date),
                (&mut count.failed, status.phase == Some(MachinePhase::Failed)),
                (&mut count.going, going),
            ] {
                *number = number.saturating_add(i32::from(holds));
            }
        }
        count
    }

    fn phase(self, wanted: i32) -> MachineDeploymentPhase {
        if self.failed > 0 {
            MachineDeploymentPhase::Failed
        } else if self.going > 0 || self.all > wanted {
            MachineDeploymentPhase::ScalingDown
        } else if self.available < wanted {
            MachineDeploymentPhase::ScalingUp
        } else {
            MachineDeploymentPhase::Running
        }
    }
}

fn is_ready(snapshot: &Snapshot, machine: &str) -> bool {
    snapshot.has_joined(machine) && snapshot.own_node(machine).is_some_and(|node| node.ready)
}

/// The machines of a group with the statuses that are said of them now.
type Statuses = BTreeMap<String, MachineStatus>;

/// Status of a MachineDeployment.
pub(super) fn deployment(
    object: &MachineDeployment,
    snapshot: &Snapshot,
    statuses: &Statuses,
    now: Timestamp,
) -> MachineDeploymentStatus {
    let before = object.status.clone().unwrap_or_default();
    let wanted = object.spec.replicas.unwrap_or(0);
    let count = Count::of(
        snapshot,
        selected(keys::DEPLOYMENT_NAME, object, snapshot, statuses),
    );
    let mut facts = vec![available(count, wanted, snapshot)];
    facts.extend(of_machines(count, snapshot));
    let doing = |kind, holds: bool, what: &str, of: i32| {
        let reason = if holds { kind } else { "AsWanted" };
        let message = if holds {
            format!("{what}: {of} of {wanted} machines")
        } else {
            format!("{} of {wanted} machines are there", count.all)
        };
        (kind, Holds::from(holds), reason, message)
    };
    facts.push(doing(
        "RollingOut",
        count.up_to_date < count.all,
        "up to date",
        count.up_to_date,
    ));
    facts.push(doing("ScalingUp", count.all < wanted, "made", count.all));
    facts.push(doing("ScalingDown", count.all > wanted, "left", count.all));
    let machines = of_selected(
        &before.machines.conditions,
        &facts,
        object,
        &object.spec.selector,
        count,
        now,
    );
    MachineDeploymentStatus {
        machines,
        phase: Some(count.phase(wanted)),
    }
}

/// Status of a MachineSet.
pub(super) fn set(
    object: &MachineSet,
    snapshot: &Snapshot,
    statuses: &Statuses,
    now: Timestamp,
) -> MachineSetStatus {
    let before = object.status.clone().unwrap_or_default();
    let count = Count::of(snapshot, selected(keys::SET_NAME, object, snapshot, statuses));
    let facts = of_machines(count, snapshot);
    of_selected(
        &before.conditions,
        &facts,
        object,
        &object.spec.selector,
        count,
        now,
    )
}

/// What both statuses say of the machines that a selector finds.
fn of_selected(
    before: &[Condition],
    facts: &[Fact],
    object: &impl Resource,
    selector: &LabelSelector,
    count: Count,
    now: Timestamp,
) -> MachineSetStatus {
    let generation = object.meta().generation;
    MachineSetStatus {
        conditions: conditions(before, facts, generation, now),
        observed_generation: generation,
        selector: Some(text(selector)),
        replicas: Some(count.all),
        ready_replicas: Some(count.ready),
        available_replicas: Some(count.available),
        up_to_date_replicas: Some(count.up_to_date),
    }
}

/// Machines that carry the name of the object above them in this label.
fn selected<'a>(
    label: &'a str,
    object: &'a impl kube::ResourceExt,
    snapshot: &'a Snapshot,
    statuses: &'a Statuses,
) -> impl Iterator<Item = (&'a String, &'a MachineStatus)> {
    let name = object.name_any();
    statuses.iter().filter(move |(machine, _)| {
        let labels = snapshot.machines.get(*machine).map(|machine| machine.labels());
        labels.and_then(|labels| labels.get(label)) == Some(&name)
    })
}

fn available(count: Count, wanted: i32, snapshot: &Snapshot) -> Fact {
    let kind = "Available";
    if let ApiSeen::Silent(why) = &snapshot.api {
        return (
            kind,
            Holds::Unknown,
            "ApiSilent",
            format!("the API does not answer: {why}"),
        );
    }
    let holds = count.available >= wanted;
    let message = format!("{} of {wanted} machines are available", count.available);
    (
        kind,
        holds.into(),
        if holds { "Available" } else { "NotAvailable" },
        message,
    )
}

/// What all machines are.
fn of_machines(count: Count, snapshot: &Snapshot) -> Vec<Fact> {
    let fact = |kind, number: i32, yes, no, what: &str| {
        let holds = number == count.all;
        let message = format!("{number} of {} machines are {what}", count.all);
        (kind, Holds::from(holds), if holds { yes } else { no }, message)
    };
    let mut ready = fact("MachinesReady", count.ready, "Ready", "NotReady", "Ready");
    if let ApiSeen::Silent(why) = &snapshot.api {
        ready = (
            "MachinesReady",
            Holds::Unknown,
            "ApiSilent",
            format!("the API does not answer: {why}"),
        );
    }
    vec![
        ready,
        fact(
            "MachinesUpToDate",
            count.up_to_date,
            "UpToDate",
            "NotUpToDate",
            "up to date",
        ),
    ]
}

/// A selector as `kubectl get -l` takes it.
fn text(selector: &LabelSelector) -> String {
    let labels = selector.match_labels.iter().flatten();
    let pairs: Vec<String> = labels.map(|(key, value)| format!("{key}={value}")).collect();
    pairs.join(",")
}
