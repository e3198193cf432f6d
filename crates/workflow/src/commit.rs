//! Writing by compare-and-set: a JSON patch whose first operation tests the resourceVersion that was read.

use std::fmt::Debug;

use json_patch::jsonptr::PointerBuf;
use json_patch::{AddOperation, Patch as Operations, PatchOperation, RemoveOperation, TestOperation};
use kube::api::{Api, Patch, PatchParams};
use kube::{Resource, ResourceExt as _};
use resources::keys::MANAGER_WORKFLOW;
use resources::tinkerbell::{Workflow, WorkflowStatus};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use crate::Error;

/// What became of a write.
#[derive(Debug)]
pub(crate) enum Commit {
    /// It is durable.
    Done,
    /// There was nothing to write.
    Unchanged,
    /// Somebody else was first: read again and decide again.
    Conflict,
}

/// Makes `status` the status of the Workflow that was read as `base`. Only fields that changed are written.
pub(crate) async fn commit_status(
    api: &Api<Workflow>,
    base: &Workflow,
    status: &WorkflowStatus,
) -> Result<Commit, Error> {
    let new = fields(base, status)?;
    let changes = match &base.status {
        None => vec![add("/status", Value::Object(new))],
        Some(old) => differences(&fields(base, old)?, &new),
    };
    if changes.is_empty() {
        return Ok(Commit::Unchanged);
    }
    let patch = Patch::Json::<()>(guarded(base, changes));
    outcome(
        api.patch_status(&base.name_any(), &params(), &patch).await,
        base,
        "status",
    )
}

/// Applies operations to the object that was read as `base`.
pub(crate) async fn commit<K>(
    api: &Api<K>,
    base: &K,
    what: &'static str,
    changes: Vec<PatchOperation>,
) -> Result<Commit, Error>
where
    K: Resource + Clone + Debug + DeserializeOwned,
{
    if changes.is_empty() {
        return Ok(Commit::Unchanged);
    }
    let patch = Patch::Json::<()>(guarded(base, changes));
    outcome(api.patch(&base.name_any(), &params(), &patch).await, base, what)
}

/// `value` as JSON.
pub(crate) fn encoded(name: &str, value: &impl Serialize) -> Result<Value, Error> {
    serde_json::to_value(value).map_err(|source| Error::Encode {
        name: name.to_owned(),
        source,
    })
}

/// `add` replaces a member that is there.
pub(crate) fn add(path: &str, value: Value) -> PatchOperation {
    PatchOperation::Add(AddOperation {
        path: pointer(path),
        value,
    })
}

fn params() -> PatchParams {
    PatchParams {
        field_manager: Some(MANAGER_WORKFLOW.to_owned()),
        ..PatchParams::default()
    }
}

fn fields(base: &Workflow, status: &WorkflowStatus) -> Result<Map<String, Value>, Error> {
    match encoded(&base.name_any(), status)? {
        Value::Object(fields) => Ok(fields),
        _ => Ok(Map::new()),
    }
}

fn differences(old: &Map<String, Value>, new: &Map<String, Value>) -> Vec<PatchOperation> {
    let path = |key: &String| format!("/status/{key}");
    let gone = old.keys().filter(|key| !new.contains_key(*key));
    let gone = gone.map(|key| {
        PatchOperation::Remove(RemoveOperation {
            path: pointer(&path(key)),
        })
    });
    let changed = new.iter().filter(|(key, value)| old.get(*key) != Some(*value));
    gone.chain(changed.map(|(key, value)| add(&path(key), value.clone())))
        .collect()
}

fn guarded<K: Resource>(base: &K, changes: Vec<PatchOperation>) -> Operations {
    let version = base.meta().resource_version.clone().unwrap_or_default();
    let test = TestOperation {
        path: pointer("/metadata/resourceVersion"),
        value: json!(version),
    };
    Operations(
        std::iter::once(PatchOperation::Test(test))
            .chain(changes)
            .collect(),
    )
}

fn pointer(path: &str) -> PointerBuf {
    // The paths are made of field names and numbers, without `~`; a path that does not parse would be the root, which
    // no server lets anybody replace.
    PointerBuf::parse(path).unwrap_or_default()
}

fn outcome<K: Resource>(result: kube::Result<K>, base: &K, what: &'static str) -> Result<Commit, Error> {
    match result {
        Ok(_) => Ok(Commit::Done),
        // 409 is a changed object; 422 is what a failed `test` gives.
        Err(kube::Error::Api(status)) if matches!(status.code, 409 | 422) => Ok(Commit::Conflict),
        Err(source) => Err(Error::Write {
            what,
            name: base.name_any(),
            source,
        }),
    }
}
