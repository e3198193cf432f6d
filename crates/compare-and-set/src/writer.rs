//! The write itself.

use std::fmt::Debug;

use json_patch::jsonptr::PointerBuf;
use json_patch::{Patch as Operations, PatchOperation, TestOperation};
use kube::api::{Api, Patch, PatchParams};
use kube::core::object::HasStatus;
use kube::{Resource, ResourceExt as _};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::change::{Change, differences};
use crate::error::{Error, place};

/// What became of a write.
#[derive(Debug)]
#[must_use = "a lost write has to be decided again"]
pub enum Outcome<K> {
    /// It is durable; the object as it is now.
    Written(Box<K>),
    /// There was nothing to write.
    Unchanged,
    /// Somebody else was first, or the object is gone: read again and decide again.
    Lost,
}

/// Writes in the name of one field manager.
#[derive(Debug, Clone, Copy)]
pub struct Writer {
    manager: &'static str,
}

impl Writer {
    /// In the name of `manager`.
    #[must_use]
    pub const fn new(manager: &'static str) -> Self {
        Self { manager }
    }

    /// Makes `status` the status of the object that was read as `base`. Only members that differ are written.
    ///
    /// # Errors
    /// When the status cannot be encoded, or the API refuses it or does not answer.
    pub async fn status<K>(&self, api: &Api<K>, base: &K, status: &K::Status) -> Result<Outcome<K>, Error>
    where
        K: Resource<DynamicType = ()> + HasStatus<Status: Serialize> + Clone + Debug + DeserializeOwned,
    {
        let old = base.status().map(|old| encoded(base, old)).transpose()?;
        let changes = differences("status", old.as_ref(), &encoded(base, status)?);
        let Some(patch) = self.guarded(base, changes) else {
            return Ok(Outcome::Unchanged);
        };
        let answer = api.patch_status(&base.name_any(), &self.params(), &patch).await;
        outcome(answer, base)
    }

    /// Gives the field at `path` this value.
    ///
    /// # Errors
    /// When the value cannot be encoded, or the API refuses it or does not answer.
    pub async fn set<K>(
        &self,
        api: &Api<K>,
        base: &K,
        path: &[&str],
        value: &impl Serialize,
    ) -> Result<Outcome<K>, Error>
    where
        K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned,
    {
        let change = Change::set(path, encoded(base, value)?);
        self.change(api, base, vec![change]).await
    }

    /// Adds a finalizer or takes it away.
    ///
    /// # Errors
    /// When the API refuses it or does not answer.
    pub async fn finalizer<K>(
        &self,
        api: &Api<K>,
        base: &K,
        finalizer: &str,
        held: bool,
    ) -> Result<Outcome<K>, Error>
    where
        K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned,
    {
        let mut wanted = base.finalizers().to_vec();
        wanted.retain(|name| name != finalizer);
        if held {
            wanted.push(finalizer.to_owned());
        }
        self.set(api, base, &["metadata", "finalizers"], &wanted).await
    }

    /// Changes several fields, all or none.
    ///
    /// # Errors
    /// When the API refuses it or does not answer.
    pub async fn change<K>(&self, api: &Api<K>, base: &K, changes: Vec<Change>) -> Result<Outcome<K>, Error>
    where
        K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned,
    {
        let Some(patch) = self.guarded(base, changes) else {
            return Ok(Outcome::Unchanged);
        };
        let answer = api.patch(&base.name_any(), &self.params(), &patch).await;
        outcome(answer, base)
    }

    fn params(&self) -> PatchParams {
        PatchParams {
            field_manager: Some(self.manager.to_owned()),
            ..PatchParams::default()
        }
    }

    /// The patch, unless it would change nothing.
    fn guarded<K: Resource>(&self, base: &K, changes: Vec<Change>) -> Option<Patch<()>> {
        if changes.is_empty() {
            return None;
        }
        let test = PatchOperation::Test(TestOperation {
            path: PointerBuf::from_tokens(["metadata", "resourceVersion"]),
            value: json!(base.meta().resource_version.as_deref().unwrap_or_default()),
        });
        let changes = changes.into_iter().map(Change::into_operation);
        Some(Patch::Json(Operations(
            std::iter::once(test).chain(changes).collect(),
        )))
    }
}

fn encoded<K: Resource<DynamicType = ()>>(base: &K, value: &impl Serialize) -> Result<Value, Error> {
    serde_json::to_value(value).map_err(|source| Error::Encode {
        object: place(base),
        source,
    })
}

fn outcome<K: Resource<DynamicType = ()>>(result: kube::Result<K>, base: &K) -> Result<Outcome<K>, Error> {
    match result {
        Ok(object) => Ok(Outcome::Written(Box::new(object))),
        Err(kube::Error::Api(status)) if lost(&status) => Ok(Outcome::Lost),
        Err(source) => Err(Error::Write {
            object: place(base),
            source,
        }),
    }
}

/// 404 is an object that is gone, 409 one that changed, 422 a failed `test`; but 422 that names fields is an invalid
/// object, which no second try makes valid.
fn lost(status: &kube::core::Status) -> bool {
    match status.code {
        404 | 409 => true,
        422 => status
            .details
            .as_ref()
            .is_none_or(|details| details.causes.is_empty()),
        _ => false,
    }
}
