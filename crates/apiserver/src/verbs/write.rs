//! create, update, patch and apply.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::StatusCode;
use serde_json::Value;

use super::prepare::{self, Ownership};
use super::{Outcome, options};
use crate::call::Call;
use crate::definitions;
use crate::kinds::Origin;
use crate::meta::{Meta, set_meta};
use crate::patch::managed::{self, Writer};
use crate::patch::{self, PatchKind};
use crate::status::{ApiError, Cause};
use crate::storage::{self, Key, Stored, WriteError};

/// How long a write is computed again on a newer state, as in kube-apiserver. One writer of each round wins.
pub(super) const RETRY: Duration = Duration::from_secs(34);
/// Random characters after `generateName`; without vowels and look-alikes.
const ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";

/// POST of a new object.
pub(crate) async fn create(call: &mut Call, mut object: Value) -> Result<Outcome, ApiError> {
    options::check(call, "CreateOptions")?;
    prepare::shape(call, &mut object)?;
    if !object.meta_str("resourceVersion").is_empty() {
        return Err(ApiError::bad_request(
            "resourceVersion should not be set on objects to be created",
        ));
    }
    definition_stays(call)?;
    namespace_is_open(call, &object)?;
    let base = object.meta_str("generateName").to_owned();
    let generated = object.name().is_empty() && !base.is_empty();
    if generated {
        set_meta(&mut object, "name", Some(generate(&base).into()));
    }
    let object = prepare::finish(call, None, object, Ownership::Update)?;
    insert(call, object, Ownership::Update).await
}

async fn insert(call: &Call, object: Value, ownership: Ownership) -> Result<Outcome, ApiError> {
    let kind = &call.found.kind;
    let key = call.key_of(object.name());
    if call.query.dry_run {
        return match call.core.storage.get(&key) {
            Some(_) => Err(ApiError::already_exists(&kind.group, &kind.plural, &key.name)),
            None => Ok(Outcome::Object(StatusCode::CREATED, object)),
        };
    }
    let stored = kind.to_stored(object);
    let name = key.name.clone();
    let storage = &call.core.storage;
    let slim = slimmer(&stored, ownership);
    let created = match (storage.create(key.clone(), stored).await, slim) {
        (Err(WriteError::TooLarge { .. }), Some(slim)) => storage.create(key, slim).await,
        (done, _) => done,
    };
    let created = created.map_err(|e| failed(call, &name, e))?;
    call.core.after_write(&kind.resource);
    stays(call, &created).await?;
    Ok(Outcome::Stored(StatusCode::CREATED, created))
}

/// Takes a new object back when what is around it went between the check and the commit: nobody looks at what is in there
/// any more.
pub(super) async fn stays(call: &Call, created: &Stored) -> Result<(), ApiError> {
    let Err(refused) = surroundings_are_there(call) else {
        return Ok(());
    };
    let (key, last) = (call.key_of(created.name()), created.value());
    match call.core.storage.delete(key, created.version, last).await {
        Ok(_) | Err(WriteError::Conflict | WriteError::Exists) => Err(refused),
        Err(error) => Err(failed(call, created.name(), error)),
    }
}

/// The object without its field managers, to be stored when the whole is too large. An apply is its managers.
fn slimmer(stored: &Value, ownership: Ownership) -> Option<Value> {
    let has_managers = stored.meta().is_some_and(|m| m.contains_key("managedFields"));
    // Most objects are small: the copy is made only where it can be needed.
    let may = ownership == Ownership::Update && has_managers && !storage::fits(stored);
    may.then(|| managed::without_managers(stored))
}

/// The namespace of a new object and the definition of its kind exist. While they are being deleted, the collector
/// looks at what is in them.
fn surroundings_are_there(call: &Call) -> Result<(), ApiError> {
    let exists = |key: &Key| call.core.storage.get(key).is_some();
    if let Some(namespace) = &call.target.namespace
        && !exists(&Key::cluster_scoped("namespaces", namespace))
    {
        return Err(ApiError::not_found("", "namespaces", namespace));
    }
    let kind = &call.found.kind;
    if kind.origin == Origin::Custom && !exists(&definitions::key_of(kind)) {
        return Err(ApiError::no_such_path());
    }
    Ok(())
}

fn generate(base: &str) -> String {
    let mut name: String = base.chars().take(58).collect();
    let random: [u8; 5] = rand::random();
    name.extend(
        random
            .iter()
            .map(|r| char::from(ALPHABET[usize::from(*r) % ALPHABET.len()])),
    );
    name
}

/// No new objects of a kind whose definition is being deleted.
fn definition_stays(call: &Call) -> Result<(), ApiError> {
    let kind = &call.found.kind;
    let definition =
        (kind.origin == Origin::Custom).then(|| call.core.storage.get(&definitions::key_of(kind)));
    match definition.flatten() {
        Some(found) if found.is_terminating() => {
            let text = "create not allowed while custom resource definition is terminating";
            Err(ApiError::forbidden(&kind.group, &kind.plural, call.name(), text))
        }
        _ => Ok(()),
    }
}

/// Objects go only into a namespace that exists and is not being deleted.
fn namespace_is_open(call: &Call, object: &Value) -> Result<(), ApiError> {
    let Some(namespace) = &call.target.namespace else {
        return Ok(());
    };
    let key = Key {
        resource: "namespaces".into(),
        namespace: String::new(),
        name: namespace.clone(),
    };
    match call.core.storage.get(&key) {
        None => Err(ApiError::not_found("", "namespaces", namespace)),
        Some(found) if found.is_terminating() => {
            let text = format!(
                "unable to create new content in namespace {namespace} because it is being terminated"
            );
            let kind = &call.found.kind;
            Err(ApiError::forbidden(
                &kind.group,
                &kind.plural,
                object.name(),
                &text,
            ))
        }
        Some(_) => Ok(()),
    }
}

/// An object that is stored and cannot be read is neither there nor absent.
pub(crate) fn unreadable(plural: &str, name: &str, reason: &str) -> ApiError {
    ApiError::internal(format!(
        "{plural} {name:?} is stored but cannot be read: {reason}; start the server with the key file it was sealed \
         with, or delete the object"
    ))
}

pub(crate) fn failed(call: &Call, name: &str, error: WriteError) -> ApiError {
    let kind = &call.found.kind;
    match error {
        WriteError::Exists => ApiError::already_exists(&kind.group, &kind.plural, name),
        WriteError::Conflict => ApiError::modified(&kind.group, &kind.plural, name),
        WriteError::TooLarge { bytes, most } => ApiError::object_too_large(bytes, most),
        WriteError::Unsealed => ApiError::internal("the object could not be sealed and was not stored"),
        WriteError::Unreadable(reason) => unreadable(&kind.plural, name, &reason),
        WriteError::TooDeep => ApiError::unprocessable("the object is nested too deeply to be stored"),
        WriteError::Store(error) => {
            tracing::error!(error = %error, kind = kind.kind, "an object could not be stored");
            error.into()
        }
    }
}

/// PUT of a whole object.
pub(crate) async fn update(call: &mut Call, mut object: Value) -> Result<Outcome, ApiError> {
    options::check(call, "UpdateOptions")?;
    prepare::shape(call, &mut object)?;
    let given = object.meta_str("resourceVersion").to_owned();
    if given.is_empty() && call.found.kind.origin == Origin::Custom {
        // An object that is not there is not there, whatever the request says.
        call.current()?;
        let value = Value::from("");
        let cause = Cause::invalid(
            "metadata.resourceVersion",
            &value,
            "must be specified for an update",
        );
        let kind = &call.found.kind;
        return Err(ApiError::invalid(&kind.group, &kind.kind, call.name(), &[cause]));
    }
    let began = Instant::now();
    while began.elapsed() < RETRY {
        let current = call.current()?;
        check_expected(call, &current, &given, object.uid())?;
        match store(call, &current, object.clone(), Ownership::Update).await {
            // Without a version the writer wants the last word, whatever came in between.
            Err(e) if e.reason == "Conflict" && given.is_empty() => {}
            done => return done,
        }
    }
    Err(ApiError::timeout(RETRY))
}

/// The version and uid that the writer expects, when given.
pub(super) fn check_expected(
    call: &Call,
    current: &Stored,
    version: &str,
    uid: &str,
) -> Result<(), ApiError> {
    let kind = &call.found.kind;
    if !uid.is_empty() && uid != current.uid() {
        let text = format!(
            "Precondition failed: UID in precondition: {uid}, UID in object meta: {}",
            current.uid()
        );
        return Err(ApiError::conflict(&kind.group, &kind.plural, call.name(), &text));
    }
    if !version.is_empty() && version != current.version.to_string() {
        return Err(ApiError::modified(&kind.group, &kind.plural, call.name()));
    }
    Ok(())
}

/// PATCH in any of its formats.
pub(crate) async fn patch(call: &mut Call, media: &str, body: Value) -> Result<Outcome, ApiError> {
    let kind = PatchKind::of(media).ok_or_else(|| {
        ApiError::unsupported_media(format!(
            "the body of the request was in an unknown format ({media}) - accepted media types include: \
             application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml"
        ))
    })?;
    if kind == PatchKind::Strategic && call.found.kind.origin == Origin::Custom {
        return Err(ApiError::unsupported_media(
            "strategic merge patch is not supported for custom resources; use a merge patch or server-side apply",
        ));
    }
    options::check_patch(call, kind)?;
    patch_in_turn(call, kind, &body).await
}

/// Computes a patch again on newer states until it wins.
pub(super) async fn patch_in_turn(
    call: &mut Call,
    kind: PatchKind,
    body: &Value,
) -> Result<Outcome, ApiError> {
    let began = Instant::now();
    while began.elapsed() < RETRY {
        let current = call.stored()?;
        match patch_once(call, kind, current, body).await {
            Err(e) if e.reason == "Conflict" && e.is_lost_race() => {}
            // Another request made the object between our look and our insert.
            Err(e) if e.reason == "AlreadyExists" => {}
            done => return done,
        }
    }
    Err(ApiError::timeout(RETRY))
}

async fn patch_once(
    call: &mut Call,
    kind: PatchKind,
    current: Option<Arc<Stored>>,
    body: &Value,
) -> Result<Outcome, ApiError> {
    if kind == PatchKind::Apply {
        return apply(call, current, body).await;
    }
    let current = current.ok_or_else(|| call.not_found())?;
    let view = call
        .found
        .kind
        .view_of(&call.found.version().name, &current.value());
    let mut object = match kind {
        PatchKind::Json => patch::json_patch(&view, body)?,
        PatchKind::Merge => patch::merge_patch(&view, body)?,
        PatchKind::Strategic | PatchKind::Apply => {
            patch::strategic::strategic_patch(&call.found.version().schema, &view, body)?
        }
    };
    prepare::shape(call, &mut object)?;
    // A patch that sets another version is a precondition that fails for good.
    check_expected(call, &current, object.meta_str("resourceVersion"), object.uid())
        .map_err(ApiError::for_good)?;
    store(call, &current, object, Ownership::Update).await
}

async fn apply(call: &mut Call, current: Option<Arc<Stored>>, body: &Value) -> Result<Outcome, ApiError> {
    let object = applied(call, current.as_deref(), body.clone())?;
    match current {
        Some(current) => store(call, &current, object, Ownership::Applied).await,
        None => {
            let object = prepare::finish(call, None, object, Ownership::Applied)?;
            insert(call, object, Ownership::Applied).await
        }
    }
}

/// What an apply makes of the object that the call names.
pub(super) fn applied(
    call: &mut Call,
    current: Option<&Stored>,
    mut config: Value,
) -> Result<Value, ApiError> {
    prepare::shape(call, &mut config)?;
    // Not the whole version: its published schema is a large tree.
    let version = call.found.version();
    let (version, schema) = (version.name.clone(), version.schema.clone());
    if let Some(current) = current {
        check_expected(call, current, config.meta_str("resourceVersion"), config.uid())
            .map_err(ApiError::for_good)?;
    } else {
        if call.subresource() == "status" {
            return Err(call.not_found());
        }
        if !config.uid().is_empty() || !config.meta_str("resourceVersion").is_empty() {
            let kind = &call.found.kind;
            let text = "uid mismatch: the provided object specified a uid or version, and no existing object was found";
            return Err(ApiError::conflict(&kind.group, &kind.plural, call.name(), text).for_good());
        }
        definition_stays(call)?;
        namespace_is_open(call, &config)?;
    }
    // Unknown fields are judged on the configuration, before the merge hides where they came from.
    prepare::validate_fields(call, &mut config)?;
    prepare::limit_to_endpoint(call, &mut config);
    let live = current.map(|c| call.found.kind.view_of(&version, &c.value()));
    let api_version = call.found.api_version();
    let writer = Writer {
        manager: &call.manager,
        api_version: &api_version,
        subresource: call.subresource(),
        status_apart: call.found.version().status,
        now: call.now,
    };
    let force = call.query.force == Some(true);
    patch::apply::apply(&schema, live.as_ref(), &config, writer, force).map_err(ApiError::for_good)
}

/// Completes a changed object and stores it over `current`; removes it when its last finalizer went.
pub(super) async fn store(
    call: &mut Call,
    current: &Stored,
    object: Value,
    ownership: Ownership,
) -> Result<Outcome, ApiError> {
    let stored = match completed(call, current, object, ownership)? {
        Completed::Nothing(object) => return Ok(Outcome::Object(StatusCode::OK, object)),
        Completed::Written(object) => object,
    };
    let gone = is_gone(call, &stored);
    let (key, name) = (call.key(), call.name().to_owned());
    let storage = &call.core.storage;
    let slim = slimmer(&stored, ownership);
    let written = if gone {
        storage.delete(key, current.version, stored).await
    } else {
        match (storage.update(key.clone(), current.version, stored).await, slim) {
            (Err(WriteError::TooLarge { .. }), Some(slim)) => {
                storage.update(key, current.version, slim).await
            }
            (done, _) => done,
        }
    };
    let written = written.map_err(|e| failed(call, &name, e))?;
    call.core.after_write(&call.found.kind.resource);
    Ok(Outcome::Stored(StatusCode::OK, written))
}

/// What is to be done with a changed object.
pub(super) enum Completed {
    /// Nothing: here it is in the version of the request.
    Nothing(Value),
    /// It is to be stored in this form.
    Written(Value),
}

/// Completes a changed object.
pub(super) fn completed(
    call: &mut Call,
    current: &Stored,
    object: Value,
    ownership: Ownership,
) -> Result<Completed, ApiError> {
    let version = call.found.version().name.clone();
    let old = call.found.kind.view_of(&version, &current.value());
    let object = prepare::finish(call, Some(&old), object, ownership)?;
    if call.query.dry_run {
        return Ok(Completed::Nothing(object));
    }
    // A write without change still brings an object into a storage version that has moved.
    if prepare::is_same(&old, &object) && call.found.kind.has_storage_version(current.api_version()) {
        return Ok(Completed::Nothing(old));
    }
    Ok(Completed::Written(call.found.kind.to_stored(object)))
}

/// True when the last finalizer of an object that is being deleted went.
pub(super) fn is_gone(call: &Call, object: &Value) -> bool {
    object.is_terminating() && object.finalizers().is_empty() && !is_namespace(call)
}

/// Namespaces go when the collector has emptied them.
fn is_namespace(call: &Call) -> bool {
    &*call.found.kind.resource == "namespaces"
}
