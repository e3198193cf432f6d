//! A file of a first boot that is too big for its data: the one that the bootstrap Secret names, and no other.

use axum::Extension;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use futures::TryStreamExt as _;
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt as _;
use kube::api::Api;
use pki::Identity;
use resources::gantry::Server;
use resources::{Digest, keys};

use super::call::{Refusal, System};
use crate::context::Context;
use crate::error::Error;
use crate::sessions::FirstBootCall;

pub(super) async fn file(
    State(context): State<Context>,
    Path(sha256): Path<String>,
    identity: Option<Extension<Identity>>,
) -> Response {
    send(&context, identity, &sha256)
        .await
        .unwrap_or_else(Refusal::respond)
}

async fn send(
    context: &Context,
    identity: Option<Extension<Identity>>,
    sha256: &str,
) -> Result<Response, Refusal> {
    let system = System::of(identity)?;
    let (server, _) = system.update(context, FirstBootCall::Data, |_| {}).await?;
    let missing = || Refusal(StatusCode::NOT_FOUND, "this first boot has no such file".into());
    let named = named_file(context, &server).await?.ok_or_else(missing)?;
    let (name, digest) = named_parts(&named)
        .filter(|(_, digest)| digest.hex() == sha256)
        .ok_or_else(missing)?;
    let machine = server.name_any();
    let stored = context.files.read(name, digest).await;
    let stored = stored.map_err(|source| Error::File {
        machine: machine.clone(),
        source,
    })?;
    let stored = stored.ok_or_else(missing)?;
    let text = format!("first boot of attempt {} fetches {named}", system.attempt);
    tracing::info!(machine, file = named, "installed system fetches a file");
    context.record(&server, None, text);
    let head = [
        (header::CONTENT_TYPE, "application/octet-stream".to_owned()),
        (header::CONTENT_LENGTH, stored.size().to_string()),
        (header::CACHE_CONTROL, "no-store".to_owned()),
    ];
    // The head is on its way by then: what goes wrong ends the connection before the last byte.
    let content = stored.inspect_err(move |error| {
        tracing::error!(
            machine,
            error = causes::line(error),
            "file of a first boot cannot be read"
        );
    });
    Ok((StatusCode::OK, head, Body::from_stream(content)).into_response())
}

/// What the claim's bootstrap Secret names.
async fn named_file(context: &Context, server: &Server) -> Result<Option<String>, Refusal> {
    let claim = server.spec.claim.as_ref();
    let Some((name, claim)) = claim.and_then(|claim| Some((claim.bootstrap_secret.as_ref()?, claim))) else {
        return Ok(None);
    };
    let secrets: Api<Secret> = Api::namespaced(context.client.0.clone(), &claim.namespace);
    let secret = secrets.get_opt(name).await.map_err(|source| Error::Read {
        kind: "Secret",
        name: name.clone(),
        source,
    })?;
    Ok(secret.and_then(|secret| secret.metadata.annotations?.remove(keys::FIRST_BOOT_FILE)))
}

/// Name and digest of `<name>/<sha256>`.
fn named_parts(named: &str) -> Option<(&str, Digest)> {
    let (name, sha256) = named.rsplit_once('/')?;
    Some((name, sha256.parse().ok()?))
}
