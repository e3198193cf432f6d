//! What the calls have in common: reading a Workflow, committing its status, and the answers when that fails.

use std::collections::HashMap;

use compare_and_set::Outcome;
use jiff::Timestamp;
use kube::ResourceExt as _;
use kube::api::Api;
use resources::tinkerbell::{Workflow, WorkflowAction, WorkflowStatus, WorkflowTask};
use tonic::Status;

use crate::context::{ServiceContext, WRITER};
use crate::engine::Place;
use crate::error::Error;
use crate::transitions;

/// Namespace and name.
pub(super) fn full_name(workflow: &Workflow) -> String {
    format!(
        "{}/{}",
        workflow.namespace().unwrap_or_default(),
        workflow.name_any()
    )
}

/// The action at `place` with its task, and the settings of both.
pub(super) fn environment(
    status: &WorkflowStatus,
    place: Place,
) -> Option<(&WorkflowTask, &WorkflowAction, HashMap<String, String>)> {
    let task = status.tasks.get(place.task)?;
    let row = task.actions.get(place.action)?;
    let settings = task.environment.iter().chain(&row.environment);
    let settings = settings.map(|(key, value)| (key.clone(), value.clone()));
    Some((task, row, settings.collect()))
}

/// The answer to a call that failed on our side.
pub(super) fn failed(error: Error) -> Status {
    tracing::warn!(error = %error, "workflow call failed");
    Status::unavailable(error.to_string())
}

/// Makes `status` that of the Workflow if it still is as it was read, and shows the change of its state, if it has one.
pub(super) async fn committed(
    context: &ServiceContext,
    api: &Api<Workflow>,
    workflow: &Workflow,
    status: &WorkflowStatus,
    now: Timestamp,
) -> Result<Outcome<Workflow>, Status> {
    let outcome = WRITER.status(api, workflow, status).await;
    let outcome = outcome.map_err(|error| failed(error.into()))?;
    if let Outcome::Written(_) = &outcome {
        transitions::report(&context.client, workflow, status, now).await;
    }
    Ok(outcome)
}

/// The Workflow of a name, or the answer that it is gone.
pub(super) async fn read(api: &Api<Workflow>, name: &str) -> Result<Workflow, Status> {
    let found = api.get_opt(name).await;
    let found = found.map_err(|source| {
        failed(Error::Read {
            kind: "Workflow",
            name: name.to_owned(),
            source,
        })
    })?;
    found.ok_or_else(|| Status::permission_denied(format!("workflow {name} was deleted")))
}
