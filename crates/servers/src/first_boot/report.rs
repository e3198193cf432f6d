//! What the installed system says of its first boot while it lasts: its stage, and its failure.

use axum::Extension;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use jiff::Timestamp;
use kube::ResourceExt as _;
use pki::Identity;
use resources::Time;
use resources::gantry::{FirstBoot, FirstBootStage};

use super::call::{Refusal, System, drop_data};
use super::reported::{Malformed, failure, stage_name};
use crate::alarms::{Alarm, alarm};
use crate::context::Context;
use crate::sessions::FirstBootCall;

impl From<Malformed> for Refusal {
    fn from(malformed: Malformed) -> Self {
        Self(StatusCode::BAD_REQUEST, malformed.to_string())
    }
}

pub(super) async fn stage(
    State(context): State<Context>,
    identity: Option<Extension<Identity>>,
    body: Bytes,
) -> Response {
    note_stage(&context, identity, &body)
        .await
        .unwrap_or_else(Refusal::respond)
}

pub(super) async fn failed(
    State(context): State<Context>,
    identity: Option<Extension<Identity>>,
    body: Bytes,
) -> Response {
    note_failure(&context, identity, &body)
        .await
        .unwrap_or_else(Refusal::respond)
}

async fn note_stage(
    context: &Context,
    identity: Option<Extension<Identity>>,
    body: &[u8],
) -> Result<Response, Refusal> {
    let system = System::of(identity)?;
    let name = stage_name(body)?;
    let begins = |first: &mut FirstBoot| {
        let same = first.stage.as_ref().is_some_and(|stage| stage.name == name);
        if !same && first.failure.is_none() {
            first.stage = Some(FirstBootStage {
                name: name.clone(),
                since: Time(Timestamp::now()),
            });
        }
    };
    let (server, new) = system.update(context, FirstBootCall::Report, begins).await?;
    if new {
        let text = format!("first boot of attempt {} begins {name}", system.attempt);
        context.record(&server, None, text);
    }
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// The first report counts; the same one again, because its answer was lost, changes nothing.
async fn note_failure(
    context: &Context,
    identity: Option<Extension<Identity>>,
    body: &[u8],
) -> Result<Response, Refusal> {
    let system = System::of(identity)?;
    let reported = failure(body, Timestamp::now())?;
    let fails = |first: &mut FirstBoot| {
        first.failure.get_or_insert_with(|| reported.clone());
    };
    let (server, new) = system.update(context, FirstBootCall::Report, fails).await?;
    drop_data(context, &server).await?;
    if new {
        let text = format!("{reported} (attempt {})", system.attempt);
        tracing::warn!(machine = %server.name_any(), reason = text, "first boot failed");
        context.record(&server, None, text.clone());
        alarm(context, &server, Alarm::FirstBootFailed, &text).await;
    }
    Ok(StatusCode::NO_CONTENT.into_response())
}
