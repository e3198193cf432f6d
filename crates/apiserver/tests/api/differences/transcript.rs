//! What a case saw, without what no two servers have in common, and how two of them differ.

use std::collections::BTreeSet;
use std::fmt;

use serde_json::{Map, Value, json};

/// Steps with what was seen at each, in order.
#[derive(Debug, Default)]
pub(super) struct Transcript(Vec<(String, Value)>);

impl Transcript {
    pub(super) fn note(&mut self, step: impl Into<String>, seen: impl Into<Value>) {
        self.0.push((step.into(), seen.into()));
    }
}

/// One value that is not the same.
#[derive(Debug, Clone)]
pub(super) struct Difference {
    /// `case/step/pointer`.
    pub(super) at: String,
    pub(super) real: Value,
    pub(super) ours: Value,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: Kubernetes {}, Gantry {}", self.at, self.real, self.ours)
    }
}

/// All differences of two runs of a case.
pub(super) fn differences(case: &str, real: &Transcript, ours: &Transcript) -> Vec<Difference> {
    let mut found = Vec::new();
    let steps = |transcript: &Transcript| -> Value {
        transcript
            .0
            .iter()
            .map(|(step, _)| Value::from(step.as_str()))
            .collect()
    };
    compare(&format!("{case}/steps"), &steps(real), &steps(ours), &mut found);
    if found.is_empty() {
        for ((step, real), (_, ours)) in real.0.iter().zip(&ours.0) {
            compare(&format!("{case}/{step}"), real, ours, &mut found);
        }
    }
    found
}

pub(super) fn compare(at: &str, real: &Value, ours: &Value, found: &mut Vec<Difference>) {
    match (real, ours) {
        (Value::Object(a), Value::Object(b)) => {
            let keys: BTreeSet<&String> = a.keys().chain(b.keys()).collect();
            for key in keys {
                compare(
                    &format!("{at}/{key}"),
                    &real[key.as_str()],
                    &ours[key.as_str()],
                    found,
                );
            }
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            for (i, (a, b)) in a.iter().zip(b).enumerate() {
                compare(&format!("{at}/{i}"), a, b, found);
            }
        }
        (a, b) if a == b => {}
        (a, b) => found.push(Difference {
            at: at.to_owned(),
            real: a.clone(),
            ours: b.clone(),
        }),
    }
}

/// An answer: of a `Status` code, reason and causes; of an object what a user may rely on.
pub(super) fn answer(code: u16, body: &Value) -> Value {
    match body["kind"].as_str() {
        Some("Status") => status(code, body),
        Some(kind) if kind.ends_with("List") && body["items"].is_array() => {
            let items = body["items"].as_array().into_iter().flatten();
            json!({"code": code, "apiVersion": body["apiVersion"], "kind": kind, "items": items.map(object).collect::<Vec<_>>()})
        }
        _ => json!({"code": code, "object": object(body)}),
    }
}

fn status(code: u16, body: &Value) -> Value {
    let causes = body["details"]["causes"].as_array().into_iter().flatten();
    let mut causes: Vec<Value> = causes
        .map(|cause| json!({"reason": cause["reason"], "field": cause["field"]}))
        .collect();
    causes.sort_by_key(Value::to_string);
    causes.dedup();
    json!({"code": code, "status": body["status"], "reason": body["reason"], "causes": causes})
}

/// An object without uids, versions, times and field ownership.
pub(super) fn object(object: &Value) -> Value {
    let mut object = object.clone();
    if let Some(Value::Object(meta)) = object.get_mut("metadata") {
        for field in [
            "uid",
            "resourceVersion",
            "creationTimestamp",
            "managedFields",
            "selfLink",
        ] {
            meta.remove(field);
        }
        if let Some(time) = meta.get_mut("deletionTimestamp") {
            *time = "set".into();
        }
        let owners = meta.get_mut("ownerReferences").and_then(Value::as_array_mut);
        for owner in owners.into_iter().flatten().filter_map(Value::as_object_mut) {
            owner.remove("uid");
        }
    }
    let conditions = object
        .pointer_mut("/status/conditions")
        .and_then(Value::as_array_mut);
    for condition in conditions.into_iter().flatten().filter_map(Value::as_object_mut) {
        condition.remove("lastTransitionTime");
    }
    object
}

/// Conditions by type, so that their order does not count.
pub(super) fn conditions(object: &Value) -> Value {
    let list = object["status"]["conditions"].as_array().into_iter().flatten();
    let map: Map<String, Value> = list
        .map(|c| {
            let kind = c["type"].as_str().unwrap_or_default().to_owned();
            (
                kind,
                json!({"status": c["status"], "reason": c["reason"], "message": c["message"]}),
            )
        })
        .collect();
    Value::Object(map)
}

#[test]
fn differences_have_their_place() {
    let one = |value: Value| Transcript(vec![("step".to_owned(), value)]);
    let real = one(json!({"code": 200, "items": [1, 2], "a": {"b": 1}}));
    let ours = one(json!({"code": 404, "items": [1, 3], "a": {}}));
    let found = differences("case", &real, &ours);
    let places: Vec<&str> = found.iter().map(|d| d.at.as_str()).collect();
    assert_eq!(places, ["case/step/a/b", "case/step/code", "case/step/items/1"]);
    assert!(differences("case", &real, &real).is_empty());
    let longer = Transcript(vec![("other".to_owned(), json!(1))]);
    assert_eq!(differences("case", &real, &longer)[0].at, "case/steps/0");
}
