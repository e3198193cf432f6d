//! The state in a Workflow's status, and its changes as Events. The controller makes some of them and the service, by the
//! agent's word, the others.

use jiff::Timestamp;
use kube::{Client, ResourceExt as _};
use resources::Time;
use resources::keys::MANAGER_WORKFLOW;
use resources::tinkerbell::{Workflow, WorkflowState, WorkflowStatus};
use steps::{Record, StateName, Transition};
use telemetry::Events;

/// The kind of state machine.
pub(crate) const KIND: &str = "workflow";

/// How a state is called.
pub(crate) fn name_of(state: Option<WorkflowState>) -> StateName {
    let (label, event) = match state {
        None => ("unrendered", "Unrendered"),
        Some(WorkflowState::Preparing) => ("PREPARING", "Preparing"),
        Some(WorkflowState::Pending) => ("PENDING", "Pending"),
        Some(WorkflowState::Running) => ("RUNNING", "Running"),
        Some(WorkflowState::Post) => ("POST", "Post"),
        Some(WorkflowState::Success) => ("SUCCESS", "Success"),
        Some(WorkflowState::Failed) => ("FAILED", "WorkflowFailed"),
        Some(WorkflowState::Timeout) => ("TIMEOUT", "WorkflowFailed"),
    };
    StateName {
        label,
        event,
        failure: matches!(state, Some(WorkflowState::Failed | WorkflowState::Timeout)),
    }
}

/// The record in a status. The percent is that of the action at hand, by the agent's reports, and no part of it.
pub(crate) fn record(status: &WorkflowStatus) -> Record<Option<WorkflowState>> {
    let time = |time: &Option<Time>| time.as_ref().map(|time| time.0);
    Record {
        state: status.state,
        since: time(&status.since),
        reason: status.reason.clone(),
        deadline: time(&status.deadline),
        percent: None,
    }
}

/// Counts and shows what a commit of the service changed.
pub(crate) async fn report(client: &Client, before: &Workflow, after: &WorkflowStatus, now: Timestamp) {
    let known = before.status.as_ref().map(record);
    let known = known.unwrap_or_else(|| record(&WorkflowStatus::default()));
    if let Some(transition) = known.transition(&record(after), name_of, now) {
        transition.count(KIND, &before.name_any());
        announce(client, before, &transition).await;
    }
}

/// Shows a committed transition.
pub(crate) async fn announce(client: &Client, workflow: &Workflow, transition: &Transition) {
    let machine = workflow.spec.hardware_ref.as_deref().unwrap_or_default();
    Events::new(client.clone(), MANAGER_WORKFLOW)
        .transition(workflow, machine, transition)
        .await;
}
