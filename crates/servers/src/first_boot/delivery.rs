//! The data of a first boot, once, and its end.

use std::time::Duration;

use axum::Extension;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt as _;
use kube::api::Api;
use pki::Identity;
use resources::Time;
use resources::gantry::Claim;

use super::call::{Refusal, System, VALUE, drop_data};
use crate::context::Context;
use crate::error::Error;
use crate::sessions::FirstBootCall;

/// How long a call waits for the Secret.
const PATIENCE: Duration = Duration::from_secs(55);
/// Between two looks at it.
const LOOK: Duration = Duration::from_millis(500);
/// The document of a system for which its owner has nothing (`node-config` has the format).
const NOTHING_TO_DO: &[u8] = br#"{"files":[],"command":[]}"#;

pub(super) async fn first_boot(
    State(context): State<Context>,
    identity: Option<Extension<Identity>>,
) -> Response {
    deliver(&context, identity).await.unwrap_or_else(Refusal::respond)
}

pub(super) async fn done(State(context): State<Context>, identity: Option<Extension<Identity>>) -> Response {
    finish(&context, identity).await.unwrap_or_else(Refusal::respond)
}

async fn deliver(context: &Context, identity: Option<Extension<Identity>>) -> Result<Response, Refusal> {
    let system = System::of(identity)?;
    let (server, asked) = system
        .update(context, FirstBootCall::Data, |first| {
            first.requested_at.get_or_insert(Time(Timestamp::now()));
        })
        .await?;
    if asked {
        tracing::info!(machine = %server.name_any(), "installed system asks for its data");
        context.record(
            &server,
            None,
            format!("first boot of attempt {} asked for its data", system.attempt),
        );
    }
    let claim = server.spec.claim.clone();
    let wanted = claim.and_then(|claim| Some((claim.bootstrap_secret.clone()?, claim)));
    let data = match wanted {
        None => NOTHING_TO_DO.to_vec(),
        Some((name, claim)) => secret_value(context, &claim, &name).await?,
    };
    let (server, first) = system
        .update(context, FirstBootCall::Data, |first| {
            first.delivered_at.get_or_insert(Time(Timestamp::now()));
        })
        .await?;
    if first {
        tracing::info!(machine = %server.name_any(), "first-boot data delivered");
        context.record(
            &server,
            None,
            format!("first-boot data of attempt {} delivered", system.attempt),
        );
    }
    let kind = [
        (header::CONTENT_TYPE, "application/json"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    Ok((StatusCode::OK, kind, data).into_response())
}

async fn finish(context: &Context, identity: Option<Extension<Identity>>) -> Result<Response, Refusal> {
    let system = System::of(identity)?;
    let (server, first) = system
        .update(context, FirstBootCall::Done, |first| {
            first.revoked_at.get_or_insert(Time(Timestamp::now()));
        })
        .await?;
    drop_data(context, &server).await?;
    if first {
        tracing::info!(machine = %server.name_any(), "first boot done, its key is revoked");
        context.record(
            &server,
            None,
            format!("first boot of attempt {} is done", system.attempt),
        );
    }
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Waits for the value; it comes to be only after the question was committed.
async fn secret_value(context: &Context, claim: &Claim, name: &str) -> Result<Vec<u8>, Refusal> {
    let secrets: Api<Secret> = Api::namespaced(context.client.0.clone(), &claim.namespace);
    let wait = async {
        loop {
            let found = secrets.get_opt(name).await;
            let found = found.map_err(|source| Error::Read {
                kind: "Secret",
                name: name.to_owned(),
                source,
            })?;
            let value = found
                .and_then(|secret| secret.data)
                .and_then(|mut data| data.remove(VALUE));
            match value {
                Some(value) => return Ok(value.0),
                None => tokio::time::sleep(LOOK).await,
            }
        }
    };
    match tokio::time::timeout(PATIENCE, wait).await {
        Ok(value) => value,
        Err(_) => {
            let why = format!(
                "the data of {} {} is not there yet; ask again",
                claim.kind, claim.name
            );
            Err(Refusal(StatusCode::SERVICE_UNAVAILABLE, why))
        }
    }
}
