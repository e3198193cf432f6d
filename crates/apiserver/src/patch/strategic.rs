//! Strategic merge patch for the built-in kinds.
//!
//! Those kinds have few lists, so the directives that matter are `$patch: delete|replace` on maps,
//! `$retainKeys`, `$setElementOrder/...` (which follows from the patch itself), `$deleteFromPrimitiveList/...` and
//! merging of keyed lists by the schema's keys. Anything else is refused by name.

use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value};

use crate::schema::{ListType, Schema};
use crate::status::ApiError;

/// Applies a strategic merge patch.
pub(crate) fn strategic_patch(schema: &Schema, current: &Value, patch: &Value) -> Result<Value, ApiError> {
    let Value::Object(patch) = patch else {
        return Err(ApiError::bad_request(
            "a strategic merge patch must be a JSON object",
        ));
    };
    let empty = Map::new();
    let current = current.as_object().unwrap_or(&empty);
    merge_map(Some(schema), current, patch).map(Value::Object)
}

fn merge_map(
    schema: Option<&Schema>,
    current: &Map<String, Value>,
    patch: &Map<String, Value>,
) -> Result<Map<String, Value>, ApiError> {
    match patch.get("$patch").and_then(Value::as_str) {
        None => {}
        Some("replace") => {
            let mut replaced = patch.clone();
            replaced.remove("$patch");
            return Ok(replaced);
        }
        Some("delete") => return Ok(Map::new()),
        Some(other) => return Err(ApiError::bad_request(format!("unknown patch type {other:?}"))),
    }
    let mut merged = current.clone();
    if let Some(keys) = patch.get("$retainKeys").and_then(Value::as_array) {
        let keys: HashSet<&str> = keys.iter().filter_map(Value::as_str).collect();
        merged.retain(|key, _| keys.contains(key.as_str()));
    }
    for (key, value) in patch {
        if let Some(list) = key.strip_prefix("$deleteFromPrimitiveList/") {
            let gone: HashSet<&Value> = value.as_array().into_iter().flatten().collect();
            if let Some(Value::Array(items)) = merged.get_mut(list) {
                items.retain(|item| !gone.contains(item));
            }
            continue;
        }
        if key == "$retainKeys" || key.starts_with("$setElementOrder/") {
            continue;
        }
        if key.starts_with('$') {
            return Err(ApiError::unsupported_media(format!(
                "strategic merge directive {key:?} is not supported; use a merge patch or server-side apply"
            )));
        }
        if value.is_null() {
            merged.remove(key);
            continue;
        }
        let field = schema.and_then(|s| s.field(key));
        let result = merge_value(field, merged.get(key), value)?;
        merged.insert(key.clone(), result);
    }
    Ok(merged)
}

fn merge_value(schema: Option<&Schema>, current: Option<&Value>, patch: &Value) -> Result<Value, ApiError> {
    let empty = Map::new();
    match patch {
        Value::Object(patch) => {
            let current = current.and_then(Value::as_object).unwrap_or(&empty);
            merge_map(schema, current, patch).map(Value::Object)
        }
        Value::Array(patch) => {
            let current = current
                .and_then(Value::as_array)
                .map(Vec::as_slice)
                .unwrap_or_default();
            merge_list(schema, current, patch).map(Value::Array)
        }
        _ => Ok(patch.clone()),
    }
}

fn merge_list(schema: Option<&Schema>, current: &[Value], patch: &[Value]) -> Result<Vec<Value>, ApiError> {
    match schema.map(|s| &s.list) {
        Some(ListType::Set) => {
            let mut merged = current.to_vec();
            let known: HashSet<&Value> = current.iter().collect();
            merged.extend(patch.iter().filter(|v| !known.contains(v)).cloned());
            Ok(merged)
        }
        Some(ListType::Map(keys)) => {
            let item_schema = schema.and_then(|s| s.items.as_deref());
            merge_keyed(item_schema, keys, current, patch)
        }
        _ => Ok(patch.to_vec()),
    }
}

fn merge_keyed(
    schema: Option<&Schema>,
    keys: &[String],
    current: &[Value],
    patch: &[Value],
) -> Result<Vec<Value>, ApiError> {
    if patch.iter().any(|item| item["$patch"] == "replace") {
        return Ok(patch
            .iter()
            .filter(|item| item["$patch"] != "replace")
            .cloned()
            .collect());
    }
    let key_of =
        |item: &Value| -> Vec<Option<Value>> { keys.iter().map(|key| item.get(key).cloned()).collect() };
    let mut merged: Vec<Option<Value>> = current.iter().cloned().map(Some).collect();
    let mut places: HashMap<Vec<Option<Value>>, usize> = HashMap::new();
    for (at, item) in current.iter().enumerate() {
        places.entry(key_of(item)).or_insert(at);
    }
    for item in patch {
        let (key, delete) = (key_of(item), item["$patch"] == "delete");
        match (places.get(&key).copied(), delete) {
            (Some(at), true) => {
                merged[at] = None;
                places.remove(&key);
            }
            (Some(at), false) => merged[at] = Some(merge_value(schema, merged[at].as_ref(), item)?),
            (None, true) => {}
            (None, false) => {
                places.insert(key, merged.len());
                merged.push(Some(item.clone()));
            }
        }
    }
    Ok(merged.into_iter().flatten().collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::builtin;
    use serde_json::json;

    #[test]
    fn patch_table() {
        let kinds = builtin();
        let schema = &kinds[0].versions[0].schema;
        let owner = |uid: &str| json!({"uid": uid, "name": uid});
        for (current, patch, expected) in [
            (
                json!({"data": {"a": "1", "b": "2"}}),
                json!({"data": {"a": null, "c": "3"}}),
                json!({"data": {"b": "2", "c": "3"}}),
            ),
            (
                json!({"data": {"a": "1"}}),
                json!({"data": {"$patch": "replace", "b": "2"}}),
                json!({"data": {"b": "2"}}),
            ),
            (
                json!({"metadata": {"finalizers": ["a", "b"]}}),
                json!({"metadata": {"$deleteFromPrimitiveList/finalizers": ["a"], "$setElementOrder/finalizers": ["b", "c"], "finalizers": ["c"]}}),
                json!({"metadata": {"finalizers": ["b", "c"]}}),
            ),
            (
                json!({"metadata": {"ownerReferences": [owner("1"), owner("2")]}}),
                json!({"metadata": {"ownerReferences": [{"uid": "1", "$patch": "delete"}, owner("3")]}}),
                json!({"metadata": {"ownerReferences": [owner("2"), owner("3")]}}),
            ),
        ] {
            assert_eq!(
                strategic_patch(schema, &current, &patch).unwrap(),
                expected,
                "{patch}"
            );
        }
        let error = strategic_patch(schema, &json!({}), &json!({"$other": 1})).unwrap_err();
        assert_eq!(error.code, 415);
    }
}
