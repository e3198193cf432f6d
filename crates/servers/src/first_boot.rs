//! `POST /v1/first-boot` and `/v1/first-boot/done`: the installed system shows itself and gets its data once.
//!
//! The peer is known by its first-boot certificate alone. That it asked is committed before anything else, since the
//! data (a bootstrap Secret with a fresh join token) is minted only after that; it is handed out when
//! `deliveredAt` is committed. The same key may ask again until it says `done`, then the key is revoked and the
//! value removed from the Secret.

use std::time::Duration;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use axum::{Extension, Router};
use compare_and_set::Outcome;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt as _;
use kube::api::{Api, Patch, PatchParams};
use pki::Identity;
use resources::gantry::{Claim, FirstBoot, Server};
use resources::{Digest, Time};
use serde_json::json;

use crate::context::{Context, WRITER, read};
use crate::error::Error;
use crate::sessions::standing_for_first_boot;

/// How long a call waits for the Secret.
const PATIENCE: Duration = Duration::from_secs(55);
/// Between two looks at it.
const LOOK: Duration = Duration::from_millis(500);
const TRIES: u32 = 8;
/// The document of a system for which its owner has nothing (`node-config` has the format).
const NOTHING_TO_DO: &[u8] = br#"{"files":[],"command":[]}"#;
/// Key of the Secret.
const VALUE: &str = "value";

pub(crate) fn router(context: Context) -> Router {
    Router::new()
        .route("/v1/first-boot", post(first_boot))
        .route("/v1/first-boot/done", post(done))
        .with_state(context)
}

/// Status and text for the peer.
struct Refusal(StatusCode, String);

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        tracing::warn!(error = %error, "first boot call failed");
        Self(StatusCode::SERVICE_UNAVAILABLE, error.to_string())
    }
}

impl Refusal {
    fn respond(self) -> Response {
        let mut response = (self.0, self.1 + "\n").into_response();
        if self.0 == StatusCode::SERVICE_UNAVAILABLE {
            response
                .headers_mut()
                .insert(header::RETRY_AFTER, header::HeaderValue::from_static("5"));
        }
        response
    }
}

/// The system of a verified certificate.
struct System {
    machine_id: String,
    attempt: u64,
    key: Digest,
}

async fn first_boot(State(context): State<Context>, identity: Option<Extension<Identity>>) -> Response {
    deliver(&context, identity).await.unwrap_or_else(Refusal::respond)
}

async fn done(State(context): State<Context>, identity: Option<Extension<Identity>>) -> Response {
    finish(&context, identity).await.unwrap_or_else(Refusal::respond)
}

fn system(identity: Option<Extension<Identity>>) -> Result<System, Refusal> {
    match identity {
        Some(Extension(Identity::FirstBoot {
            machine_id,
            attempt,
            public_key,
            ..
        })) => Ok(System {
            machine_id,
            attempt,
            key: public_key,
        }),
        _ => Err(Refusal(
            StatusCode::UNAUTHORIZED,
            "a first-boot certificate is needed".into(),
        )),
    }
}

async fn deliver(context: &Context, identity: Option<Extension<Identity>>) -> Result<Response, Refusal> {
    let system = system(identity)?;
    let (server, asked) = update(context, &system, false, |first| {
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
    let (server, first) = update(context, &system, false, |first| {
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
    let system = system(identity)?;
    let (server, first) = update(context, &system, true, |first| {
        first.revoked_at.get_or_insert(Time(Timestamp::now()));
    })
    .await?;
    let wanted = server
        .spec
        .claim
        .as_ref()
        .and_then(|claim| Some((claim.bootstrap_secret.as_ref()?, claim)));
    if let Some((name, claim)) = wanted {
        let secrets: Api<Secret> = Api::namespaced(context.client.0.clone(), &claim.namespace);
        let nothing = Patch::Merge(json!({ "data": { VALUE: null } }));
        match secrets.patch(name, &PatchParams::default(), &nothing).await {
            Ok(_) => {}
            Err(kube::Error::Api(status)) if status.code == 404 => {}
            Err(source) => {
                return Err(Error::Write {
                    what: "Secret",
                    name: name.clone(),
                    source,
                }
                .into());
            }
        }
    }
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

/// Changes the first boot by compare-and-set; tells whether anything changed.
async fn update(
    context: &Context,
    system: &System,
    ended: bool,
    change: impl Fn(&mut FirstBoot),
) -> Result<(Server, bool), Refusal> {
    let found = context.machine(&system.machine_id).await?;
    let forbidden = |why: String| Refusal(StatusCode::FORBIDDEN, why);
    let (api, mut server) = found.ok_or_else(|| forbidden("this machine is not known any more".into()))?;
    for _ in 0..TRIES {
        let mut status = server.status.clone().unwrap_or_default();
        let now = Timestamp::now();
        let (wanted, first) = (server.spec.attempt.as_ref(), status.first_boot.as_ref());
        standing_for_first_boot(wanted, first, system.attempt, system.key, now, ended)
            .map_err(|why| forbidden(why.to_string()))?;
        if let Some(first) = &mut status.first_boot {
            change(first);
        }
        match WRITER.status(&api, &server, &status).await.map_err(Error::from)? {
            Outcome::Written(server) => return Ok((*server, true)),
            Outcome::Unchanged => return Ok((server, false)),
            Outcome::Lost => {
                let live = read(&api, &server.name_any()).await?;
                server = live.ok_or_else(|| forbidden("this machine is not known any more".into()))?;
            }
        }
    }
    Err(Error::from(compare_and_set::Error::busy(&server)).into())
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
