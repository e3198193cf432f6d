//! What people must know of the disks of a Workflow: Events on it and on the Hardware of its machine.

use kube::{Client, ResourceExt as _};
use resources::keys::MANAGER_WORKFLOW;
use resources::tinkerbell::Workflow;
use telemetry::Events;

/// Reports that the agent waits because a disk can't be told or a data disk is not what it was; `event` says which.
pub(crate) async fn held_back(client: &Client, workflow: &Workflow, event: &str, reason: &str) {
    of_disk(client, workflow, event, reason).await;
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
