//! Rendering, and raising the attempt of the Server.

use std::time::Duration;

use compare_and_set::Outcome;
use jiff::{SignedDuration, Timestamp};
use kube::api::Api;
use resources::Time;
use resources::gantry::{Attempt, Server, SessionPhase};
use resources::tinkerbell::{Hardware, Template, Workflow, WorkflowCondition, WorkflowState, WorkflowStatus};

use super::Shared;
use super::reconcile::{After, Kept, Surroundings, goes};
use crate::engine::{Rendered, rendered};
use crate::error::Error;
use crate::parts::{ATTEMPT, WRITER};

/// How long an object that a Workflow names may be missing.
const MISSING: SignedDuration = SignedDuration::from_secs(60);
/// How long another Workflow may hold the server.
const BUSY: SignedDuration = SignedDuration::from_mins(60);
const LOOK: Duration = Duration::from_secs(2);

/// Renders the Template into the rows, or fails with the reason.
pub(super) async fn render(shared: &Shared, around: &Surroundings, now: Timestamp) -> Result<After, Error> {
    let spec = &around.workflow.spec;
    let Some(template_name) = spec.template_ref.as_deref().filter(|name| !name.is_empty()) else {
        return fail_rendering(
            around,
            "spec.templateRef is missing; name a Template of this namespace".into(),
            now,
        )
        .await;
    };
    let Some(hardware_name) = spec.hardware_ref.as_deref().filter(|name| !name.is_empty()) else {
        let reason = "spec.hardwareRef is missing; name the Hardware on which this is to run".into();
        return fail_rendering(around, reason, now).await;
    };
    let templates: Api<Template> = Api::namespaced(shared.client.clone(), &around.namespace);
    let found = templates.get_opt(template_name).await;
    let found = found.map_err(|source| Error::Read {
        kind: "Template",
        name: template_name.to_owned(),
        source,
    })?;
    let (Some(template), Some(hardware)) = (found, &around.hardware) else {
        let what = if around.hardware.is_none() {
            format!("spec.hardwareRef: there is no Hardware {hardware_name}")
        } else {
            format!("spec.templateRef: there is no Template {template_name}")
        };
        let reason = format!("{what} in namespace {}", around.namespace);
        return missing(around, reason, MISSING, now).await;
    };
    let made = rows(
        template_name,
        template.spec.data.as_deref().unwrap_or_default(),
        &around.workflow,
        hardware,
    );
    match made {
        Err(reason) => fail_rendering(around, reason, now).await,
        Ok(rendered) => {
            tracing::info!(
                machine = around.machine(),
                workflow = around.name,
                "template rendered"
            );
            around.keep(|status| fill(status, rendered, now)).await?;
            Ok(After::Decide)
        }
    }
}

/// Template text to rows; the error is for people.
fn rows(name: &str, text: &str, workflow: &Workflow, hardware: &Hardware) -> Result<Rendered, String> {
    let data =
        template::data(&workflow.spec.hardware_map, Some(hardware)).map_err(|error| error.to_string())?;
    let yaml = template::render(name, text, &data).map_err(|error| error.to_string())?;
    let document = template::parse(name, &yaml).map_err(|error| error.to_string())?;
    rendered(&document, || uuid::Uuid::now_v7().to_string())
        .map_err(|problems| format!("template {name}: {problems}"))
}

fn fill(status: &mut WorkflowStatus, rendered: Rendered, now: Timestamp) {
    status.agent_id = Some(rendered.agent_id);
    status.global_timeout = Some(rendered.global_timeout);
    status.tasks = rendered.tasks;
    status.template_rendering = Some("successful".into());
    status.current_state = None;
    status.conditions.push(condition(
        "True",
        "Complete",
        "template rendered successfully".into(),
        now,
    ));
    goes(
        status,
        WorkflowState::Preparing,
        "the template is rendered".into(),
        now,
    );
}

fn condition(status: &str, reason: &str, message: String, now: Timestamp) -> WorkflowCondition {
    WorkflowCondition {
        kind: "TemplateRenderedSuccess".into(),
        status: status.into(),
        reason: Some(reason.into()),
        message: Some(message),
        time: Some(Time(now)),
    }
}

async fn fail_rendering(around: &Surroundings, reason: String, now: Timestamp) -> Result<After, Error> {
    tracing::warn!(
        machine = around.machine(),
        workflow = around.name,
        reason,
        "template cannot be rendered"
    );
    around
        .keep(|status| {
            status.template_rendering = Some("failed".into());
            status
                .conditions
                .push(condition("False", "Error", reason.clone(), now));
            goes(status, WorkflowState::Failed, reason, now);
        })
        .await?;
    Ok(After::Decide)
}

/// Waits for something that may come to be; fails when it has not in time.
async fn missing(
    around: &Surroundings,
    reason: String,
    patience: SignedDuration,
    now: Timestamp,
) -> Result<After, Error> {
    let until = around.since(now).checked_add(patience).unwrap_or(Timestamp::MAX);
    if now > until {
        around
            .keep(|status| goes(status, WorkflowState::Failed, reason, now))
            .await?;
        return Ok(After::Decide);
    }
    around
        .keep(|status| {
            status.reason = Some(reason);
            status.deadline = Some(Time(until));
        })
        .await?;
    Ok(After::Wait(LOOK))
}

/// Makes this Workflow's attempt the newest of its Server. A crash between the two writes finds its own attempt again.
pub(super) async fn raise_attempt(
    shared: &Shared,
    around: &Surroundings,
    now: Timestamp,
) -> Result<After, Error> {
    let Some(server) = &around.server else {
        return missing(
            around,
            "its Server is being derived from the Hardware".into(),
            MISSING,
            now,
        )
        .await;
    };
    let number = match &server.spec.attempt {
        Some(attempt) if attempt.workflow == around.name && still_good(server, attempt) => attempt.number,
        Some(attempt) if !attempt.closed && runs(shared, around, &attempt.workflow).await? => {
            let reason = format!("Workflow {} runs on this server", attempt.workflow);
            return missing(around, reason, BUSY, now).await;
        }
        last => {
            let number = last.as_ref().map_or(1, |last| last.number.saturating_add(1));
            let attempt = Attempt {
                number,
                workflow: around.name.clone(),
                ..Attempt::default()
            };
            let api: Api<Server> = Api::namespaced(shared.client.clone(), &around.namespace);
            match WRITER.set(&api, server, &ATTEMPT, &attempt).await? {
                Outcome::Lost => return Ok(After::Decide),
                Outcome::Written(_) | Outcome::Unchanged => {}
            }
            tracing::info!(
                machine = around.machine(),
                workflow = around.name,
                attempt = number,
                "attempt raised"
            );
            number
        }
    };
    let begins = |status: &mut WorkflowStatus| {
        status.attempt = Some(number);
        // What follows has its own time; waiting for another Workflow was no part of it.
        status.since = Some(Time(now));
    };
    match around.keep(begins).await? {
        Kept::Yes | Kept::Conflict => Ok(After::Decide),
    }
}

/// Whether an attempt of this name is ours and not that of a deleted Workflow of the same name.
fn still_good(server: &Server, attempt: &Attempt) -> bool {
    let session = server
        .status
        .as_ref()
        .and_then(|status| status.boot_session.as_ref());
    let session = session.filter(|session| session.attempt == attempt.number);
    !attempt.closed
        && !attempt.handover
        && session.is_none_or(|session| matches!(session.phase, SessionPhase::Arming | SessionPhase::Armed))
}

async fn runs(shared: &Shared, around: &Surroundings, workflow: &str) -> Result<bool, Error> {
    if workflow == around.name {
        return Ok(false);
    }
    let api: Api<Workflow> = Api::namespaced(shared.client.clone(), &around.namespace);
    let found = api.get_opt(workflow).await;
    let found = found.map_err(|source| Error::Read {
        kind: "Workflow",
        name: workflow.to_owned(),
        source,
    })?;
    let state = found.map(|workflow| workflow.status.and_then(|status| status.state));
    Ok(state.is_some_and(|state| !state.is_some_and(WorkflowState::is_terminal)))
}
