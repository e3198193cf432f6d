//! Object metadata: reading it from JSON, names and labels, selectors, time stamps, deletion. Pure.

pub(crate) mod deletion;
pub(crate) mod fields;
pub(crate) mod labels;
pub(crate) mod names;
pub(crate) mod time;

use serde_json::{Map, Value};

/// Shared view on `metadata` of an object of any kind.
pub(crate) trait Meta {
    /// The `metadata` map, when there is one.
    fn meta(&self) -> Option<&Map<String, Value>>;
    /// A string field of `metadata`; empty when absent.
    fn meta_str(&self, key: &str) -> &str {
        self.meta()
            .and_then(|m| m.get(key))
            .and_then(Value::as_str)
            .unwrap_or("")
    }
    /// `metadata.name`.
    fn name(&self) -> &str {
        self.meta_str("name")
    }
    /// `metadata.namespace`.
    fn namespace(&self) -> &str {
        self.meta_str("namespace")
    }
    /// `metadata.uid`.
    fn uid(&self) -> &str {
        self.meta_str("uid")
    }
    /// `metadata.deletionTimestamp` is set.
    fn is_terminating(&self) -> bool {
        self.meta()
            .is_some_and(|m| m.get("deletionTimestamp").is_some_and(|t| !t.is_null()))
    }
    /// `metadata.finalizers`.
    fn finalizers(&self) -> Vec<&str> {
        let list = self
            .meta()
            .and_then(|m| m.get("finalizers"))
            .and_then(Value::as_array);
        list.map(|l| l.iter().filter_map(Value::as_str).collect())
            .unwrap_or_default()
    }
    /// `metadata.ownerReferences`.
    fn owners(&self) -> &[Value] {
        let list = self
            .meta()
            .and_then(|m| m.get("ownerReferences"))
            .and_then(Value::as_array);
        list.map(Vec::as_slice).unwrap_or_default()
    }
}

impl Meta for Value {
    fn meta(&self) -> Option<&Map<String, Value>> {
        self.get("metadata").and_then(Value::as_object)
    }
}

/// `metadata` for writing; made when absent or of a wrong type.
pub(crate) fn meta_mut(object: &mut Value) -> &mut Map<String, Value> {
    let root = as_map(object);
    as_map(
        root.entry("metadata")
            .or_insert_with(|| Value::Object(Map::new())),
    )
}

/// The value as a map; anything else is replaced by an empty one.
pub(crate) fn as_map(value: &mut Value) -> &mut Map<String, Value> {
    if !value.is_object() {
        *value = Value::Object(Map::new());
    }
    match value {
        Value::Object(map) => map,
        _ => unreachable!("made an object above"),
    }
}

/// Sets `metadata.<key>`, or removes it when `value` is absent.
pub(crate) fn set_meta(object: &mut Value, key: &str, value: Option<Value>) {
    let meta = meta_mut(object);
    match value {
        Some(value) => {
            meta.insert(key.to_owned(), value);
        }
        None => {
            meta.remove(key);
        }
    }
}
