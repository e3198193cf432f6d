//! What a restore changes in the objects of a backup before anything acts on them.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use apiserver::ApiServer;
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use kube::{Api, Client, Resource, ResourceExt as _};
use resources::bmc::{BmcCondition, Job, Task};
use resources::gantry::{Restored, Server, SessionPhase};
use resources::keys;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::error::BackupError;
use crate::foundation::Seal;

/// How far resource versions start above those of the backup: more than a site writes between a backup and a loss.
const VERSION_JUMP: u64 = 1_000_000_000;

/// What was marked.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Marked {
    /// Servers that are neither powered nor installed until it is known what has become of them.
    pub servers: BTreeSet<String>,
    /// Servers whose open attempt was ended: it may have come to its end since.
    pub attempts: BTreeSet<String>,
    /// Power Jobs and Tasks that had not come to their end, and were removed.
    pub jobs: BTreeSet<String>,
}

/// Marks the objects of a database that nobody has open. It may be repeated.
pub(super) async fn mark(state: &Path, seal: Arc<Seal>, restored: &Restored) -> Result<Marked, BackupError> {
    let mut config = apiserver::Config::new(state, seal);
    config.definitions = resources::crds();
    config.conversions = vec![resources::cluster_api::v1beta1::conversion().into()];
    config.version_jump = VERSION_JUMP;
    let api = ApiServer::open(config).await.map_err(BackupError::Api)?;
    let marked = objects(&api.client(), restored).await;
    api.close().await;
    marked
}

async fn objects(client: &Client, restored: &Restored) -> Result<Marked, BackupError> {
    let mut marked = Marked::default();
    for namespace in all::<Namespace>(client).await? {
        let mark = json!({ keys::RESTORED: json!(restored).to_string() });
        let api: Api<Namespace> = Api::all(client.clone());
        patch(&api, &namespace, json!({ "metadata": { "annotations": mark } })).await?;
    }
    for job in all::<Job>(client).await? {
        let conditions = job.status.as_ref().map(|status| status.conditions.as_slice());
        remove_open(client, &job, conditions, &mut marked).await?;
    }
    for task in all::<Task>(client).await? {
        let conditions = task.status.as_ref().map(|status| status.conditions.as_slice());
        remove_open(client, &task, conditions, &mut marked).await?;
    }
    for server in all::<Server>(client).await? {
        let api: Api<Server> = Api::namespaced(client.clone(), &server.namespace().unwrap_or_default());
        let mut spec = json!({ "restored": restored });
        let open = server
            .spec
            .attempt
            .as_ref()
            .is_some_and(|attempt| !attempt.closed);
        if open && let Some(fields) = spec.as_object_mut() {
            fields.insert("attempt".to_owned(), json!({ "closed": true }));
            marked.attempts.insert(place(&server));
        }
        patch(&api, &server, json!({ "spec": spec })).await?;
        let session = server
            .status
            .as_ref()
            .and_then(|status| status.boot_session.as_ref());
        if session.is_some_and(|session| session.phase != SessionPhase::Closed) {
            let closed = json!({ "status": { "bootSession": { "phase": SessionPhase::Closed } } });
            let name = server.name_any();
            let written = api
                .patch_status(&name, &PatchParams::default(), &Patch::Merge(closed))
                .await;
            written.map_err(failed(&server))?;
        }
        marked.servers.insert(place(&server));
    }
    Ok(marked)
}

/// Removes a Job or Task that has not come to its end.
async fn remove_open<K>(
    client: &Client,
    object: &K,
    conditions: Option<&[BmcCondition]>,
    marked: &mut Marked,
) -> Result<(), BackupError>
where
    K: Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>
        + Clone
        + DeserializeOwned
        + std::fmt::Debug,
{
    if conditions.is_some_and(|all| all.iter().any(BmcCondition::is_end)) {
        return Ok(());
    }
    let api: Api<K> = Api::namespaced(client.clone(), &object.namespace().unwrap_or_default());
    match api.delete(&object.name_any(), &DeleteParams::default()).await {
        // A Task goes with its Job.
        Err(kube::Error::Api(answer)) if answer.code == 404 => Ok(()),
        deleted => {
            deleted.map_err(failed(object))?;
            marked.jobs.insert(format!("{} {}", K::kind(&()), place(object)));
            Ok(())
        }
    }
}

async fn all<K>(client: &Client) -> Result<Vec<K>, BackupError>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + std::fmt::Debug,
{
    let listed = Api::<K>::all(client.clone()).list(&ListParams::default()).await;
    let listed = listed.map_err(|source| BackupError::Objects {
        what: K::plural(&()).into_owned(),
        source: Box::new(source),
    })?;
    Ok(listed.items)
}

async fn patch<K>(api: &Api<K>, object: &K, patch: Value) -> Result<(), BackupError>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + std::fmt::Debug,
{
    let params = PatchParams::default();
    let written = api.patch(&object.name_any(), &params, &Patch::Merge(patch)).await;
    written.map(drop).map_err(failed(object))
}

fn failed<K: Resource<DynamicType = ()>>(object: &K) -> impl FnOnce(kube::Error) -> BackupError {
    let what = format!("{} {}", K::kind(&()), place(object));
    move |source| BackupError::Objects {
        what,
        source: Box::new(source),
    }
}

fn place<K: Resource>(object: &K) -> String {
    match object.namespace() {
        Some(namespace) => format!("{namespace}/{}", object.name_any()),
        None => object.name_any(),
    }
}
