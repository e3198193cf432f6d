//! Calls to the API, each with a time limit, and the few forms of writing that are used: apply, JSON patch, delete.

use std::time::Duration;

use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams};
use kube::core::NamespaceResourceScope;
use kube::{Client, Resource};
use resources::keys;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::error::Error;

/// Longest wait for one answer of the appliance's API.
const CALL: Duration = Duration::from_secs(30);

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

/// One namespace of the appliance's API.
#[derive(Clone)]
pub(crate) struct Access {
    pub(crate) client: Client,
    pub(crate) namespace: String,
}

async fn limited<T>(
    what: String,
    future: impl Future<Output = Result<T, kube::Error>>,
    failed: fn(String, kube::Error) -> Error,
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

impl Access {
    fn api<K: Kind>(&self) -> Api<K> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    pub(crate) async fn get<K: Kind>(&self, name: &str) -> Result<Option<K>, Error> {
        limited(named::<K>(name), self.api::<K>().get_opt(name), read).await
    }

    pub(crate) async fn list<K: Kind>(&self, labels: Option<&str>) -> Result<Vec<K>, Error> {
        let params = labels.map_or_else(ListParams::default, |labels| ListParams::default().labels(labels));
        let what = format!("all {}", K::plural(&()));
        Ok(limited(what, self.api::<K>().list(&params), read).await?.items)
    }

    /// Every object of a kind that has no namespace.
    pub(crate) async fn list_global<K>(&self) -> Result<Vec<K>, Error>
    where
        K: Resource<DynamicType = ()> + Clone + DeserializeOwned + std::fmt::Debug,
    {
        let what = format!("all {}", K::plural(&()));
        let api: Api<K> = Api::all(self.client.clone());
        Ok(limited(what, api.list(&ListParams::default()), read).await?.items)
    }

    /// Server-side apply of an object without its status. `object` has metadata and what is ours of the rest.
    pub(crate) async fn apply<K: Kind>(&self, name: &str, mut object: Value) -> Result<(), Error> {
        if let Some(fields) = object.as_object_mut() {
            fields.insert("apiVersion".to_owned(), json!(K::api_version(&())));
            fields.insert("kind".to_owned(), json!(K::kind(&())));
            let meta = fields.entry("metadata").or_insert_with(|| json!({}));
            meta["name"] = json!(name);
            meta["namespace"] = json!(self.namespace);
        }
        let params = PatchParams::apply(keys::MANAGER_CLUSTERS).force();
        limited(
            named::<K>(name),
            self.api::<K>().patch(name, &params, &Patch::Apply(&object)),
            write,
        )
        .await
        .map(drop)
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
            other => other.map(drop),
        }
    }

    /// JSON patch. A conflict or a failed test is no error: the next look decides again.
    pub(crate) async fn json_patch<K: Kind>(&self, name: &str, patch: Value) -> Result<(), Error> {
        let what = named::<K>(name);
        let patch: json_patch::Patch = serde_json::from_value(patch).map_err(|source| Error::Json {
            what: what.clone(),
            source,
        })?;
        let params = PatchParams {
            field_manager: Some(keys::MANAGER_CLUSTERS.to_owned()),
            ..PatchParams::default()
        };
        match limited(
            what,
            self.api::<K>().patch(name, &params, &Patch::<()>::Json(patch)),
            write,
        )
        .await
        {
            Err(Error::Write {
                source: kube::Error::Api(status),
                ..
            }) if [404, 409, 422].contains(&status.code) => Ok(()),
            other => other.map(drop),
        }
    }

    pub(crate) async fn delete<K: Kind>(&self, name: &str) -> Result<(), Error> {
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
