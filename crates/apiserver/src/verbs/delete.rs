//! delete and deletecollection: preconditions, finalizers, propagation.

use http::StatusCode;
use serde_json::{Value, json};

use super::Outcome;
use super::read::{Selection, select};
use super::write::failed;
use crate::admission::AdmissionVerb;
use crate::call::Call;
use crate::meta::Meta;
use crate::meta::deletion::{self, Propagation, Removal};
use crate::status::ApiError;
use crate::storage::{Stored, WriteError};
use crate::wire::query::{dry_run, propagation};

const RETRIES: usize = 1000;

/// What a deletion asks for, from the body and the parameters.
struct Options {
    uid: String,
    version: String,
    propagation: Option<Propagation>,
}

fn options(call: &mut Call, body: &Value) -> Result<Options, ApiError> {
    let text = |value: &Value| value.as_str().unwrap_or("").to_owned();
    let propagation = match body["propagationPolicy"].as_str() {
        Some(policy) => Some(propagation(policy)?),
        None if body["orphanDependents"] == json!(true) => Some(Propagation::Orphan),
        None => call.query.propagation,
    };
    if let Some([first, ..]) = body["dryRun"].as_array().map(Vec::as_slice) {
        call.query.dry_run |= dry_run(first.as_str().unwrap_or(""))?;
    }
    let conditions = &body["preconditions"];
    Ok(Options {
        uid: text(&conditions["uid"]),
        version: text(&conditions["resourceVersion"]),
        propagation,
    })
}

/// DELETE of one object.
pub(crate) async fn delete(call: &mut Call, body: &Value) -> Result<Outcome, ApiError> {
    let options = options(call, body)?;
    if !call.query.dry_run && call.core.storage.discard(&call.key()).await? {
        let kind = &call.found.kind;
        let details = json!({"name": call.name(), "group": kind.group, "kind": kind.plural});
        return Ok(Outcome::Status(
            json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details}),
        ));
    }
    for _ in 0..RETRIES {
        let current = call.current()?;
        check(call, &current, &options)?;
        match attempt(call, &current, &options).await {
            Err(WriteError::Conflict) => {}
            Ok(outcome) => return Ok(outcome),
            Err(e) => return Err(failed(call, call.name(), e)),
        }
    }
    Err(ApiError::modified(
        &call.found.kind.group,
        &call.found.kind.plural,
        call.name(),
    ))
}

fn check(call: &Call, current: &Stored, options: &Options) -> Result<(), ApiError> {
    let kind = &call.found.kind;
    if &*kind.resource == "namespaces" && call.name() == "default" {
        return Err(ApiError::forbidden(
            "",
            "namespaces",
            "default",
            "this namespace may not be deleted",
        ));
    }
    let conflict = |text: String| ApiError::conflict(&kind.group, &kind.plural, call.name(), &text);
    if !options.uid.is_empty() && options.uid != current.uid() {
        return Err(conflict(format!(
            "Precondition failed: UID in precondition: {}, UID in object meta: {}",
            options.uid,
            current.uid()
        )));
    }
    if !options.version.is_empty() && options.version != current.version.to_string() {
        return Err(conflict(format!(
            "Precondition failed: ResourceVersion in precondition: {}, ResourceVersion in object meta: {}",
            options.version, current.version
        )));
    }
    let before = current.value();
    super::prepare::judge(
        call,
        AdmissionVerb::Delete,
        "",
        Some(&before),
        &mut before.clone(),
    )
    .map(drop)
}

async fn attempt(call: &Call, current: &Stored, options: &Options) -> Result<Outcome, WriteError> {
    let before = current.value();
    let mut object = before.clone();
    let removal = deletion::begin(&mut object, options.propagation, call.now);
    if call.query.dry_run {
        return Ok(success(call, &object));
    }
    match removal {
        Removal::Now => {
            let last = object.clone();
            call.core
                .storage
                .delete(call.key(), current.version, last)
                .await?;
            call.core.after_write(&call.found.kind.resource);
            Ok(success(call, &object))
        }
        Removal::Later if object == before => Ok(Outcome::Object(StatusCode::OK, view(call, &object))),
        Removal::Later => {
            let stored = call
                .core
                .storage
                .update(call.key(), current.version, object)
                .await?;
            call.core.after_write(&call.found.kind.resource);
            Ok(Outcome::Stored(StatusCode::OK, stored))
        }
    }
}

fn view(call: &Call, object: &Value) -> Value {
    call.found.kind.view_of(&call.found.version().name, object)
}

fn success(call: &Call, object: &Value) -> Outcome {
    let kind = &call.found.kind;
    let mut details = json!({"name": object.name(), "kind": kind.plural, "uid": object.uid()});
    if !kind.group.is_empty() {
        details["group"] = kind.group.as_str().into();
    }
    Outcome::Status(
        json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success",
        "details": details}),
    )
}

/// DELETE of a collection: what the selectors name, one by one.
pub(crate) async fn delete_collection(call: &mut Call, body: &Value) -> Result<Outcome, ApiError> {
    let options = options(call, body)?;
    let selection = Selection::parse(call)?;
    let snapshot = select(call, &selection);
    let (namespace, name) = (call.target.namespace.clone(), call.target.name.clone());
    for object in &snapshot.objects {
        let own = object.namespace();
        call.target.namespace = (!own.is_empty()).then(|| own.to_owned());
        call.target.name = Some(object.name().to_owned());
        for _ in 0..RETRIES {
            let Ok(current) = call.current() else { break };
            check(call, &current, &options)?;
            match attempt(call, &current, &options).await {
                Err(WriteError::Conflict) => {}
                Ok(_) => break,
                Err(e) => return Err(failed(call, call.name(), e)),
            }
        }
    }
    (call.target.namespace, call.target.name) = (namespace, name);
    let metadata = json!({"resourceVersion": snapshot.version.to_string()});
    Ok(Outcome::List {
        metadata,
        objects: snapshot.objects,
    })
}
