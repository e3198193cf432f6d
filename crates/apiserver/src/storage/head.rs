//! What is known of an object without decoding it.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::extent::DEEPEST;
use crate::meta::Meta;

/// Beside the JSON of each object in memory.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) uid: Arc<str>,
    pub(super) api_version: Box<str>,
    pub(super) namespace: Box<str>,
    pub(super) name: Box<str>,
    pub(super) labels: Box<[(Box<str>, Box<str>)]>,
    pub(super) owners: Box<[Arc<str>]>,
    pub(super) finalizers: bool,
    pub(super) terminating: bool,
}

impl Head {
    pub(super) fn of(value: &Value) -> Head {
        let owners = value.owners();
        let labels = value.meta().and_then(|meta| meta.get("labels")?.as_object());
        let labels = labels.into_iter().flatten();
        let labels = labels.filter_map(|(key, value)| Some((key.as_str().into(), value.as_str()?.into())));
        let uids = owners.iter().filter_map(|owner| owner.get("uid")?.as_str());
        Head {
            uid: value.uid().into(),
            api_version: value["apiVersion"].as_str().unwrap_or_default().into(),
            namespace: value.namespace().into(),
            name: value.name().into(),
            labels: labels.collect(),
            owners: uids.map(Arc::from).collect(),
            finalizers: !value.finalizers().is_empty(),
            terminating: value.is_terminating(),
        }
    }

    /// Reads it from JSON that carries this version; none where anything is not as this server writes it.
    pub(super) fn read(json: &[u8], version: u64) -> Option<Head> {
        let read: Object = serde_json::from_slice(json).ok().filter(|_| is_shallow(json))?;
        let meta = read.metadata;
        (meta.resource_version == version.to_string()).then(|| Head {
            uid: meta.uid.into(),
            api_version: read.api_version,
            namespace: meta.namespace,
            name: meta.name,
            labels: meta.labels.into_iter().collect(),
            owners: meta
                .owner_references
                .into_iter()
                .map(|owner| owner.uid.into())
                .collect(),
            finalizers: !meta.finalizers.is_empty(),
            terminating: meta.deletion_timestamp.is_some(),
        })
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Object {
    api_version: Box<str>,
    metadata: Metadata,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    uid: Box<str>,
    #[serde(default)]
    namespace: Box<str>,
    name: Box<str>,
    #[serde(default)]
    labels: BTreeMap<Box<str>, Box<str>>,
    resource_version: String,
    #[serde(default)]
    owner_references: Vec<Owner>,
    #[serde(default)]
    finalizers: Vec<Box<str>>,
    deletion_timestamp: Option<Box<str>>,
}

#[derive(Deserialize)]
struct Owner {
    uid: Box<str>,
}

/// Where the member `managedFields` begins, and where what follows it begins.
pub(super) fn managers(json: &[u8]) -> Option<(usize, usize)> {
    let outer: Raw<'_> = serde_json::from_slice(json).ok()?;
    let list = outer.metadata.managed_fields?.get();
    // As this server writes it: without white space.
    let value = list.as_ptr().addr().checked_sub(json.as_ptr().addr())?;
    let end = value.checked_add(list.len())?;
    let start = value.checked_sub(MANAGERS.len())?;
    if json.get(start..value)? != MANAGERS.as_bytes() {
        return None;
    }
    match (json.get(end), start.checked_sub(1).and_then(|at| json.get(at))) {
        (Some(b','), _) => Some((start, end + 1)),
        (_, Some(b',')) => Some((start - 1, end)),
        _ => Some((start, end)),
    }
}

/// The key of the list of managers.
const MANAGERS: &str = "\"managedFields\":";

#[derive(Deserialize)]
struct Raw<'a> {
    #[serde(borrow)]
    metadata: RawMetadata<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawMetadata<'a> {
    #[serde(borrow)]
    managed_fields: Option<&'a RawValue>,
}

/// Whether valid JSON is nested no deeper than objects may be.
fn is_shallow(json: &[u8]) -> bool {
    let (mut depth, mut text, mut escaped) = (0_usize, false, false);
    for byte in json {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if text => escaped = true,
            b'"' => text = !text,
            b'{' | b'[' if !text => {
                depth += 1;
                if depth > DEEPEST {
                    return false;
                }
            }
            b'}' | b']' if !text => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn it_is_the_same_from_json_and_from_the_tree() {
        let plain = json!({"apiVersion": "v1", "kind": "Thing", "metadata": {"name": "a", "uid": "u",
            "resourceVersion": "7"}, "spec": {"text": "a \"quoted\" {[{[ \\"}});
        let mut full = plain.clone();
        full["metadata"]["ownerReferences"] = json!([{"uid": "x", "name": "o"}, {"uid": "y"}]);
        full["metadata"]["finalizers"] = json!(["f"]);
        full["metadata"]["labels"] = json!({"b": "2", "a": "1"});
        full["metadata"]["namespace"] = "ns".into();
        full["metadata"]["deletionTimestamp"] = "2026-11-29T00:00:00Z".into();
        for value in [plain, full] {
            let json = value.to_string();
            assert_eq!(Head::read(json.as_bytes(), 7), Some(Head::of(&value)), "{json}");
            assert_eq!(Head::read(json.as_bytes(), 8), None, "another version");
            assert_eq!(Head::read(&json.as_bytes()[..json.len() - 1], 7), None, "cut off");
        }
    }

    #[test]
    fn managers_are_left_out_wherever_they_stand() {
        let decoy = json!({"metadata": {"managedFields": [1]}, "text": "\"managedFields\":[2]"});
        for metadata in [
            json!({"managedFields": [{"a": "]}"}], "name": "a"}),
            json!({"annotations": {"x": "\"managedFields\":["}, "managedFields": []}),
            json!({"managedFields": [{}]}),
            json!({"name": "a"}),
            json!({}),
        ] {
            let object = json!({"apiVersion": "v1", "metadata": metadata, "spec": decoy});
            let json = object.to_string();
            let (start, end) = managers(json.as_bytes()).unwrap_or((0, 0));
            let left = [&json[..start], &json[end..]].concat();
            let left: Value = left.parse().unwrap();
            let mut expected = object.clone();
            expected["metadata"]
                .as_object_mut()
                .unwrap()
                .remove("managedFields");
            assert_eq!(left, expected, "{json}");
        }
    }

    #[test]
    fn what_is_nested_too_deeply_has_to_be_decoded() {
        let nested = |depth: usize| {
            let inner = format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
            format!(
                "{{\"apiVersion\":\"v1\",\"metadata\":{{\"name\":\"a\",\"uid\":\"u\",\"resourceVersion\":\"7\"}},\"a\":{inner}}}"
            )
        };
        assert!(Head::read(nested(DEEPEST - 1).as_bytes(), 7).is_some());
        assert!(Head::read(nested(DEEPEST).as_bytes(), 7).is_none());
    }
}
