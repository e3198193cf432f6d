//! What of a Workflow becomes an Event, on it and on the Hardware of its machine: that it ended badly, and what people
//! must know of its disks.

use kube::{Client, ResourceExt as _};
use resources::keys::MANAGER_WORKFLOW;
use resources::tinkerbell::{Workflow, WorkflowState, WorkflowStatus};
use telemetry::Events;

/// Reports that `next` ended the Workflow badly, if it did. Only after `next` was committed.
pub(crate) async fn ended(client: &Client, known: &Workflow, next: &WorkflowStatus) {
    if !ends_badly(known.status.as_ref(), next) {
        return;
    }
    let why = next.reason.as_deref().unwrap_or("no reason was given");
    let text = format!("Workflow {}: {why}", known.name_any());
    let machine = known.spec.hardware_ref.as_deref().unwrap_or_default();
    Events::new(client.clone(), MANAGER_WORKFLOW)
        .warn_of_machine(known, machine, "InstallationFailed", &text)
        .await;
}

/// Reports that the agent waits because a disk can't be told.
pub(crate) async fn disk_unclear(client: &Client, workflow: &Workflow, reason: &str) {
    of_disk(client, workflow, "DiskUnclear", reason).await;
}

/// Reports that a name stands for another disk than in the attempt before.
pub(crate) async fn disk_replaced(client: &Client, workflow: &Workflow, text: &str) {
    of_disk(client, workflow, "DiskReplaced", text).await;
}

async fn of_disk(client: &Client, workflow: &Workflow, reason: &str, text: &str) {
    let machine = workflow.spec.hardware_ref.as_deref().unwrap_or_default();
    let text = format!("Workflow {}: {text}", workflow.name_any());
    Events::new(client.clone(), MANAGER_WORKFLOW)
        .warn_of_machine(workflow, machine, reason, &text)
        .await;
}

fn ends_badly(before: Option<&WorkflowStatus>, next: &WorkflowStatus) -> bool {
    let was = before.and_then(|status| status.state);
    next.state != was && matches!(next.state, Some(WorkflowState::Failed | WorkflowState::Timeout))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_told_once_and_success_never() {
        let status = |state| WorkflowStatus {
            state,
            ..WorkflowStatus::default()
        };
        use WorkflowState::{Failed, Pending, Post, Running, Success, Timeout};
        for (was, is, expected) in [
            (None, Some(Failed), true),
            (Some(Pending), Some(Timeout), true),
            (Some(Running), Some(Failed), true),
            (Some(Failed), Some(Failed), false),
            (Some(Timeout), Some(Timeout), false),
            (Some(Running), Some(Post), false),
            (Some(Post), Some(Success), false),
        ] {
            assert_eq!(
                ends_badly(Some(&status(was)), &status(is)),
                expected,
                "{was:?} to {is:?}"
            );
        }
        assert!(ends_badly(None, &status(Some(Failed))));
    }
}
