//! get and list: from memory, never from SQLite.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::StatusCode;
use serde_json::{Value, json};

use super::Outcome;
use super::write::unreadable;
use crate::meta::Meta;
use crate::meta::fields::FieldSelector;
use crate::meta::labels::LabelSelector;
use crate::service::Call;
use crate::status::ApiError;
use crate::storage::{Key, Snapshot, State, Stored};

/// Both selectors of a request.
#[derive(Debug, Clone)]
pub(crate) struct Selection {
    labels: LabelSelector,
    fields: FieldSelector,
}

impl Selection {
    pub(crate) fn parse(call: &Call) -> Result<Selection, ApiError> {
        let offered: Vec<&str> = call.found.kind.selectable.iter().map(String::as_str).collect();
        // Selectors of the events.k8s.io view use its names, storage the core ones.
        let mut text = call.query.field_selector.clone();
        for (here, stored) in call.found.kind.renames {
            text = text.replace(&format!("{here}."), &format!("{stored}."));
        }
        let mut all = offered.clone();
        all.extend(
            [
                "involvedObject.kind",
                "involvedObject.namespace",
                "involvedObject.name",
                "involvedObject.uid",
            ]
            .iter()
            .filter(|_| !call.found.kind.renames.is_empty()),
        );
        let mut fields = FieldSelector::parse(&text, &all)?;
        if let Some(name) = &call.target.name {
            // A watch on one object by its path.
            fields = FieldSelector::parse(&format!("metadata.name={name}"), &[])?;
        }
        Ok(Selection {
            labels: LabelSelector::parse(&call.query.label_selector)?,
            fields,
        })
    }

    pub(crate) fn matches(&self, object: &Value) -> bool {
        self.labels.matches(object) && self.fields.matches(object)
    }

    /// As [`Selection::matches`] for a state of a change, decoded only where a field selector needs it.
    pub(crate) fn matches_state(&self, key: &Key, state: &State) -> bool {
        if !self.fields.is_of_names() {
            return state.with(|object| self.matches(object));
        }
        let metadata = json!({"name": key.name, "namespace": key.namespace, "labels": state.labels});
        self.matches(&json!({"metadata": metadata}))
    }

    pub(crate) fn is_everything(&self) -> bool {
        self.labels.is_empty() && self.fields.is_empty()
    }

    pub(crate) fn exact(&self, path: &str) -> Option<&str> {
        self.fields.exact(path)
    }
}

impl Call {
    /// Storage key of the object that the path names.
    pub(crate) fn key(&self) -> Key {
        self.key_of(self.name())
    }

    /// Storage key of a sibling.
    pub(crate) fn key_of(&self, name: &str) -> Key {
        Key {
            resource: self.found.kind.resource.clone(),
            namespace: self.target.namespace.clone().unwrap_or_default(),
            name: name.to_owned(),
        }
    }

    /// 404 of the object that the path names.
    pub(crate) fn not_found(&self) -> ApiError {
        ApiError::not_found(&self.found.kind.group, &self.found.kind.plural, self.name())
    }

    /// The object that the path names.
    pub(crate) fn current(&self) -> Result<Arc<Stored>, ApiError> {
        self.stored()?.ok_or_else(|| self.not_found())
    }

    /// The object that the path names, if there is one. One that cannot be read is not absent.
    pub(crate) fn stored(&self) -> Result<Option<Arc<Stored>>, ApiError> {
        let (key, storage) = (self.key(), &self.core.storage);
        match (storage.get(&key), storage.unreadable(&key)) {
            (None, Some(reason)) => Err(unreadable(&self.found.kind.plural, &key.name, &reason)),
            (found, _) => Ok(found),
        }
    }
}

/// GET of one object.
pub(crate) fn get(call: &Call) -> Result<Outcome, ApiError> {
    Ok(Outcome::Stored(StatusCode::OK, call.current()?))
}

/// Selected objects with the version at which the list holds.
pub(crate) fn select(call: &Call, selection: &Selection) -> Snapshot {
    let storage = &call.core.storage;
    let namespace = call
        .target
        .namespace
        .as_deref()
        .or_else(|| selection.exact("metadata.namespace"));
    if let (Some(name), Some(namespace)) = (selection.exact("metadata.name"), namespace) {
        let version = storage.version();
        let key = Key {
            resource: call.found.kind.resource.clone(),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        };
        let found = storage.get(&key).filter(|o| selection.matches(&o.value));
        return Snapshot {
            objects: found.into_iter().collect(),
            version,
        };
    }
    let mut snapshot = storage.list(&call.found.kind.resource, namespace);
    if !selection.is_everything() {
        snapshot.objects.retain(|o| selection.matches(&o.value));
    }
    snapshot
}

/// GET of a collection.
pub(crate) fn list(call: &Call) -> Result<Outcome, ApiError> {
    let selection = Selection::parse(call)?;
    check_version(call)?;
    let mut snapshot = select(call, &selection);
    let mut version = snapshot.version;
    if !call.query.continue_token.is_empty() {
        let token = Token::decode(&call.query.continue_token)?;
        version = token.version;
        snapshot
            .objects
            .retain(|o| (o.value.namespace(), o.value.name()) > (&*token.namespace, &*token.name));
    }
    let mut metadata = json!({"resourceVersion": version.to_string()});
    let limit = call.query.limit;
    if limit > 0 && snapshot.objects.len() > limit {
        let rest = snapshot.objects.len() - limit;
        snapshot.objects.truncate(limit);
        if let Some(last) = snapshot.objects.last() {
            let (namespace, name) = (last.value.namespace().to_owned(), last.value.name().to_owned());
            metadata["continue"] = Token {
                version,
                namespace,
                name,
            }
            .encode()
            .into();
        }
        if selection.is_everything() {
            metadata["remainingItemCount"] = rest.into();
        }
    }
    Ok(Outcome::List {
        metadata,
        objects: snapshot.objects,
    })
}

/// Lists always show the newest state, so an exact older version cannot be served.
fn check_version(call: &Call) -> Result<(), ApiError> {
    let query = &call.query;
    if query.resource_version.is_empty() || query.resource_version == "0" {
        return Ok(());
    }
    let wanted: u64 = query.resource_version.parse().map_err(|_| {
        ApiError::bad_request(format!("invalid resource version {:?}", query.resource_version))
    })?;
    let newest = call.core.storage.version();
    match query.version_match.as_str() {
        "Exact" if wanted != newest => Err(ApiError::expired(
            "The provided resource version is too old; only the newest is kept",
        )),
        _ if wanted > newest => Err(ApiError::expired(format!(
            "Too large resource version: {wanted}, current: {newest}; list again without one"
        ))),
        _ => Ok(()),
    }
}

/// Where the next page begins, and the version of the first page.
struct Token {
    version: u64,
    namespace: String,
    name: String,
}

impl Token {
    fn encode(&self) -> String {
        let json = json!({"v": self.version, "ns": self.namespace, "n": self.name});
        URL_SAFE_NO_PAD.encode(json.to_string())
    }

    fn decode(text: &str) -> Result<Token, ApiError> {
        let bad = || ApiError::bad_request("continue key is not valid");
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| bad())?;
        let json: Value = serde_json::from_slice(&bytes).map_err(|_| bad())?;
        let string = |key: &str| json[key].as_str().map(str::to_owned).ok_or_else(bad);
        let version = json["v"].as_u64().ok_or_else(bad)?;
        Ok(Token {
            version,
            namespace: string("ns")?,
            name: string("n")?,
        })
    }
}
