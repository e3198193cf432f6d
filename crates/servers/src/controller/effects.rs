//! Effects of a state on other objects. Each may be repeated: it says what is to be, not what to change.

use compare_and_set::Change;
use kube::api::{Api, DeleteParams, Patch, PatchParams, Preconditions};
use kube::{Resource as _, ResourceExt as _};
use resources::Time;
use resources::gantry::{Claim, Server};
use resources::keys::{OWNER_NAME, OWNER_NAMESPACE};
use resources::tinkerbell::Hardware;
use serde_json::{Value, json};

use crate::context::{Context, WRITER};
use crate::error::{Error, place};

/// Who has the server.
const CLAIM: [&str; 2] = ["spec", "claim"];
/// Why it is kept for inspection.
const QUARANTINE: [&str; 2] = ["spec", "quarantine"];
/// That its record is from a backup.
const RESTORED: [&str; 2] = ["spec", "restored"];
/// What a person stated when it was given back.
const RELEASE: [&str; 2] = ["spec", "release"];

/// Claims the server for the owner whom somebody else wrote into the labels. Lost or not, the next look decides by what
/// is there; so it is with every change below.
pub(super) async fn take_in(api: &Api<Server>, server: &Server, mut claim: Claim) -> Result<(), Error> {
    claim.at = Some(Time(jiff::Timestamp::now()));
    tracing::info!(machine = %server.name_any(), owner = claim.name, "claim taken in from the owner label");
    Ok(WRITER.set(api, server, &CLAIM, &claim).await.map(drop)?)
}

/// Removes the claim.
pub(super) async fn drop_claim(api: &Api<Server>, server: &Server) -> Result<(), Error> {
    let gone = vec![Change::remove(&CLAIM)];
    Ok(WRITER.change(api, server, gone).await.map(drop)?)
}

/// Removes what a person stated when the server was given back, and that it was kept until then.
pub(super) async fn clear_release(api: &Api<Server>, server: &Server) -> Result<(), Error> {
    let mut gone = vec![Change::remove(&RELEASE)];
    if server.spec.quarantine.is_some() {
        gone.push(Change::remove(&QUARANTINE));
    }
    Ok(WRITER.change(api, server, gone).await.map(drop)?)
}

/// Removes the mark of a restore.
pub(super) async fn trust(api: &Api<Server>, server: &Server) -> Result<(), Error> {
    tracing::info!(machine = %server.name_any(), "off by its BMC since the restore: the records count again");
    let gone = vec![Change::remove(&RESTORED)];
    Ok(WRITER.change(api, server, gone).await.map(drop)?)
}

/// Deletes the Server, if it still is as it was read.
pub(super) async fn delete(api: &Api<Server>, server: &Server) -> Result<(), Error> {
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

/// Sets both owner labels of the Hardware; `null` removes one.
pub(super) async fn label(
    context: &Context,
    server: &Server,
    name: Value,
    namespace: Value,
) -> Result<(), Error> {
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
