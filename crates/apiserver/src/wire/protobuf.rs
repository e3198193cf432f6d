//! Protobuf request bodies of the built-in kinds, as kubectl's typed commands and client-go send them. Pure.
//!
//! The envelope is `k8s\0` and a `runtime.Unknown`; the message inside is turned into JSON by the field tables
//! below, whose numbers are those of the published `generated.proto` files. Answers are always JSON, which every
//! such client accepts. Unknown fields are skipped, unknown kinds refused.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use crate::meta::as_map;

/// Media type of these bodies.
pub(crate) const MEDIA: &str = "application/vnd.kubernetes.protobuf";

const MAGIC: &[u8] = b"k8s\0";

#[derive(Clone, Copy)]
enum Shape {
    Text,
    Bytes,
    Int,
    Bool,
    Time,
    MicroTime,
    TextMap,
    BytesMap,
    Message(Fields),
}

/// Number, JSON name, shape, repeated.
type Fields = &'static [(u64, &'static str, Shape, bool)];

use Shape::{Bool, BytesMap, Int, Message, MicroTime, Text, TextMap, Time};

const OWNER: Fields = &[
    (1, "kind", Text, false),
    (3, "name", Text, false),
    (4, "uid", Text, false),
    (5, "apiVersion", Text, false),
    (6, "controller", Bool, false),
    (7, "blockOwnerDeletion", Bool, false),
];
const META: Fields = &[
    (1, "name", Text, false),
    (2, "generateName", Text, false),
    (3, "namespace", Text, false),
    (5, "uid", Text, false),
    (6, "resourceVersion", Text, false),
    (7, "generation", Int, false),
    (8, "creationTimestamp", Time, false),
    (9, "deletionTimestamp", Time, false),
    (11, "labels", TextMap, false),
    (12, "annotations", TextMap, false),
    (13, "ownerReferences", Message(OWNER), true),
    (14, "finalizers", Text, true),
];
const NAMESPACE: Fields = &[
    (1, "metadata", Message(META), false),
    (2, "spec", Message(&[(1, "finalizers", Text, true)]), false),
];
const SECRET: Fields = &[
    (1, "metadata", Message(META), false),
    (2, "data", BytesMap, false),
    (3, "type", Text, false),
    (4, "stringData", TextMap, false),
    (5, "immutable", Bool, false),
];
const CONFIG_MAP: Fields = &[
    (1, "metadata", Message(META), false),
    (2, "data", TextMap, false),
    (3, "binaryData", BytesMap, false),
    (4, "immutable", Bool, false),
];
const LEASE_SPEC: Fields = &[
    (1, "holderIdentity", Text, false),
    (2, "leaseDurationSeconds", Int, false),
    (3, "acquireTime", MicroTime, false),
    (4, "renewTime", MicroTime, false),
    (5, "leaseTransitions", Int, false),
    (6, "strategy", Text, false),
    (7, "preferredHolder", Text, false),
];
const LEASE: Fields = &[
    (1, "metadata", Message(META), false),
    (2, "spec", Message(LEASE_SPEC), false),
];
const REFERENCE: Fields = &[
    (1, "kind", Text, false),
    (2, "namespace", Text, false),
    (3, "name", Text, false),
    (4, "uid", Text, false),
    (5, "apiVersion", Text, false),
    (6, "resourceVersion", Text, false),
    (7, "fieldPath", Text, false),
];
const SOURCE: Fields = &[(1, "component", Text, false), (2, "host", Text, false)];
const SERIES: Fields = &[
    (1, "count", Int, false),
    (2, "lastObservedTime", MicroTime, false),
];
const EVENT: Fields = &[
    (1, "metadata", Message(META), false),
    (2, "involvedObject", Message(REFERENCE), false),
    (3, "reason", Text, false),
    (4, "message", Text, false),
    (5, "source", Message(SOURCE), false),
    (6, "firstTimestamp", Time, false),
    (7, "lastTimestamp", Time, false),
    (8, "count", Int, false),
    (9, "type", Text, false),
    (10, "eventTime", MicroTime, false),
    (11, "series", Message(SERIES), false),
    (12, "action", Text, false),
    (13, "related", Message(REFERENCE), false),
    (14, "reportingComponent", Text, false),
    (15, "reportingInstance", Text, false),
];
const NEW_EVENT: Fields = &[
    (1, "metadata", Message(META), false),
    (2, "eventTime", MicroTime, false),
    (3, "series", Message(SERIES), false),
    (4, "reportingController", Text, false),
    (5, "reportingInstance", Text, false),
    (6, "action", Text, false),
    (7, "reason", Text, false),
    (8, "regarding", Message(REFERENCE), false),
    (9, "related", Message(REFERENCE), false),
    (10, "note", Text, false),
    (11, "type", Text, false),
    (12, "deprecatedSource", Message(SOURCE), false),
    (13, "deprecatedFirstTimestamp", Time, false),
    (14, "deprecatedLastTimestamp", Time, false),
    (15, "deprecatedCount", Int, false),
];
const ATTRIBUTES: Fields = &[
    (1, "namespace", Text, false),
    (2, "verb", Text, false),
    (3, "group", Text, false),
    (4, "version", Text, false),
    (5, "resource", Text, false),
    (6, "subresource", Text, false),
    (7, "name", Text, false),
];
const ACCESS: Fields = &[
    (1, "metadata", Message(META), false),
    (
        2,
        "spec",
        Message(&[(1, "resourceAttributes", Message(ATTRIBUTES), false)]),
        false,
    ),
];
const REVIEW: Fields = &[(1, "metadata", Message(META), false)];
const CONDITIONS: Fields = &[(1, "uid", Text, false), (2, "resourceVersion", Text, false)];
const DELETE: Fields = &[
    (1, "gracePeriodSeconds", Int, false),
    (2, "preconditions", Message(CONDITIONS), false),
    (3, "orphanDependents", Bool, false),
    (4, "propagationPolicy", Text, false),
    (5, "dryRun", Text, true),
];

fn fields_of(api_version: &str, kind: &str) -> Option<Fields> {
    Some(match (api_version, kind) {
        (_, "DeleteOptions") => DELETE,
        ("v1", "Namespace") => NAMESPACE,
        ("v1", "Secret") => SECRET,
        ("v1", "ConfigMap") => CONFIG_MAP,
        ("v1", "Event") => EVENT,
        ("events.k8s.io/v1", "Event") => NEW_EVENT,
        ("coordination.k8s.io/v1", "Lease") => LEASE,
        ("authorization.k8s.io/v1", "SelfSubjectAccessReview") => ACCESS,
        ("authentication.k8s.io/v1", "SelfSubjectReview") => REVIEW,
        _ => return None,
    })
}

/// Why a body cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fault {
    Malformed,
    UnknownKind(String),
}

/// Decodes an enveloped message.
pub(crate) fn decode(bytes: &[u8]) -> Result<Value, Fault> {
    const TYPE: Fields = &[(1, "apiVersion", Text, false), (2, "kind", Text, false)];
    const UNKNOWN: Fields = &[(1, "type", Message(TYPE), false), (2, "raw", Shape::Bytes, false)];
    let envelope = bytes.strip_prefix(MAGIC).ok_or(Fault::Malformed)?;
    let envelope = message(envelope, UNKNOWN, 0).ok_or(Fault::Malformed)?;
    let text = |key: &str| envelope["type"][key].as_str().unwrap_or("");
    let fields = fields_of(text("apiVersion"), text("kind"))
        .ok_or_else(|| Fault::UnknownKind(format!("{} {}", text("apiVersion"), text("kind"))))?;
    let raw = STANDARD
        .decode(envelope["raw"].as_str().unwrap_or(""))
        .map_err(|_| Fault::Malformed)?;
    let mut object = message(&raw, fields, 0).ok_or(Fault::Malformed)?;
    if text("kind") != "DeleteOptions" {
        for key in ["apiVersion", "kind"] {
            as_map(&mut object).insert(key.to_owned(), text(key).into());
        }
    }
    Ok(object)
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let (first, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(first & 0x7f).checked_shl(shift)?;
        if first & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

enum Wire<'b> {
    Number(u64),
    Slice(&'b [u8]),
}

/// The next field: its number and content.
fn next<'b>(bytes: &mut &'b [u8]) -> Option<(u64, Wire<'b>)> {
    let key = varint(bytes)?;
    let content = match key & 7 {
        0 => Wire::Number(varint(bytes)?),
        1 => Wire::Slice(take(bytes, 8)?),
        2 => {
            let length = usize::try_from(varint(bytes)?).ok()?;
            Wire::Slice(take(bytes, length)?)
        }
        5 => Wire::Slice(take(bytes, 4)?),
        _ => return None,
    };
    Some((key >> 3, content))
}

fn take<'b>(bytes: &mut &'b [u8], length: usize) -> Option<&'b [u8]> {
    let (head, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    Some(head)
}

fn message(mut bytes: &[u8], fields: Fields, depth: usize) -> Option<Value> {
    if depth > 8 {
        return None;
    }
    let mut object = Map::new();
    while !bytes.is_empty() {
        let (number, content) = next(&mut bytes)?;
        let Some((_, name, shape, repeated)) = fields.iter().find(|f| f.0 == number) else {
            continue;
        };
        if let (TextMap | BytesMap, Wire::Slice(slice)) = (shape, &content) {
            let (key, value) = entry(slice, matches!(shape, BytesMap))?;
            as_map(object.entry(*name).or_insert_with(|| json!({}))).insert(key, value);
            continue;
        }
        let value = value(*shape, content, depth)?;
        if *repeated {
            if let Value::Array(list) = object.entry(*name).or_insert_with(|| json!([])) {
                list.push(value);
            }
        } else if !is_unset(&value, *shape) {
            object.insert((*name).to_owned(), value);
        }
    }
    Some(Value::Object(object))
}

/// The Go encoder writes empty texts and zero times of fields that were never set.
fn is_unset(value: &Value, shape: Shape) -> bool {
    match shape {
        Text => value == "",
        Time | MicroTime => value.is_null(),
        _ => false,
    }
}

fn value(shape: Shape, content: Wire<'_>, depth: usize) -> Option<Value> {
    Some(match (shape, content) {
        (Text, Wire::Slice(slice)) => std::str::from_utf8(slice).ok()?.into(),
        (Shape::Bytes, Wire::Slice(slice)) => STANDARD.encode(slice).into(),
        (Int, Wire::Number(number)) => number.cast_signed().into(),
        (Bool, Wire::Number(number)) => (number != 0).into(),
        (Time, Wire::Slice(slice)) => time(slice, false)?,
        (MicroTime, Wire::Slice(slice)) => time(slice, true)?,
        (Message(fields), Wire::Slice(slice)) => message(slice, fields, depth.saturating_add(1))?,
        _ => return None,
    })
}

fn time(slice: &[u8], micro: bool) -> Option<Value> {
    const PARTS: Fields = &[(1, "seconds", Int, false), (2, "nanos", Int, false)];
    let parts = message(slice, PARTS, 0)?;
    let (seconds, nanos) = (
        parts["seconds"].as_i64().unwrap_or(0),
        parts["nanos"].as_i64().unwrap_or(0),
    );
    if parts.as_object().is_none_or(Map::is_empty) || seconds < -60_000_000_000 {
        return Some(Value::Null);
    }
    let stamp = jiff::Timestamp::new(seconds, i32::try_from(nanos).ok()?).ok()?;
    let format = if micro {
        "%Y-%m-%dT%H:%M:%S.%6fZ"
    } else {
        "%Y-%m-%dT%H:%M:%SZ"
    };
    Some(stamp.strftime(format).to_string().into())
}

fn entry(mut slice: &[u8], bytes: bool) -> Option<(String, Value)> {
    let (mut key, mut value): (&[u8], &[u8]) = (&[], &[]);
    while !slice.is_empty() {
        match next(&mut slice)? {
            (1, Wire::Slice(part)) => key = part,
            (2, Wire::Slice(part)) => value = part,
            _ => {}
        }
    }
    let key = std::str::from_utf8(key).ok()?.to_owned();
    let value = if bytes {
        STANDARD.encode(value)
    } else {
        std::str::from_utf8(value).ok()?.to_owned()
    };
    Some((key, value.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(number: u8, content: &[u8]) -> Vec<u8> {
        let mut out = vec![number << 3 | 2, u8::try_from(content.len()).unwrap()];
        out.extend_from_slice(content);
        out
    }

    fn enveloped(kind: &str, raw: &[u8]) -> Vec<u8> {
        let types = [field(1, b"v1"), field(2, kind.as_bytes())].concat();
        [MAGIC.to_vec(), field(1, &types), field(2, raw)].concat()
    }

    #[test]
    fn a_secret_becomes_json() {
        let meta = [
            field(1, b"s"),
            field(3, b""),
            field(11, &[field(1, b"a"), field(2, b"b")].concat()),
        ]
        .concat();
        let data = [field(1, b"k"), field(2, b"v")].concat();
        let raw = [
            field(1, &meta),
            field(2, &data),
            field(3, b"Opaque"),
            vec![5 << 3, 1],
        ]
        .concat();
        assert_eq!(
            decode(&enveloped("Secret", &raw)).unwrap(),
            json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s", "labels": {"a": "b"}},
                "data": {"k": "dg=="}, "type": "Opaque", "immutable": true})
        );
    }

    #[test]
    fn hostile_bytes_are_refused() {
        assert_eq!(decode(b"{}"), Err(Fault::Malformed));
        assert_eq!(
            decode(&enveloped("Pod", &[])),
            Err(Fault::UnknownKind("v1 Pod".into()))
        );
        let sound = enveloped("Secret", &field(1, &field(1, b"s")));
        for cut in 0..sound.len() {
            // Must not panic; most cuts are malformed, some only lose a field.
            let _ = decode(&sound[..cut]);
        }
        assert_eq!(
            decode(&enveloped("Secret", &[0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f])),
            Err(Fault::Malformed)
        );
        assert_eq!(decode(&enveloped("Secret", &[0xff; 11])), Err(Fault::Malformed));
    }
}
