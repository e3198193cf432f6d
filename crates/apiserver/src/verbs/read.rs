//! get and list: from memory, never from SQLite.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::StatusCode;
use serde_json::{Value, json};

use super::Outcome;
use super::write::unreadable;
use crate::call::Call;
use crate::meta::fields::FieldSelector;
use crate::meta::labels::LabelSelector;
use crate::status::ApiError;
use crate::storage::{Key, Snapshot, Stored, Term};

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

    /// As [`Selection::matches`] for an object that is decoded only where a field selector needs it.
    pub(crate) fn selects(&self, object: &Stored) -> bool {
        if self.is_everything() {
            return true;
        }
        if !self.fields.is_of_names() {
            return self.matches(&object.value());
        }
        let labels: serde_json::Map<String, Value> = object
            .labels()
            .map(|(key, value)| (key.to_owned(), value.into()))
            .collect();
        let metadata = json!({"name": object.name(), "namespace": object.namespace(), "labels": labels});
        self.matches(&json!({"metadata": metadata}))
    }

    pub(crate) fn is_everything(&self) -> bool {
        self.labels.is_empty() && self.fields.is_empty()
    }

    /// What the objects can be looked up by.
    fn lookup(&self) -> Option<(Term, &str)> {
        let field = self.fields.lookup();
        let field = field.map(|(path, value)| (Term::Field(path.to_owned()), value));
        let label = || {
            let label = self.labels.lookup();
            label.map(|(key, value)| (Term::Label(key.to_owned()), value))
        };
        field.or_else(label)
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
        let found = storage.get(&key).filter(|o| selection.selects(o));
        return Snapshot {
            objects: found.into_iter().collect(),
            version,
        };
    }
    let resource = &call.found.kind.resource;
    let found = selection
        .lookup()
        .and_then(|(term, value)| storage.having(resource, &term, value, namespace));
    let mut snapshot = found.unwrap_or_else(|| storage.list(resource, namespace));
    if !selection.is_everything() {
        snapshot.objects.retain(|o| selection.selects(o));
    }
    snapshot
}

/// GET of a collection.
pub(crate) fn list(call: &Call) -> Result<Outcome, ApiError> {
    let selection = Selection::parse(call)?;
    check_version(call)?;
    let token = match &*call.query.continue_token {
        "" => None,
        text => Some(Token::decode(text)?),
    };
    let (limit, everything) = (call.query.limit, selection.is_everything());
    let mut snapshot = match &token {
        _ if everything && limit > 0 => {
            let (namespace, after) = (
                call.target.namespace.as_deref(),
                token.as_ref().map(|token| &token.last),
            );
            let storage = &call.core.storage;
            storage.page(
                &call.found.kind.resource,
                namespace,
                after,
                limit.saturating_add(1),
            )
        }
        None => select(call, &selection),
        Some(token) => {
            let mut found = select(call, &selection);
            let last = (&*token.last.0, &*token.last.1);
            found
                .objects
                .retain(|object| (object.namespace(), object.name()) > last);
            found
        }
    };
    let version = token.as_ref().map_or(snapshot.version, |token| token.version);
    let mut metadata = json!({"resourceVersion": version.to_string()});
    if limit > 0 && snapshot.objects.len() > limit {
        snapshot.objects.truncate(limit);
        let last = snapshot.objects.last();
        let last = last.map(|last| (last.namespace().to_owned(), last.name().to_owned()));
        let rest = everything.then(|| {
            let all = || {
                call.core
                    .storage
                    .count(&call.found.kind.resource, call.target.namespace.as_deref())
            };
            let before = token.as_ref().and_then(|token| token.rest).unwrap_or_else(all);
            // There is at least the one that was cut off.
            before.saturating_sub(limit).max(1)
        });
        if let Some(last) = last {
            let token = Token { version, last, rest };
            metadata["continue"] = token.encode().into();
        }
        if let Some(rest) = rest {
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
    /// Namespace and name of the last object of the page before.
    last: (String, String),
    /// Objects that are still to come, by the count of the first page: counting them again for each page would make
    /// the whole list quadratic.
    rest: Option<usize>,
}

impl Token {
    fn encode(&self) -> String {
        let (namespace, name) = &self.last;
        let json = json!({"v": self.version, "ns": namespace, "n": name, "r": self.rest});
        URL_SAFE_NO_PAD.encode(json.to_string())
    }

    fn decode(text: &str) -> Result<Token, ApiError> {
        let bad = || ApiError::bad_request("continue key is not valid");
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| bad())?;
        let json: Value = serde_json::from_slice(&bytes).map_err(|_| bad())?;
        let string = |key: &str| json[key].as_str().map(str::to_owned).ok_or_else(bad);
        Ok(Token {
            version: json["v"].as_u64().ok_or_else(bad)?,
            last: (string("ns")?, string("n")?),
            rest: json["r"].as_u64().and_then(|rest| usize::try_from(rest).ok()),
        })
    }
}
