//! A call of an installed system: who it is, whether it counts, and what it changes of its first boot.

use axum::Extension;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use compare_and_set::Outcome;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt as _;
use kube::api::{Api, Patch, PatchParams};
use pki::Identity;
use resources::Digest;
use resources::gantry::{FirstBoot, Server};
use serde_json::json;

use crate::context::{Context, WRITER, read};
use crate::error::Error;
use crate::sessions::{FirstBootCall, standing_for_first_boot};

const TRIES: u32 = 8;
/// Key of the Secret.
pub(super) const VALUE: &str = "value";

/// Status and text for the peer.
pub(super) struct Refusal(pub(super) StatusCode, pub(super) String);

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        tracing::warn!(error = causes::line(&error), "first boot call failed");
        Self(StatusCode::SERVICE_UNAVAILABLE, error.to_string())
    }
}

impl Refusal {
    pub(super) fn respond(self) -> Response {
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
pub(super) struct System {
    machine_id: String,
    pub(super) attempt: u64,
    key: Digest,
}

impl System {
    pub(super) fn of(identity: Option<Extension<Identity>>) -> Result<Self, Refusal> {
        match identity {
            Some(Extension(Identity::FirstBoot {
                machine_id,
                attempt,
                public_key,
                ..
            })) => Ok(Self {
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

    /// Changes the first boot by compare-and-set, if the call counts; tells whether anything changed.
    pub(super) async fn update(
        &self,
        context: &Context,
        call: FirstBootCall,
        change: impl Fn(&mut FirstBoot),
    ) -> Result<(Server, bool), Refusal> {
        let found = context.machine(&self.machine_id).await?;
        let forbidden = |why: String| Refusal(StatusCode::FORBIDDEN, why);
        let (api, mut server) =
            found.ok_or_else(|| forbidden("this machine is not known any more".into()))?;
        for _ in 0..TRIES {
            let mut status = server.status.clone().unwrap_or_default();
            let now = Timestamp::now();
            let (wanted, first) = (server.spec.attempt.as_ref(), status.first_boot.as_ref());
            standing_for_first_boot(wanted, first, self.attempt, self.key, now, call)
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
}

/// Removes the value of the Secret that was handed out; the Secret is its owner's.
pub(super) async fn drop_data(context: &Context, server: &Server) -> Result<(), Refusal> {
    let claim = server.spec.claim.as_ref();
    let Some((name, claim)) = claim.and_then(|claim| Some((claim.bootstrap_secret.as_ref()?, claim))) else {
        return Ok(());
    };
    let secrets: Api<Secret> = Api::namespaced(context.client.0.clone(), &claim.namespace);
    let nothing = Patch::Merge(json!({ "data": { VALUE: null } }));
    match secrets.patch(name, &PatchParams::default(), &nothing).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        Err(source) => Err(Error::Write {
            what: "Secret",
            name: name.clone(),
            source,
        }
        .into()),
    }
}
