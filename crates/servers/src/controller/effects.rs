//! Effects of a state on other objects. Each may be repeated: it says what is to be, not what to change.

use compare_and_set::Change;
use kube::api::{Api, DeleteParams, Patch, PatchParams, Preconditions};
use kube::{Resource as _, ResourceExt as _};
use resources::Time;
use resources::gantry::Server;
use resources::keys::{OWNER_NAME, OWNER_NAMESPACE};
use resources::tinkerbell::Hardware;
use serde_json::{Value, json};

use crate::error::{Error, place};
use crate::parts::{Context, WRITER};
use crate::states::Effect;

/// Who has the server.
const CLAIM: [&str; 2] = ["spec", "claim"];
/// What a person stated when it was given back.
const RELEASE: [&str; 2] = ["spec", "release"];

pub(super) async fn carry_out(
    context: &Context,
    api: &Api<Server>,
    server: &Server,
    effect: Effect,
) -> Result<(), Error> {
    match effect {
        Effect::MirrorOwner { name, namespace } => {
            label(context, server, json!(name), json!(namespace)).await
        }
        Effect::ClearOwner => label(context, server, Value::Null, Value::Null).await,
        Effect::TakeIn(mut claim) => {
            claim.at = Some(Time(jiff::Timestamp::now()));
            tracing::info!(machine = %server.name_any(), owner = claim.name, "claim taken in from the owner label");
            // Lost or not, the next look decides by what is there.
            Ok(WRITER.set(api, server, &CLAIM, &claim).await.map(drop)?)
        }
        Effect::DropClaim => {
            let gone = vec![Change::remove(&CLAIM)];
            Ok(WRITER.change(api, server, gone).await.map(drop)?)
        }
        Effect::Delete => {
            let only = Preconditions {
                uid: server.metadata.uid.clone(),
                resource_version: server.meta().resource_version.clone(),
            };
            let params = DeleteParams::default().preconditions(only);
            match api.delete(&server.name_any(), &params).await {
                Ok(_) => Ok(()),
                Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Ok(()),
                Err(source) => Err(Error::Write {
                    what: "Server",
                    name: place(server),
                    source,
                }),
            }
        }
        Effect::ClearRelease => {
            let gone = vec![Change::remove(&RELEASE)];
            Ok(WRITER.change(api, server, gone).await.map(drop)?)
        }
        // These live in the status and were committed with it.
        Effect::RecordInstalled(_) | Effect::CloseSession | Effect::Forget => Ok(()),
    }
}

/// Sets both owner labels of the Hardware, or removes them.
async fn label(context: &Context, server: &Server, name: Value, namespace: Value) -> Result<(), Error> {
    let hardware: Api<Hardware> =
        Api::namespaced(context.client.0.clone(), &server.namespace().unwrap_or_default());
    let labels = json!({ "metadata": { "labels": { OWNER_NAME: name, OWNER_NAMESPACE: namespace } } });
    match hardware
        .patch(
            &server.spec.hardware,
            &PatchParams::default(),
            &Patch::Merge(labels),
        )
        .await
    {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        Err(source) => Err(Error::Write {
            what: "owner labels",
            name: place(server),
            source,
        }),
    }
}
