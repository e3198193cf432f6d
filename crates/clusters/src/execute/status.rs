//! What the coordinator tells: status of the Cluster, its Machines, Cluster API's Cluster and the ControlPlane. Pure.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::ResourceExt;
use resources::anywhere::{Cluster, ClusterStatus, FailureReason};
use resources::cluster_api::{
    ClusterInitialization, ClusterPhase, ClusterStatus as CapiStatus, Machine, MachineInitialization,
    MachinePhase, MachineStatus, NodeRef,
};
use resources::gantry::{ControlPlaneStatus, Plan, PlanPhase, PlanStepKind, ProviderMachineState, StepState};

use super::snapshot::{ApiSeen, Snapshot};

/// What is said of the cluster as a whole.
#[derive(Debug, Clone, Default)]
pub(crate) struct Word {
    /// Planning, Creating, Running, Deleting, Failed.
    pub(crate) phase: &'static str,
    /// What it waits for.
    pub(crate) reason: Option<String>,
    /// When waiting ends.
    pub(crate) deadline: Option<Timestamp>,
    /// What is wrong.
    pub(crate) failure: Option<(FailureReason, String)>,
}

/// Keeps `since` while nothing changes.
fn since(before: Option<&Time>, same: bool, now: Timestamp) -> Option<Time> {
    before.filter(|_| same).cloned().or(Some(Time(now)))
}

/// Status of the Cluster.
pub(crate) fn cluster(
    cluster: &Cluster,
    snapshot: Option<&Snapshot>,
    plan: Option<&Plan>,
    word: Word,
    now: Timestamp,
) -> ClusterStatus {
    let before = cluster.status.clone().unwrap_or_default();
    let mut status = before.clone();
    let phase = Some(word.phase.to_owned());
    let same = before.phase == phase && before.reason == word.reason;
    status.since = since(before.since.as_ref(), same, now);
    status.phase = phase;
    status.reason = word.reason;
    status.deadline = word.deadline.map(Time);
    (status.failure_reason, status.failure_message) = match word.failure {
        Some((reason, message)) => (Some(reason), Some(message)),
        None => (None, None),
    };
    status.observed_generation = cluster.metadata.generation;
    status.plan = plan.map(ResourceExt::name_any).or(before.plan);
    let failure = status.failure_message.as_deref();
    if let Some(snapshot) = snapshot {
        status.conditions = conditions(
            &before.conditions,
            &facts(cluster, snapshot, plan, failure),
            cluster.metadata.generation,
            now,
        );
    } else if failure.is_some() {
        let fact = ready(false, failure);
        let known = status.conditions.iter_mut().find(|known| known.type_ == fact.0);
        let new = conditions(&before.conditions, &[fact], cluster.metadata.generation, now);
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
    ("Ready", all && failure.is_none(), reason, message)
}

/// Whether a condition of the Cluster is true.
pub(crate) fn holds(cluster: &Cluster, kind: &str) -> bool {
    let conditions = cluster
        .status
        .as_ref()
        .map(|status| status.conditions.as_slice())
        .unwrap_or_default();
    conditions
        .iter()
        .any(|condition| condition.type_ == kind && condition.status == "True")
}

/// Type, whether it holds, one word, one line.
type Fact = (&'static str, bool, &'static str, String);

fn facts(cluster: &Cluster, snapshot: &Snapshot, plan: Option<&Plan>, failure: Option<&str>) -> Vec<Fact> {
    let answers = matches!(snapshot.api, ApiSeen::Answers { .. });
    let done = |kind: PlanStepKind| plan.is_some_and(|plan| step_done(plan, kind));
    let count_ready = |control_plane: bool| {
        let names: Vec<&str> = snapshot
            .desired
            .iter()
            .flat_map(|desired| &desired.machines)
            .filter(|machine| (machine.role == resources::gantry::MachineRole::ControlPlane) == control_plane)
            .map(|machine| machine.name.as_str())
            .collect();
        let count = names
            .iter()
            .filter(|name| snapshot.node(name).is_some_and(|node| node.ready))
            .count();
        (count, names.len())
    };
    let (cp_ready, cp_all) = count_ready(true);
    let (workers_ready, workers_all) = count_ready(false);
    // What was made once stays made: these two never go back.
    let initialized =
        holds(cluster, "ControlPlaneInitialized") || answers && done(PlanStepKind::InitControlPlane);
    let cni = holds(cluster, "DefaultCNIConfigured") || done(PlanStepKind::InstallCni);
    let finished = plan.is_some_and(|plan| {
        plan.status
            .as_ref()
            .is_some_and(|status| status.phase == PlanPhase::Done)
    });
    let control_plane = answers && initialized && cp_ready == cp_all && cp_all > 0;
    let workers = answers && workers_ready == workers_all;
    let all = control_plane && cni && workers && finished;
    vec![
        (
            "ControlPlaneInitialized",
            initialized,
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
            if control_plane { "Ready" } else { "NodesNotReady" },
            format!("{cp_ready} of {cp_all} control-plane nodes are Ready"),
        ),
        (
            "DefaultCNIConfigured",
            cni,
            if cni { "Configured" } else { "ControlPlaneNotReady" },
            if cni {
                "the CNI is installed".to_owned()
            } else {
                "the CNI is not installed yet".to_owned()
            },
        ),
        (
            "WorkersReady",
            workers,
            if workers { "Ready" } else { "NodesNotReady" },
            format!("{workers_ready} of {workers_all} workers are Ready"),
        ),
        ready(all, failure),
    ]
}

fn step_done(plan: &Plan, kind: PlanStepKind) -> bool {
    let steps = plan
        .status
        .as_ref()
        .map(|status| status.steps.as_slice())
        .unwrap_or_default();
    let done = |id: &str| {
        steps
            .iter()
            .any(|step| step.id == id && step.state == StepState::Done)
    };
    let mut of_kind = plan.spec.steps.iter().filter(|step| step.kind == kind).peekable();
    of_kind.peek().is_some() && of_kind.all(|step| done(&step.id))
}

fn conditions(
    before: &[Condition],
    facts: &[Fact],
    generation: Option<i64>,
    now: Timestamp,
) -> Vec<Condition> {
    facts
        .iter()
        .map(|(kind, holds, reason, message)| {
            let status = if *holds { "True" } else { "False" };
            let known = before
                .iter()
                .find(|condition| condition.type_ == *kind && condition.status == status);
            Condition {
                type_: (*kind).to_owned(),
                status: status.to_owned(),
                reason: (*reason).to_owned(),
                message: message.clone(),
                last_transition_time: known.map_or(Time(now), |known| known.last_transition_time.clone()),
                observed_generation: generation,
            }
        })
        .collect()
}

/// Status of a Machine; `step` is the reason and deadline of the step at hand when it is about this machine.
pub(crate) fn machine(
    machine: &Machine,
    snapshot: &Snapshot,
    step: Option<(String, Option<Timestamp>)>,
    now: Timestamp,
) -> MachineStatus {
    let name = machine.name_any();
    let before = machine.status.clone().unwrap_or_default();
    let provider = snapshot.provider_machines.get(&name);
    let told = provider
        .and_then(|provider| provider.status.clone())
        .unwrap_or_default();
    let node = snapshot.node(&name);
    let unasked = !matches!(snapshot.api, ApiSeen::Answers { .. });
    let phase = match provider {
        None => MachinePhase::Pending,
        Some(provider) if provider.metadata.deletion_timestamp.is_some() => MachinePhase::Deleting,
        Some(_) if told.state == ProviderMachineState::Failed => MachinePhase::Failed,
        // An API that is silent for a moment takes no node away.
        Some(_) if before.phase == Some(MachinePhase::Running) && unasked => MachinePhase::Running,
        Some(_) if node.is_some_and(|node| node.ready) => MachinePhase::Running,
        Some(_) if told.state == ProviderMachineState::Running => MachinePhase::Provisioned,
        Some(_) => MachinePhase::Provisioning,
    };
    let (reason, deadline) = match (phase, step) {
        (MachinePhase::Running, _) => (None, None),
        (_, Some((reason, deadline))) => (Some(reason), deadline.map(Time)),
        (_, None) => (told.reason.clone(), told.deadline.clone()),
    };
    MachineStatus {
        conditions: before.conditions.clone(),
        since: since(before.since.as_ref(), before.phase == Some(phase), now),
        phase: Some(phase),
        reason,
        deadline,
        percent: if phase == MachinePhase::Provisioning {
            told.percent
        } else {
            None
        },
        node_ref: node
            .map(|node| NodeRef {
                name: node.name.clone(),
            })
            .or(before.node_ref),
        addresses: told.addresses,
        initialization: Some(MachineInitialization {
            infrastructure_provisioned: Some(told.provider_id.is_some()),
            bootstrap_data_secret_created: Some(
                snapshot.bootstrap.contains_key(&name) || phase == MachinePhase::Running,
            ),
        }),
        observed_generation: machine.metadata.generation,
    }
}

/// Status of Cluster API's Cluster and of the ControlPlane.
pub(crate) fn parents(snapshot: &Snapshot, deleting: bool) -> (CapiStatus, ControlPlaneStatus) {
    let initialized = matches!(snapshot.api, ApiSeen::Answers { .. });
    let members: Vec<String> = snapshot
        .existing()
        .into_iter()
        .filter(|name| snapshot.is_control_plane(name))
        .collect();
    let ready = members
        .iter()
        .filter(|name| snapshot.node(name).is_some_and(|node| node.ready))
        .count();
    let phase = match (deleting, initialized) {
        (true, _) => ClusterPhase::Deleting,
        (false, true) => ClusterPhase::Provisioned,
        (false, false) => ClusterPhase::Provisioning,
    };
    let capi = CapiStatus {
        phase: Some(phase),
        initialization: Some(ClusterInitialization {
            infrastructure_provisioned: Some(!members.is_empty()),
            control_plane_initialized: Some(initialized),
        }),
        ..CapiStatus::default()
    };
    let control_plane = ControlPlaneStatus {
        replicas: i32::try_from(members.len()).unwrap_or(i32::MAX),
        ready_replicas: i32::try_from(ready).unwrap_or(i32::MAX),
        initialized,
        conditions: Vec::new(),
    };
    (capi, control_plane)
}
