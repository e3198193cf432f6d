//! What a snapshot says of a cluster's progress.

use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;
use resources::anywhere::FailureReason;
use resources::gantry::{
    Plan, PlanClass, PlanPhase, PlanStep, PlanStepKind, ProviderMachine, ProviderMachinePhase, StepState,
};
use resources::tinkerbell::WorkflowState;

use crate::snapshot::{Snapshot, phase, word};
use crate::time;

/// How long a plan that has failed may stand until another one follows: the coordinator begins what can be repeated again
/// after a minute.
const FOLLOWED: SignedDuration = SignedDuration::from_mins(2);

/// How far a cluster is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct View {
    /// One line about the whole cluster.
    pub(crate) headline: String,
    /// One row for each machine.
    pub(crate) machines: Vec<MachineRow>,
    /// Whether it goes on.
    pub(crate) verdict: Verdict,
}

/// How far a machine is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MachineRow {
    pub(crate) name: String,
    pub(crate) host: String,
    pub(crate) state: String,
    pub(crate) percent: Option<u8>,
    pub(crate) reason: String,
    pub(crate) elapsed: String,
}

/// Whether there is something to wait for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Goes on.
    Going,
    /// Ready.
    Ready,
    /// Stopped, with the reason.
    Failed(String),
    /// Not begun, with the reason; the appliance looks again every half minute.
    Refused(String),
}

/// Looks at a cluster.
pub(crate) fn view(snapshot: &Snapshot, cluster: &str, now: Timestamp) -> View {
    let machines = snapshot
        .provider_machines_of(cluster)
        .into_iter()
        .map(|machine| row(snapshot, machine, now))
        .collect();
    View {
        headline: headline(snapshot, cluster, now),
        machines,
        verdict: verdict(snapshot, cluster, now),
    }
}

/// The steps of a plan, for people.
pub(crate) fn plan_lines(plan: &Plan) -> Vec<String> {
    let mut lines = vec![format!("Plan {} ({}):", plan.name_any(), word(plan.spec.class))];
    let steps = plan.spec.lines();
    lines.extend(
        steps
            .iter()
            .enumerate()
            .map(|(number, step)| format!("  {}. {step}", number + 1)),
    );
    if let Some(seconds) = plan.spec.api_gap_seconds {
        let starts_anew = |step: &PlanStep| step.kind == PlanStepKind::RestoreControlPlane;
        let until = match plan.spec.steps.iter().any(starts_anew) {
            true => "until the only member has started anew",
            false if plan.spec.class == PlanClass::Maintain => "when a member restarts",
            false => "when a member goes",
        };
        let span = time::span(seconds.into());
        lines.push(format!("  the API may not answer for up to {span} {until}"));
    }
    if let Some(why) = &plan.spec.requires_approval {
        lines.push(format!(
            "  a person has to approve it, because {why}: gantry approve {}",
            plan.name_any()
        ));
    }
    lines
}

fn headline(snapshot: &Snapshot, cluster: &str, now: Timestamp) -> String {
    let Some(object) = snapshot.cluster(cluster) else {
        return format!("{cluster}: gone");
    };
    let status = object.status.clone().unwrap_or_default();
    let phase = status
        .phase
        .unwrap_or_else(|| "not seen by the coordinator yet".to_owned());
    let mut text = format!("{cluster}: {phase}");
    if let Some(step) = snapshot.plan_of(cluster).and_then(running_step) {
        text = format!("{text}, {step}");
    }
    if let Some(reason) = status.failure_message.or(status.reason) {
        text = format!("{text}: {reason}");
    }
    if let Some(deadline) = status.deadline {
        text = format!("{text} (deadline {})", time::until(deadline.0, now));
    }
    text
}

/// How many steps are done, and what runs.
fn running_step(plan: &Plan) -> Option<String> {
    let rows = &plan.status.as_ref()?.steps;
    let row_of = |step: &&PlanStep| rows.iter().find(|row| row.id == step.id);
    let state = |step: &&PlanStep| row_of(step).map(|row| row.state).unwrap_or_default();
    let steps = &plan.spec.steps;
    let running: Vec<&PlanStep> = steps
        .iter()
        .filter(|step| state(step) == StepState::Running)
        .collect();
    let first = running.first()?;
    let done = steps.iter().filter(|step| state(step) == StepState::Done).count();
    let equal = running.iter().filter(|step| step.kind == first.kind).count();
    Some(format!(
        "{done} of {} steps done: {}",
        steps.len(),
        first.text(equal)
    ))
}

fn row(snapshot: &Snapshot, machine: &ProviderMachine, now: Timestamp) -> MachineRow {
    let status = machine.status.clone().unwrap_or_default();
    let workflow = snapshot
        .workflow_of(machine)
        .and_then(|workflow| workflow.status.as_ref());
    let action = workflow
        .filter(|workflow| {
            let over = workflow.state.is_some_and(WorkflowState::is_terminal);
            status.phase == ProviderMachinePhase::Creating && !over
        })
        .and_then(|workflow| workflow.current_state.as_ref())
        .and_then(|current| current.action_name.clone());
    let state = phase(&status);
    let reason = match (
        action,
        status.reason.or_else(|| workflow.and_then(|w| w.reason.clone())),
    ) {
        (Some(action), Some(reason)) if !reason.contains(&action) => format!("{action}: {reason}"),
        (Some(_), Some(reason)) => reason,
        (action, reason) => action.or(reason).unwrap_or_default(),
    };
    MachineRow {
        name: machine.name_any(),
        host: status.host.unwrap_or_default(),
        state,
        percent: status
            .percent
            .or_else(|| workflow.and_then(|workflow| workflow.percent)),
        reason,
        elapsed: status
            .since
            .map(|since| time::ago(since.0, now))
            .unwrap_or_default(),
    }
}

fn verdict(snapshot: &Snapshot, name: &str, now: Timestamp) -> Verdict {
    let Some(cluster) = snapshot.cluster(name) else {
        return Verdict::Failed(format!("cluster {name} does not exist any more"));
    };
    let Some(status) = &cluster.status else {
        return Verdict::Going;
    };
    let current = status
        .observed_generation
        .is_none_or(|seen| Some(seen) == cluster.metadata.generation);
    let ready = status
        .conditions
        .iter()
        .any(|c| c.type_ == "Ready" && c.status == "True");
    if ready && current {
        return Verdict::Ready;
    }
    if let Some(message) = status.failure_message.as_ref().filter(|_| current)
        && snapshot.plan_of(name).is_none()
        && status.failure_reason.is_some_and(needs_a_person)
    {
        return Verdict::Refused(message.clone());
    }
    if let Some(message) = status.failure_message.as_ref().filter(|_| current)
        && status.phase.as_deref() == Some("Failed")
    {
        return Verdict::Failed(message.clone());
    }
    let plan = snapshot.plan_of(name).and_then(|plan| plan.status.as_ref());
    if let Some(plan) = plan.filter(|plan| plan.phase == PlanPhase::Failed) {
        // Another plan follows by itself where something can be done.
        let since = plan.since.as_ref().map_or(now, |since| since.0);
        if now.duration_since(since) < FOLLOWED {
            return Verdict::Going;
        }
        let reason = status.failure_message.clone().or(plan.reason.clone());
        return Verdict::Failed(reason.unwrap_or_else(|| "the plan failed".to_owned()));
    }
    match (&status.failure_message, status.phase.as_deref()) {
        // A change of a running cluster that is refused: nothing more comes of it.
        (Some(message), Some("Running"))
            if current && !plan.is_some_and(|plan| plan.phase.is_under_way()) =>
        {
            Verdict::Failed(message.clone())
        }
        _ => Verdict::Going,
    }
}

/// Whether the documents or their surroundings have to change; objects that are missing may come by themselves.
fn needs_a_person(reason: FailureReason) -> bool {
    matches!(
        reason,
        FailureReason::ClusterInvalid
            | FailureReason::DatacenterConfigInvalid
            | FailureReason::MachineConfigInvalid
            | FailureReason::UnavailableControlPlaneIP
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn snapshot(phase: &str, ready: &str, plan: &str) -> Snapshot {
        let time = "2026-01-01T00:00:00Z";
        let parse = |value| serde_json::from_value(value).unwrap();
        Snapshot {
            clusters: vec![serde_json::from_value(json!({
                "apiVersion": "anywhere.eks.amazonaws.com/v1alpha1", "kind": "Cluster",
                "metadata": {"name": "c", "namespace": "n", "generation": 2}, "spec": {},
                "status": {"phase": phase, "reason": "waits", "observedGeneration": 2, "plan": "p",
                    "failureMessage": (phase == "Failed").then_some("no hardware"),
                    "conditions": [{"type": "Ready", "status": ready, "reason": "x", "message": "",
                        "lastTransitionTime": time}]},
            }))
            .unwrap()],
            plans: vec![serde_json::from_value(json!({
                "apiVersion": "gantry.dev/v1alpha1", "kind": "Plan", "metadata": {"name": "p", "namespace": "n"},
                "spec": {"cluster": "c", "desired": format!("sha256:{}", "0".repeat(64)), "class": "create", "steps": [
                    {"id": "1", "kind": "makePki", "deadlineMinutes": 1},
                    {"id": "2", "kind": "joinWorker", "machine": "w", "after": ["1"], "deadlineMinutes": 30},
                    {"id": "3", "kind": "joinWorker", "machine": "x", "after": ["1"], "deadlineMinutes": 30}]},
                "status": {"phase": plan, "reason": "too slow", "since": time,
                    "steps": [{"id": "1", "state": "done"}, {"id": "2", "state": "running"}]},
            }))
            .unwrap()],
            provider_machines: vec![parse(json!({
                "apiVersion": "gantry.dev/v1alpha1", "kind": "ProviderMachine",
                "metadata": {"name": "m", "namespace": "n"},
                "spec": {"provider": "metal", "clusterName": "c", "machine": "m", "imageURL": "file:///x"},
                "status": {"phase": "creating", "driverState": "installing", "since": time, "host": "node-1", "percent": 40, "workflow": "w"},
            }))],
            workflows: vec![serde_json::from_value(json!({
                "apiVersion": "tinkerbell.org/v1alpha1", "kind": "Workflow", "metadata": {"name": "w", "namespace": "n"},
                "spec": {}, "status": {"state": "RUNNING", "currentState": {"actionName": "stream-image"}},
            }))
            .unwrap()],
            ..Snapshot::default()
        }
    }

    fn at() -> Timestamp {
        "2026-01-01T00:01:00Z".parse().unwrap()
    }

    #[test]
    fn a_machine_shows_action_percent_and_time() {
        let view = view(&snapshot("Creating", "False", "executing"), "c", at());
        let row = &view.machines[0];
        assert_eq!(
            (row.state.as_str(), row.percent, row.elapsed.as_str()),
            ("creating (installing)", Some(40), "60s")
        );
        assert_eq!(
            (row.host.as_str(), row.reason.as_str()),
            ("node-1", "stream-image")
        );
        assert_eq!(
            view.headline,
            "c: Creating, 1 of 3 steps done: install w and join as worker: waits"
        );
        assert_eq!(view.verdict, Verdict::Going);
    }

    #[test]
    fn verdicts() {
        let of = |phase, ready, plan| view(&snapshot(phase, ready, plan), "c", at()).verdict;
        assert_eq!(of("Running", "True", "done"), Verdict::Ready);
        // Another plan follows one that has failed, or none does.
        assert_eq!(of("Creating", "False", "failed"), Verdict::Going);
        let later = at() + SignedDuration::from_mins(2);
        assert_eq!(
            view(&snapshot("Creating", "False", "failed"), "c", later).verdict,
            Verdict::Failed("too slow".to_owned())
        );
        assert_eq!(
            of("Failed", "False", "pending"),
            Verdict::Failed("no hardware".to_owned())
        );
        // A change of a running cluster is refused.
        let refused = |plan| {
            let mut snapshot = snapshot("Running", "False", plan);
            let status = snapshot.clusters[0].status.as_mut().unwrap();
            status.failure_message = Some("spec.osImageURL: not carried out".to_owned());
            view(&snapshot, "c", at()).verdict
        };
        assert_eq!(refused("executing"), Verdict::Going);
        assert_eq!(
            refused("done"),
            Verdict::Failed("spec.osImageURL: not carried out".to_owned())
        );
        // A creation is refused; one that waits for an image or a machine is not.
        let held = |reason| {
            let mut snapshot = snapshot("Planning", "False", "pending");
            snapshot.plans.clear();
            let status = snapshot.clusters[0].status.as_mut().unwrap();
            status.failure_message = Some("192.0.2.10 is in use".to_owned());
            status.failure_reason = Some(reason);
            view(&snapshot, "c", at()).verdict
        };
        let refused = Verdict::Refused("192.0.2.10 is in use".to_owned());
        assert_eq!(held(FailureReason::UnavailableControlPlaneIP), refused);
        assert_eq!(held(FailureReason::ClusterInvalid), refused);
        assert_eq!(held(FailureReason::MissingDependentObjects), Verdict::Going);
        assert_eq!(held(FailureReason::HardwareInvalid), Verdict::Going);
        assert_eq!(view(&Snapshot::default(), "c", at()).headline, "c: gone");
    }

    #[test]
    fn plans_are_numbered() {
        let lines = plan_lines(&snapshot("x", "False", "pending").plans[0]);
        assert_eq!(
            lines,
            [
                "Plan p (create):",
                "  1. make the certificate authorities and keys of the cluster (at most 1 min)",
                "  2. install 2 machines and join as worker (at most 30 min)"
            ]
        );
    }
}
