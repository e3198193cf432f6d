//! From what a client sent to what may be stored: one sequence for create, update, patch and apply.
//!
//! Order: shape, pruning with field validation, the part that the endpoint may not change, system metadata, the
//! kind's own rules, defaults, admission, generation, validation, ownership of fields. Everything happens in the
//! version of the request; conversion to the stored form is the last step.

use std::collections::HashSet;

use serde_json::{Map, Value, json};

use super::builtin;
use crate::admission::{AdmissionRequest, AdmissionVerb, Objects, Refusal};
use crate::call::Call;
use crate::kinds::Origin;
use crate::meta::{Meta, as_map, meta_mut, names, set_meta, time};
use crate::patch::managed::{self, Writer};
use crate::schema;
use crate::status::{ApiError, Cause};
use crate::wire::query::FieldValidation;

/// Fields of `metadata` that only the server sets.
const SYSTEM: [&str; 6] = [
    "uid",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "generation",
    "selfLink",
];

/// How ownership of fields is recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ownership {
    /// By comparing old and new.
    Update,
    /// Already in the object: server-side apply.
    Applied,
}

/// Checks `apiVersion`, `kind`, `name` and `namespace` of a body against the path; fills in what is absent.
pub(crate) fn shape(call: &Call, object: &mut Value) -> Result<(), ApiError> {
    shape_as(call, object, &call.found.api_version(), &call.found.kind.kind)
}

/// The same for a body of another kind than the path's, such as a scale.
pub(crate) fn shape_as(
    call: &Call,
    object: &mut Value,
    api_version: &str,
    kind: &str,
) -> Result<(), ApiError> {
    if !object.is_object() {
        return Err(ApiError::bad_request("the body of the request must be an object"));
    }
    for (field, expected) in [("apiVersion", api_version), ("kind", kind)] {
        match object.get(field).and_then(Value::as_str) {
            None | Some("") => {
                as_map(object).insert(field.to_owned(), expected.into());
            }
            Some(given) if given == expected => {}
            Some(given) => {
                return Err(ApiError::bad_request(format!(
                    "the {field} in the data ({given}) does not match the expected {field} ({expected})"
                )));
            }
        }
    }
    if let Some(namespace) = &call.target.namespace {
        match object.namespace() {
            "" => set_meta(object, "namespace", Some(namespace.as_str().into())),
            given if given == namespace => {}
            _ => {
                let text =
                    "the namespace of the provided object does not match the namespace sent on the request";
                return Err(ApiError::bad_request(text));
            }
        }
    }
    if !call.name().is_empty() {
        match object.name() {
            "" => set_meta(object, "name", Some(call.name().into())),
            given if given == call.name() => {}
            given => {
                return Err(ApiError::bad_request(format!(
                    "the name of the object ({given}) does not match the name on the URL ({})",
                    call.name()
                )));
            }
        }
    }
    Ok(())
}

/// The whole sequence. `old` and `object` are in the version of the request, and so is the result.
pub(crate) fn finish(
    call: &mut Call,
    old: Option<&Value>,
    mut object: Value,
    ownership: Ownership,
) -> Result<Value, ApiError> {
    field_validation(call, &mut object)?;
    keep_the_rest(call, old, &mut object);
    system_metadata(call, old, &mut object);
    let mut causes = builtin::prepare(call, old, &mut object);
    causes.extend(old.and_then(|old| late_finalizers(old, &object)));
    if let Some(paths) = &call.found.version().scale {
        causes.extend(paths.bad_numbers(&object));
    }
    let schema = call.found.version().schema.clone();
    schema::apply_defaults(&schema, &mut object);
    let warnings = admit(call, old, &mut object)?;
    call.warnings.extend(warnings);
    generation(call, old, &mut object);
    let kind = &call.found.kind;
    causes.extend(names::check(&object, kind.name_rule, kind.namespaced));
    let mut found = schema::validate(&schema, &object, "");
    if let Some(old) = old.filter(|_| !found.is_empty()) {
        // What was wrong before a stricter schema came does not block a write that leaves it alone.
        let before: HashSet<Cause> = schema::validate(&schema, old, "").into_iter().collect();
        found.retain(|cause| !before.contains(cause));
    }
    let named: HashSet<&str> = causes.iter().map(|cause| cause.field.as_str()).collect();
    found.retain(|cause| !named.contains(cause.field.as_str()));
    causes.extend(found);
    if !causes.is_empty() {
        return Err(ApiError::invalid(&kind.group, &kind.kind, object.name(), &causes));
    }
    let api_version = call.found.api_version();
    let writer = Writer {
        manager: &call.manager,
        api_version: &api_version,
        subresource: call.subresource(),
        status_apart: call.found.version().status,
        now: call.now,
    };
    if ownership == Ownership::Update {
        managed::after_update(&schema, old, &mut object, writer);
    }
    Ok(object)
}

/// Judges the fields of an applied configuration; what is unknown is dropped or refused as the client asked.
pub(crate) fn validate_fields(call: &mut Call, config: &mut Value) -> Result<(), ApiError> {
    field_validation(call, config)
}

/// Reduces an applied configuration to what its endpoint can own.
pub(crate) fn limit_to_endpoint(call: &Call, config: &mut Value) {
    if call.subresource() == "status" {
        as_map(config)
            .retain(|field, _| matches!(field.as_str(), "apiVersion" | "kind" | "metadata" | "status"));
        meta_mut(config).retain(|field, _| matches!(field.as_str(), "name" | "namespace" | "managedFields"));
    } else if call.found.version().status {
        set_field(config, "status", None);
    }
}

fn field_validation(call: &mut Call, object: &mut Value) -> Result<(), ApiError> {
    let version = call.found.version();
    let mut unknown: Vec<String> = schema::prune(&version.schema, object)
        .into_iter()
        .map(|path| format!("unknown field {path:?}"))
        .collect();
    match call.query.field_validation {
        _ if unknown.is_empty() => {}
        FieldValidation::Ignore => {}
        FieldValidation::Warn => {
            // A write that lost a race comes by here again.
            unknown.retain(|text| !call.warnings.contains(text));
            call.warnings.extend(unknown);
        }
        FieldValidation::Strict => {
            let (kind, version) = (&call.found.kind.kind, &version.name);
            return Err(ApiError::bad_request(format!(
                "{kind} in version {version:?} cannot be handled as a {kind}: strict decoding error: {}",
                unknown.join(", ")
            )));
        }
    }
    Ok(())
}

/// The status endpoint changes only status; the main endpoint everything else where there is a status endpoint.
fn keep_the_rest(call: &Call, old: Option<&Value>, object: &mut Value) {
    if call.subresource() == "status" {
        let Some(old) = old else { return };
        let (status, managers) = (
            object.get("status").cloned(),
            object["metadata"].get("managedFields").cloned(),
        );
        *object = old.clone();
        set_field(object, "status", status);
        set_meta(object, "managedFields", managers);
    } else if call.found.version().status {
        set_field(object, "status", old.and_then(|o| o.get("status")).cloned());
    }
}

fn set_field(object: &mut Value, field: &str, value: Option<Value>) {
    match value {
        Some(value) => {
            as_map(object).insert(field.to_owned(), value);
        }
        None => {
            as_map(object).remove(field);
        }
    }
}

fn system_metadata(call: &Call, old: Option<&Value>, object: &mut Value) {
    let kept: Vec<(&str, Option<Value>)> = match old {
        Some(old) => SYSTEM
            .iter()
            .map(|key| (*key, old.meta().and_then(|m| m.get(*key)).cloned()))
            .collect(),
        None => {
            let uid = uuid::Uuid::new_v4().to_string();
            let mut fresh: Vec<(&str, Option<Value>)> = SYSTEM.iter().map(|key| (*key, None)).collect();
            fresh[0].1 = Some(uid.into());
            fresh[1].1 = Some(time::stamp(call.now).into());
            fresh
        }
    };
    for (key, value) in kept {
        set_meta(object, key, value);
    }
    if !call.found.kind.namespaced {
        set_meta(object, "namespace", None);
    }
    let version = old
        .and_then(|o| o.meta())
        .and_then(|m| m.get("resourceVersion"))
        .cloned();
    set_meta(object, "resourceVersion", version);
    let meta = meta_mut(object);
    for key in ["labels", "annotations", "finalizers", "ownerReferences"] {
        let hollow = match meta.get(key) {
            Some(Value::Null) => true,
            Some(Value::Array(list)) => list.is_empty(),
            Some(Value::Object(map)) => map.is_empty(),
            _ => false,
        };
        if hollow {
            meta.remove(key);
        }
    }
}

/// An object that is being deleted may lose finalizers; it gains none.
fn late_finalizers(old: &Value, new: &Value) -> Option<Cause> {
    if !old.is_terminating() {
        return None;
    }
    let before: HashSet<&str> = old.finalizers().into_iter().collect();
    let mut late = new.finalizers();
    late.retain(|f| !before.contains(f));
    (!late.is_empty()).then(|| {
        let text = "no new finalizers can be added if the object is being deleted, found new finalizers";
        Cause::forbidden("metadata.finalizers", &format!("{text} {late:?}"))
    })
}

fn admit(call: &Call, old: Option<&Value>, object: &mut Value) -> Result<Vec<String>, ApiError> {
    let verb = if old.is_some() {
        AdmissionVerb::Update
    } else {
        AdmissionVerb::Create
    };
    judge(call, verb, call.subresource(), old, object)
}

/// Lets every hook judge a write. Returns what it warns of. Hooks know the version in which a kind is stored.
pub(crate) fn judge(
    call: &Call,
    verb: AdmissionVerb,
    subresource: &str,
    old: Option<&Value>,
    object: &mut Value,
) -> Result<Vec<String>, ApiError> {
    let kind = &call.found.kind;
    let version = &call.found.version().name;
    if kind.conversion(version).is_none() {
        return judge_stored(call, verb, subresource, old, object);
    }
    let old = old.map(|old| kind.to_stored(old.clone()));
    let before = kind.to_stored(object.clone());
    let mut stored = before.clone();
    let warnings = judge_stored(call, verb, subresource, old.as_ref(), &mut stored)?;
    if stored != before {
        *object = kind.view_of(version, &stored);
    }
    Ok(warnings)
}

fn judge_stored(
    call: &Call,
    verb: AdmissionVerb,
    subresource: &str,
    old: Option<&Value>,
    object: &mut Value,
) -> Result<Vec<String>, ApiError> {
    let kind = &call.found.kind;
    let name = object.name().to_owned();
    let request = AdmissionRequest {
        verb,
        group: &kind.group,
        kind: &kind.kind,
        namespace: call.target.namespace.as_deref().unwrap_or_default(),
        name: &name,
        subresource,
        identity: &call.identity,
        old,
        objects: Objects(&call.core.storage),
    };
    let mut warnings = Vec::new();
    for hook in &call.core.admission {
        let said = hook(&request, object).map_err(|refusal| match refusal {
            Refusal::Forbidden(why) => ApiError::forbidden(&kind.group, &kind.plural, &name, &why),
            Refusal::Invalid(causes) => ApiError::invalid(&kind.group, &kind.kind, &name, &causes),
        })?;
        warnings.extend(said);
    }
    Ok(warnings)
}

/// Counts changes of everything that is neither metadata nor, where it has an endpoint of its own, status.
fn generation(call: &Call, old: Option<&Value>, object: &mut Value) {
    if !call.found.kind.generation {
        return;
    }
    let without_status = call.found.version().status || call.found.kind.origin == Origin::Builtin;
    let desired = |value: &Value| {
        let mut map: Map<String, Value> = value.as_object().cloned().unwrap_or_default();
        map.remove("metadata");
        map.remove("apiVersion");
        if without_status {
            map.remove("status");
        }
        map
    };
    let number = match old {
        None => 1,
        Some(old) => {
            let before = old["metadata"]["generation"].as_i64().unwrap_or(1);
            if desired(old) == desired(object) {
                before
            } else {
                before + 1
            }
        }
    };
    set_meta(object, "generation", Some(json!(number)));
}

/// True when a write would change nothing but times of ownership.
pub(crate) fn is_same(old: &Value, new: &Value) -> bool {
    let times_gone = |value: &Value| {
        let mut value = value.clone();
        if let Some(Value::Array(list)) = meta_mut(&mut value).get_mut("managedFields") {
            for entry in list {
                as_map(entry).remove("time");
            }
        }
        value
    };
    times_gone(old) == times_gone(new)
}
