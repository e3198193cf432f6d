//! Status of the Cluster: phase, reason and conditions.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt as _;
use resources::anywhere::{Cluster, ClusterStatus};
use resources::conditions::{Fact, Holds, conditions, since};
use resources::gantry::{MachineRole, PlanClass};

use super::certificates;
use super::nodes::nodes;
use super::summary::Report;
use crate::observe::{ApiSeen, Snapshot, brings_cni};

/// The phase that the cluster was in, for a report that does not change it.
pub(crate) fn known_phase(cluster: &Cluster) -> &'static str {
    let status = cluster.status.as_ref();
    let known = status
        .and_then(|status| status.phase.as_deref())
        .unwrap_or_default();
    let phases = ["Planning", "Creating", "Running", "Deleting", "Failed"];
    phases
        .into_iter()
        .find(|phase| *phase == known)
        .unwrap_or("Planning")
}

/// Whether the cluster is still being made: it does not answer yet, or the plan that makes it is not done.
pub(crate) fn creating(snapshot: &Snapshot) -> bool {
    let plan = snapshot
        .plan()
        .filter(|plan| plan.spec.class == PlanClass::Create);
    let under_way = plan.is_some_and(|plan| plan.phase().is_under_way());
    under_way || !snapshot.exists()
}

/// Status of the Cluster.
pub(super) fn status(
    cluster: &Cluster,
    snapshot: Option<&Snapshot>,
    report: &Report,
    now: Timestamp,
) -> ClusterStatus {
    let before = cluster.status.clone().unwrap_or_default();
    let mut status = before.clone();
    let phase = Some(report.phase.to_owned());
    let same = before.phase == phase && before.reason == report.reason;
    status.since = since(before.since.as_ref(), same, now);
    status.phase = phase;
    status.reason.clone_from(&report.reason);
    status.deadline = report.deadline.map(Time);
    (status.failure_reason, status.failure_message) = match report.failure.clone() {
        Some((reason, message)) => (Some(reason), Some(message)),
        None => (None, None),
    };
    let generation = cluster.metadata.generation;
    status.observed_generation = generation;
    let failure = status.failure_message.clone();
    if let Some(snapshot) = snapshot {
        let plan = snapshot.plan().map(|plan| plan.name_any());
        status.plan = plan.or(before.plan);
        status.etcd_drills.clone_from(&report.etcd.drills);
        let facts = facts(cluster, snapshot, report, failure.as_deref(), now);
        status.cluster_certificate_info = certificates::info(snapshot, now);
        status.conditions = conditions(&before.conditions, &facts, generation, now);
    } else if failure.is_some() {
        let fact = ready(false, failure.as_deref());
        let known = status.conditions.iter_mut().find(|known| known.type_ == fact.0);
        let new = conditions(&before.conditions, &[fact], generation, now);
        if let (Some(known), Some(new)) = (known, new.into_iter().next()) {
            *known = new;
        }
    }
    status
}

/// A cluster of which something is refused is not Ready, though its nodes may be: it is not what is wanted.
fn ready(all: bool, failure: Option<&str>) -> Fact {
    let message = match failure {
        Some(failure) => failure.lines().next().unwrap_or_default().to_owned(),
        None if all => "the cluster is ready".to_owned(),
        None => "the cluster is not ready".to_owned(),
    };
    let reason = match (all, failure) {
        (_, Some(_)) => "NotAsWanted",
        (true, None) => "Ready",
        (false, None) => "InProgress",
    };
    ("Ready", Holds::from(all && failure.is_none()), reason, message)
}

/// Whether a condition of the Cluster is true.
fn held(cluster: &Cluster, kind: &str) -> bool {
    let conditions = cluster.status.iter().flat_map(|status| &status.conditions);
    conditions
        .into_iter()
        .any(|condition| condition.type_ == kind && condition.status == "True")
}

fn facts(
    cluster: &Cluster,
    snapshot: &Snapshot,
    report: &Report,
    failure: Option<&str>,
    now: Timestamp,
) -> Vec<Fact> {
    let initialized = snapshot.exists();
    let cni = held(cluster, "DefaultCNIConfigured") || has_network(snapshot);
    let (control_plane, control_planes) = nodes(snapshot, MachineRole::ControlPlane);
    let (workers, all_workers) = nodes(snapshot, MachineRole::Worker);
    let is_ready = |(holds, _): &(Holds, String)| *holds == Holds::True;
    let parts = is_ready(&(control_plane, String::new())) && is_ready(&(workers, String::new()));
    let all = parts && cni && initialized && report.settled;
    let silent = matches!(snapshot.api, ApiSeen::Silent(_));
    let reason = |holds: Holds| match (holds, silent) {
        (Holds::True, _) => "Ready",
        (_, true) => "ApiSilent",
        (_, false) => "NodesNotReady",
    };
    let mut facts = vec![
        (
            "ControlPlaneInitialized",
            initialized.into(),
            if initialized {
                "Initialized"
            } else {
                "ControlPlaneInitializationInProgress"
            },
            match &snapshot.api {
                ApiSeen::Answers { .. } => "the API answers".to_owned(),
                ApiSeen::Silent(why) => format!("the API does not answer: {why}"),
                ApiSeen::NotYet => "the first control-plane machine is being installed".to_owned(),
            },
        ),
        (
            "ControlPlaneReady",
            control_plane,
            reason(control_plane),
            control_planes,
        ),
        (
            "DefaultCNIConfigured",
            cni.into(),
            if cni { "Configured" } else { "ControlPlaneNotReady" },
            if cni {
                "the CNI is installed".to_owned()
            } else {
                "the CNI is not installed yet".to_owned()
            },
        ),
        ("WorkersReady", workers, reason(workers), all_workers),
        certificates::fact(snapshot, now),
        progressing(report, &snapshot.api),
        ready(all, failure),
    ];
    facts.extend(report.etcd.facts.clone());
    facts
}

fn has_network(snapshot: &Snapshot) -> bool {
    match &snapshot.api {
        ApiSeen::Answers { system, .. } => system.cni_applied || !brings_cni(snapshot),
        _ => false,
    }
}

/// Whether what is wanted comes about, or has. Of a cluster that does not answer nobody knows.
fn progressing(report: &Report, api: &ApiSeen) -> Fact {
    let kind = "Progressing";
    if let (ApiSeen::Silent(why), true, true) = (api, report.settled, report.blocked.is_empty()) {
        let text = format!("the API does not answer: {why}");
        return (kind, Holds::Unknown, "ApiSilent", text);
    }
    match report.blocked.first() {
        Some(first) => {
            let more = report.blocked.len().saturating_sub(1);
            let text = if more == 0 {
                first.clone()
            } else {
                format!("{first} (and {more} more)")
            };
            (kind, Holds::False, "Blocked", text)
        }
        None if report.paused.is_some() => (
            kind,
            Holds::False,
            "RolloutPaused",
            report.paused.clone().unwrap_or_default(),
        ),
        None if report.settled => (
            kind,
            Holds::True,
            "AsWanted",
            "the cluster is as it is wanted".to_owned(),
        ),
        None => (
            kind,
            Holds::True,
            "UnderWay",
            report
                .reason
                .clone()
                .unwrap_or_else(|| "a plan is carried out".to_owned()),
        ),
    }
}
