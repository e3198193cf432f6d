//! What is known of an object without decoding it.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::extent::DEEPEST;
use crate::meta::Meta;

/// Beside the JSON of each object in memory.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Head {
    texts: Texts,
    labels: usize,
    pub(super) finalizers: bool,
    pub(super) terminating: bool,
}

/// Where texts of the same meaning stand; labels and owners follow.
const NAMESPACE: usize = 0;
const NAME: usize = 1;
const UID: usize = 2;
const API_VERSION: usize = 3;
const LABELS: usize = 4;

impl Head {
    pub(super) fn of(value: &Value) -> Head {
        let owners = value.owners();
        let labels = value.meta().and_then(|meta| meta.get("labels")?.as_object());
        let labels = labels.into_iter().flatten();
        let labels = labels.filter_map(|(key, value)| Some((key.as_str(), value.as_str()?)));
        let uids = owners.iter().filter_map(|owner| owner.get("uid")?.as_str());
        let api_version = value["apiVersion"].as_str().unwrap_or_default();
        let first = [value.namespace(), value.name(), value.uid(), api_version];
        Head {
            finalizers: !value.finalizers().is_empty(),
            terminating: value.is_terminating(),
            ..Head::with(first, labels, uids)
        }
    }

    /// Reads it from JSON that carries this version; none where anything is not as this server writes it.
    pub(super) fn read(json: &[u8], version: u64) -> Option<Head> {
        let read: Object<'_> = serde_json::from_slice(json).ok().filter(|_| is_shallow(json))?;
        let meta = &read.metadata;
        let first = [&meta.namespace, &meta.name, &meta.uid, &read.api_version].map(|text| &**text);
        let labels = meta.labels.iter().map(|(key, value)| (&**key, &**value));
        let owners = meta.owner_references.iter().map(|owner| &*owner.uid);
        (meta.resource_version == version.to_string()).then(|| Head {
            finalizers: !meta.finalizers.is_empty(),
            terminating: meta.deletion_timestamp.is_some(),
            ..Head::with(first, labels, owners)
        })
    }

    fn with<'a>(
        first: [&'a str; LABELS],
        labels: impl Iterator<Item = (&'a str, &'a str)>,
        owners: impl Iterator<Item = &'a str>,
    ) -> Head {
        let mut all = first.to_vec();
        all.extend(labels.flat_map(|(key, value)| [key, value]));
        let labels = (all.len() - LABELS) / 2;
        all.extend(owners);
        Head {
            texts: Texts::new(&all),
            labels,
            finalizers: false,
            terminating: false,
        }
    }

    pub(super) fn namespace(&self) -> &str {
        self.texts.get(NAMESPACE)
    }

    pub(super) fn name(&self) -> &str {
        self.texts.get(NAME)
    }

    pub(super) fn uid(&self) -> &str {
        self.texts.get(UID)
    }

    pub(super) fn api_version(&self) -> &str {
        self.texts.get(API_VERSION)
    }

    pub(super) fn labels(&self) -> impl Iterator<Item = (&str, &str)> {
        let mut texts = self.texts.iter().skip(LABELS);
        std::iter::from_fn(move || Some((texts.next()?, texts.next()?))).take(self.labels)
    }

    /// Uids of the owners.
    pub(super) fn owners(&self) -> impl Iterator<Item = &str> {
        self.texts.iter().skip(LABELS + 2 * self.labels)
    }
}

/// Texts one behind the other, each behind its length: most are so short that memory of its own would double what each of
/// them takes, and there are many objects.
#[derive(Debug, PartialEq, Eq)]
struct Texts(Box<[u8]>);

impl Texts {
    fn new(texts: &[&str]) -> Texts {
        let bytes = texts.iter().map(|text| text.len() + size_of::<u32>()).sum();
        let mut all = Vec::with_capacity(bytes);
        for text in texts {
            // An object has far fewer bytes.
            let length = u32::try_from(text.len()).unwrap_or_default();
            all.extend_from_slice(&length.to_le_bytes());
            all.extend_from_slice(text.as_bytes());
        }
        Texts(all.into())
    }

    fn iter(&self) -> impl Iterator<Item = &str> {
        let mut rest = &*self.0;
        std::iter::from_fn(move || {
            let (length, behind) = rest.split_first_chunk()?;
            let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
            let (text, behind) = behind.split_at_checked(length)?;
            rest = behind;
            std::str::from_utf8(text).ok()
        })
    }

    fn get(&self, at: usize) -> &str {
        self.iter().nth(at).unwrap_or_default()
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Object<'a> {
    #[serde(borrow)]
    api_version: Cow<'a, str>,
    #[serde(borrow)]
    metadata: Metadata<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata<'a> {
    #[serde(borrow)]
    uid: Cow<'a, str>,
    #[serde(borrow, default)]
    namespace: Cow<'a, str>,
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(default)]
    labels: BTreeMap<Box<str>, Box<str>>,
    #[serde(borrow)]
    resource_version: Cow<'a, str>,
    #[serde(borrow, default)]
    owner_references: Vec<Owner<'a>>,
    #[serde(default)]
    finalizers: Vec<Box<str>>,
    deletion_timestamp: Option<Box<str>>,
}

#[derive(Deserialize)]
struct Owner<'a> {
    #[serde(borrow)]
    uid: Cow<'a, str>,
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
