//! Writing by compare-and-set: a JSON patch whose first operation tests the resourceVersion that was read.

use json_patch::jsonptr::PointerBuf;
use json_patch::{AddOperation, Patch as Operations, PatchOperation, RemoveOperation, TestOperation};
use kube::api::{Api, Patch, PatchParams};
use kube::{Resource as _, ResourceExt as _};
use resources::gantry::{Server, ServerStatus};
use serde_json::{Map, Value, json};

use crate::Error;

/// What became of a write.
#[derive(Debug)]
pub(crate) enum Commit {
    /// It is durable.
    Done(Box<Server>),
    /// There was nothing to write.
    Unchanged,
    /// Somebody else was first: read again and decide again.
    Conflict,
}

/// Namespace and name, for messages.
pub(crate) fn place(server: &Server) -> String {
    format!("{}/{}", server.namespace().unwrap_or_default(), server.name_any())
}

/// Makes `status` the status of the server that was read as `base`. Only fields that changed are written.
pub(crate) async fn commit_status(
    api: &Api<Server>,
    base: &Server,
    status: &ServerStatus,
) -> Result<Commit, Error> {
    let encode = |status: &ServerStatus| match serde_json::to_value(status) {
        Ok(Value::Object(fields)) => Ok(fields),
        Ok(_) => Ok(Map::new()),
        Err(source) => Err(Error::Encode {
            name: place(base),
            source,
        }),
    };
    let new = encode(status)?;
    let changes = match &base.status {
        None => vec![add("/status", Value::Object(new))],
        Some(old) => differences(&encode(old)?, &new),
    };
    if changes.is_empty() {
        return Ok(Commit::Unchanged);
    }
    let patch = Patch::Json::<()>(Operations(guarded(base, changes)));
    outcome(
        api.patch_status(&base.name_any(), &PatchParams::default(), &patch)
            .await,
        base,
        "status",
    )
}

/// Sets or removes a field of the spec of the server that was read as `base`.
pub(crate) async fn commit_spec(
    api: &Api<Server>,
    base: &Server,
    field: &str,
    value: Option<Value>,
) -> Result<Commit, Error> {
    let path = format!("/spec/{field}");
    let change = value.map_or_else(|| remove(&path), |value| add(&path, value));
    let patch = Patch::Json::<()>(Operations(guarded(base, vec![change])));
    outcome(
        api.patch(&base.name_any(), &PatchParams::default(), &patch).await,
        base,
        "spec",
    )
}

fn guarded(base: &Server, changes: Vec<PatchOperation>) -> Vec<PatchOperation> {
    let version = base.meta().resource_version.clone().unwrap_or_default();
    let test = TestOperation {
        path: pointer("/metadata/resourceVersion"),
        value: json!(version),
    };
    std::iter::once(PatchOperation::Test(test))
        .chain(changes)
        .collect()
}

fn differences(old: &Map<String, Value>, new: &Map<String, Value>) -> Vec<PatchOperation> {
    let path = |key: &String| format!("/status/{key}");
    let gone = old
        .keys()
        .filter(|key| !new.contains_key(*key))
        .map(|key| remove(&path(key)));
    let changed = new.iter().filter(|(key, value)| old.get(*key) != Some(*value));
    gone.chain(changed.map(|(key, value)| add(&path(key), value.clone())))
        .collect()
}

/// `add` replaces a member that is there.
fn add(path: &str, value: Value) -> PatchOperation {
    PatchOperation::Add(AddOperation {
        path: pointer(path),
        value,
    })
}

fn remove(path: &str) -> PatchOperation {
    PatchOperation::Remove(RemoveOperation { path: pointer(path) })
}

fn pointer(path: &str) -> PointerBuf {
    // The paths are made of field names of this crate, without `~`; a path that does not parse would be the root,
    // which no server lets anybody replace.
    PointerBuf::parse(path).unwrap_or_default()
}

fn outcome(result: kube::Result<Server>, base: &Server, what: &'static str) -> Result<Commit, Error> {
    match result {
        Ok(server) => Ok(Commit::Done(Box::new(server))),
        Err(kube::Error::Api(status)) if is_conflict(status.code) => Ok(Commit::Conflict),
        Err(source) => Err(Error::Write {
            what,
            name: place(base),
            source,
        }),
    }
}

/// 409 is a changed object; 422 is what a failed `test` gives.
const fn is_conflict(code: u16) -> bool {
    matches!(code, 409 | 422)
}
