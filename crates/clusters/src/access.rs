//! Calls to the API, each with a time limit, and the few forms of writing that are used: apply, compare-and-set, delete.
//! What was written is noted, so that the views can be waited for before the next decision.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use compare_and_set::{Change, Outcome, Writer};
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::core::{ApiResource, DynamicObject, NamespaceResourceScope};
use kube::{Client, Resource, ResourceExt as _};
use resources::keys;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::error::Error;

/// Longest wait for one answer of the appliance's API.
const CALL: Duration = Duration::from_secs(30);

const WRITER: Writer = Writer::new(keys::MANAGER_CLUSTERS);

/// A kind that lives in namespaces.
pub(crate) trait Kind:
    Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + DeserializeOwned + std::fmt::Debug
{
}

impl<K> Kind for K where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Clone
        + DeserializeOwned
        + std::fmt::Debug
{
}

/// One namespace of the appliance's API, for one run of the coordinator over one cluster.
pub(crate) struct Access {
    pub(crate) client: Client,
    pub(crate) namespace: String,
    written: Mutex<BTreeMap<WrittenKind, Written>>,
}

/// Group and name of a kind.
pub(crate) type WrittenKind = (String, String);

fn kind_of<K: Kind>() -> WrittenKind {
    (K::group(&()).into_owned(), K::kind(&()).into_owned())
}

/// What was written of one kind.
#[derive(Default)]
pub(crate) struct Written {
    /// The highest resource version.
    pub(crate) version: u64,
    /// Objects that were deleted, by namespace and name.
    pub(crate) gone: Vec<(String, String)>,
}

/// The resource version as a number; every API server of Kubernetes counts them up.
pub(crate) fn version(object: &impl Resource) -> u64 {
    let version = object.meta().resource_version.as_ref();
    version.and_then(|version| version.parse().ok()).unwrap_or(0)
}

async fn limited<T, E>(
    what: String,
    future: impl Future<Output = Result<T, E>>,
    failed: fn(String, E) -> Error,
) -> Result<T, Error> {
    match tokio::time::timeout(CALL, future).await {
        Ok(result) => result.map_err(|source| failed(what, source)),
        Err(_) => Err(Error::Timeout {
            what,
            seconds: CALL.as_secs(),
        }),
    }
}

fn read(what: String, source: kube::Error) -> Error {
    Error::Read { what, source }
}

fn write(what: String, source: kube::Error) -> Error {
    Error::Write { what, source }
}

fn named<K: Kind>(name: &str) -> String {
    format!("{} {name}", K::kind(&()))
}

/// Where the label with the cluster's name is in an object.
fn owner_pointer() -> String {
    format!("/metadata/labels/{}", keys::CLUSTER_NAME.replace('/', "~1"))
}

impl Access {
    pub(crate) fn new(client: Client, namespace: &str) -> Self {
        Self {
            client,
            namespace: namespace.to_owned(),
            written: Mutex::default(),
        }
    }

    /// What was written since this was asked last, by kind.
    pub(crate) fn take_written(&self) -> BTreeMap<WrittenKind, Written> {
        std::mem::take(&mut *self.written.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn note<K: Kind>(&self, object: &K) {
        self.note_version::<K>(version(object));
    }

    fn note_version<K: Kind>(&self, version: u64) {
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        let of_kind = written.entry(kind_of::<K>()).or_default();
        of_kind.version = of_kind.version.max(version);
    }

    fn note_gone<K: Kind>(&self, name: &str) {
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        let of_kind = written.entry(kind_of::<K>()).or_default();
        of_kind.gone.push((self.namespace.clone(), name.to_owned()));
    }

    /// Notes the outcome of a compare-and-set. A lost one is decided again.
    fn note_outcome<K: Kind>(&self, outcome: &Outcome<K>) {
        if let Outcome::Written(object) = outcome {
            self.note(&**object);
        }
    }

    fn api<K: Kind>(&self) -> Api<K> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    pub(crate) async fn get<K: Kind>(&self, name: &str) -> Result<Option<K>, Error> {
        limited(named::<K>(name), self.api::<K>().get_opt(name), read).await
    }

    /// Every object of a kind, in all namespaces: only before a cluster is made, for what is not watched.
    pub(crate) async fn list_all<K>(&self) -> Result<Vec<K>, Error>
    where
        K: Resource<DynamicType = ()> + Clone + DeserializeOwned + std::fmt::Debug,
    {
        let what = format!("all {}", K::plural(&()));
        let api: Api<K> = Api::all(self.client.clone());
        Ok(limited(what, api.list(&ListParams::default()), read).await?.items)
    }

    /// Gives a field of an object a value. Who was slower than somebody else decides again at the next look.
    pub(crate) async fn set<K: Kind>(
        &self,
        object: &K,
        path: &[&str],
        value: &impl serde::Serialize,
    ) -> Result<(), Error> {
        let api = self.api::<K>();
        let what = named::<K>(&object.name_any());
        let write = WRITER.set(&api, object, path, value);
        let outcome = limited(what, write, |_, source| source.into()).await?;
        self.note_outcome(&outcome);
        Ok(())
    }

    /// Takes a field away from an object, which must have it. Who was slower than somebody else decides again.
    pub(crate) async fn clear<K: Kind>(&self, object: &K, path: &[&str]) -> Result<(), Error> {
        self.change(object, vec![Change::remove(path)]).await
    }

    /// Makes changes of an object. Who was slower than somebody else decides again.
    pub(crate) async fn change<K: Kind>(&self, object: &K, changes: Vec<Change>) -> Result<(), Error> {
        self.changed(object, changes).await.map(drop)
    }

    /// The same; tells whether they were made, for who must not go on where somebody else was first.
    pub(crate) async fn changed<K: Kind>(&self, object: &K, changes: Vec<Change>) -> Result<bool, Error> {
        let api = self.api::<K>();
        let what = named::<K>(&object.name_any());
        let write = WRITER.change(&api, object, changes);
        let outcome = limited(what, write, |_, source| source.into()).await?;
        self.note_outcome(&outcome);
        Ok(!matches!(outcome, Outcome::Lost))
    }

    /// Creates an object; one of this name that is there already stays as it is.
    pub(crate) async fn create<K: Kind>(&self, name: &str, object: Value) -> Result<(), Error> {
        let object = self.whole::<K>(name, object);
        let resource = ApiResource::erase::<K>(&());
        let api: Api<DynamicObject> = Api::namespaced_with(self.client.clone(), &self.namespace, &resource);
        let encode = |source| Error::Json {
            what: named::<K>(name),
            source,
        };
        let object: DynamicObject = serde_json::from_value(object).map_err(encode)?;
        let params = PostParams {
            field_manager: Some(keys::MANAGER_CLUSTERS.to_owned()),
            ..PostParams::default()
        };
        match limited(named::<K>(name), api.create(&params, &object), write).await {
            Ok(made) => {
                self.note_version::<K>(version(&made));
                Ok(())
            }
            Err(Error::Write {
                source: kube::Error::Api(status),
                ..
            }) if status.code == 409 => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// `object` with its kind, name and namespace.
    fn whole<K: Kind>(&self, name: &str, mut object: Value) -> Value {
        if let Some(fields) = object.as_object_mut() {
            fields.insert("apiVersion".to_owned(), json!(K::api_version(&())));
            fields.insert("kind".to_owned(), json!(K::kind(&())));
            let meta = fields.entry("metadata").or_insert_with(|| json!({}));
            meta["name"] = json!(name);
            meta["namespace"] = json!(self.namespace);
        }
        object
    }

    /// Server-side apply of an object without its status. `object` has metadata and what is ours of the rest. Where it
    /// carries the name of a cluster, an object of somebody else is not written.
    pub(crate) async fn apply<K: Kind>(&self, name: &str, object: Value) -> Result<(), Error> {
        if let Some(cluster) = object.pointer(&owner_pointer()).and_then(Value::as_str) {
            self.is_of::<K>(name, cluster).await?;
        }
        let object = self.whole::<K>(name, object);
        let params = PatchParams::apply(keys::MANAGER_CLUSTERS).force();
        let api = self.api::<K>();
        let patch = Patch::Apply(&object);
        let written = limited(named::<K>(name), api.patch(name, &params, &patch), write).await?;
        self.note(&written);
        Ok(())
    }

    /// Fails when there is an object of this name that is not of this cluster.
    async fn is_of<K: Kind>(&self, name: &str, cluster: &str) -> Result<(), Error> {
        let resource = ApiResource::erase::<K>(&());
        let api: Api<DynamicObject> = Api::namespaced_with(self.client.clone(), &self.namespace, &resource);
        let Some(found) = limited(named::<K>(name), api.get_opt(name), read).await? else {
            return Ok(());
        };
        let label = found.labels().get(keys::CLUSTER_NAME).map(String::as_str);
        // Somebody may have taken the label away from an object of ours.
        let field = |path| found.data.pointer(path).and_then(Value::as_str);
        let owner = label
            .or_else(|| field("/spec/clusterName"))
            .or_else(|| field("/spec/cluster"));
        if owner == Some(cluster) {
            return Ok(());
        }
        Err(Error::Taken {
            what: named::<K>(name),
            owner: owner.map_or_else(
                || "no cluster that is known".to_owned(),
                |owner| format!("cluster {owner}"),
            ),
        })
    }

    /// Server-side apply of a whole status.
    pub(crate) async fn apply_status<K: Kind>(
        &self,
        name: &str,
        status: &impl serde::Serialize,
    ) -> Result<(), Error> {
        let object = json!({
            "apiVersion": K::api_version(&()),
            "kind": K::kind(&()),
            "metadata": { "name": name, "namespace": self.namespace },
            "status": status,
        });
        let params = PatchParams::apply(keys::MANAGER_CLUSTERS).force();
        let what = format!("status of {}", named::<K>(name));
        match limited(
            what,
            self.api::<K>()
                .patch_status(name, &params, &Patch::Apply(&object)),
            write,
        )
        .await
        {
            // Gone in the meantime: there is nothing to say about it any more.
            Err(Error::Write {
                source: kube::Error::Api(status),
                ..
            }) if status.code == 404 => Ok(()),
            other => {
                self.note(&other?);
                Ok(())
            }
        }
    }

    /// Adds or takes away a finalizer. Who was slower than somebody else decides again at the next look.
    pub(crate) async fn hold<K: Kind>(&self, object: &K, finalizer: &str, held: bool) -> Result<(), Error> {
        let what = format!("finalizers of {}", named::<K>(&object.name_any()));
        let api = self.api::<K>();
        let write = WRITER.finalizer(&api, object, finalizer, held);
        let outcome = limited(what, write, |_, source| source.into()).await?;
        self.note_outcome(&outcome);
        Ok(())
    }

    pub(crate) async fn delete<K: Kind>(&self, name: &str) -> Result<(), Error> {
        self.note_gone::<K>(name);
        match limited(
            named::<K>(name),
            self.api::<K>().delete(name, &DeleteParams::default()),
            write,
        )
        .await
        {
            Err(Error::Write {
                source: kube::Error::Api(status),
                ..
            }) if status.code == 404 => Ok(()),
            other => other.map(drop),
        }
    }
}
