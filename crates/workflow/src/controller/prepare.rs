//! Rendering, and raising the attempt of the Server.

use compare_and_set::Outcome;
use jiff::{SignedDuration, Timestamp};
use kube::api::Api;
use resources::Time;
use resources::gantry::{Attempt, Server, SessionPhase};
use resources::tinkerbell::{Hardware, Template, Workflow, WorkflowCondition, WorkflowState, WorkflowStatus};
use steps::later;

use super::seen::Seen;
use crate::context::{ATTEMPT, ControllerContext, WRITER};
use crate::engine::{Rendered, purpose, rendered};
use crate::error::Error;
use crate::states::{Step, go};

/// How long an object that a Workflow names may be missing.
const MISSING: SignedDuration = SignedDuration::from_secs(60);
/// How long another Workflow may hold the server.
const BUSY: SignedDuration = SignedDuration::from_mins(60);

/// Renders the Template into the rows, or fails with the reason.
pub(super) async fn render(
    context: &ControllerContext,
    seen: &mut Seen,
    now: Timestamp,
) -> Result<Option<Step>, Error> {
    let spec = &seen.workflow.spec;
    let Some(template_name) = spec.template_ref.as_deref().filter(|name| !name.is_empty()) else {
        let reason = "spec.templateRef is missing; name a Template of this namespace";
        return Ok(Some(fail(seen, reason.into(), now)));
    };
    let Some(hardware_name) = spec.hardware_ref.as_deref().filter(|name| !name.is_empty()) else {
        let reason = "spec.hardwareRef is missing; name the Hardware on which this is to run";
        return Ok(Some(fail(seen, reason.into(), now)));
    };
    let templates: Api<Template> = Api::namespaced(context.client.clone(), &seen.namespace);
    let found = templates.get_opt(template_name).await;
    let found = found.map_err(|source| Error::Read {
        kind: "Template",
        name: template_name.to_owned(),
        source,
    })?;
    let (Some(template), Some(hardware)) = (found, &seen.hardware) else {
        let what = if seen.hardware.is_none() {
            format!("spec.hardwareRef: there is no Hardware {hardware_name}")
        } else {
            format!("spec.templateRef: there is no Template {template_name}")
        };
        let reason = format!("{what} in namespace {}", seen.namespace);
        return Ok(Some(missing(seen, reason, MISSING, now)));
    };
    let made = rows(
        template_name,
        template.spec.data.as_deref().unwrap_or_default(),
        &seen.workflow,
        hardware,
    );
    Ok(Some(match made {
        Err(reason) => fail(seen, reason, now),
        Ok(rendered) => {
            fill(seen.status(), rendered, now);
            go(WorkflowState::Preparing, "the template is rendered")
        }
    }))
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

/// The Template cannot be rendered.
fn fail(seen: &mut Seen, reason: String, now: Timestamp) -> Step {
    let status = seen.status();
    status.template_rendering = Some("failed".into());
    status
        .conditions
        .push(condition("False", "Error", reason.clone(), now));
    go(WorkflowState::Failed, reason)
}

/// Waits for something that may come to be; fails when it has not in time.
fn missing(seen: &Seen, reason: String, patience: SignedDuration, now: Timestamp) -> Step {
    Step::wait(reason, later(seen.since(now), patience))
        .or_at_deadline(now, |reason| go(WorkflowState::Failed, reason))
}

/// Makes this Workflow's attempt the newest of its Server. A crash between the two writes finds its own attempt again.
pub(super) async fn raise_attempt(
    context: &ControllerContext,
    seen: &mut Seen,
    now: Timestamp,
) -> Result<Option<Step>, Error> {
    let Some(server) = &seen.server else {
        let reason = "its Server is being derived from the Hardware".into();
        return Ok(Some(missing(seen, reason, MISSING, now)));
    };
    let number = match &server.spec.attempt {
        Some(attempt) if attempt.workflow == seen.name && still_good(server, attempt) => attempt.number,
        Some(attempt) if !attempt.closed && runs(context, seen, &attempt.workflow).await? => {
            let reason = format!("Workflow {} runs on this server", attempt.workflow);
            return Ok(Some(missing(seen, reason, BUSY, now)));
        }
        last => {
            let number = last.as_ref().map_or(1, |last| last.number.saturating_add(1));
            let attempt = Attempt {
                number,
                workflow: seen.name.clone(),
                purpose: purpose(
                    seen.workflow
                        .status
                        .as_ref()
                        .unwrap_or(&WorkflowStatus::default()),
                ),
                ..Attempt::default()
            };
            let api: Api<Server> = Api::namespaced(context.client.clone(), &seen.namespace);
            match WRITER.set(&api, server, &ATTEMPT, &attempt).await? {
                Outcome::Lost => return Ok(None),
                Outcome::Written(_) | Outcome::Unchanged => {}
            }
            tracing::info!(
                machine = seen.machine(),
                workflow = seen.name,
                attempt = number,
                "attempt raised"
            );
            number
        }
    };
    let status = seen.status();
    status.attempt = Some(number);
    // What follows has its own time; waiting for another Workflow was no part of it.
    status.since = Some(Time(now));
    Ok(None)
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

async fn runs(context: &ControllerContext, seen: &Seen, workflow: &str) -> Result<bool, Error> {
    if workflow == seen.name {
        return Ok(false);
    }
    let api: Api<Workflow> = Api::namespaced(context.client.clone(), &seen.namespace);
    let found = api.get_opt(workflow).await;
    let found = found.map_err(|source| Error::Read {
        kind: "Workflow",
        name: workflow.to_owned(),
        source,
    })?;
    let state = found.map(|workflow| workflow.status.and_then(|status| status.state));
    Ok(state.is_some_and(|state| !state.is_some_and(WorkflowState::is_terminal)))
}
