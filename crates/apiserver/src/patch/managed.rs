//! `metadata.managedFields`: who owns which fields, for updates and for apply.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde_json::{Value, json};

use super::compare::compare;
use super::fieldset::FieldSet;
use super::walk::fields_of;
use crate::meta::{Meta, set_meta, time};
use crate::schema::Schema;

/// Managers by update at most; the oldest beyond them become one.
const MOST_UPDATERS: usize = 10;
/// The manager that gets the fields of the oldest updates.
const ANCIENT: &str = "ancient-changes";

/// What an operation is attributed to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Operation {
    Apply,
    Update,
}

impl Operation {
    fn parse(text: &str) -> Option<Operation> {
        match text {
            "Apply" => Some(Operation::Apply),
            "Update" => Some(Operation::Update),
            _ => None,
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Operation::Apply => "Apply",
            Operation::Update => "Update",
        }
    }
}

/// One writer of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Manager {
    pub(crate) name: String,
    pub(crate) operation: Operation,
    pub(crate) subresource: String,
    pub(crate) api_version: String,
    pub(crate) time: String,
    pub(crate) fields: FieldSet,
}

/// Who writes now, and through which endpoint.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Writer<'a> {
    pub(crate) manager: &'a str,
    pub(crate) api_version: &'a str,
    pub(crate) subresource: &'a str,
    /// Whether status has an endpoint of its own, so that nobody owns it through the main one.
    pub(crate) status_apart: bool,
    pub(crate) now: Timestamp,
}

impl Writer<'_> {
    pub(crate) fn manager(&self, operation: Operation, fields: FieldSet) -> Manager {
        Manager {
            name: self.manager.to_owned(),
            operation,
            subresource: self.subresource.to_owned(),
            api_version: self.api_version.to_owned(),
            time: time::stamp(self.now),
            fields,
        }
    }

    pub(crate) fn is(&self, manager: &Manager, operation: Operation) -> bool {
        manager.name == self.manager
            && manager.operation == operation
            && manager.subresource == self.subresource
            // Apply follows its manager over versions, as conversion here never changes fields.
            && (operation == Operation::Apply || manager.api_version == self.api_version)
    }
}

/// The managers of an object; none when they cannot be read.
pub(crate) fn read(object: &Value) -> Vec<Manager> {
    decode(object).unwrap_or_default()
}

/// The managers of an object, or none when one entry is not as the API writes it.
fn decode(object: &Value) -> Option<Vec<Manager>> {
    let list = object
        .meta()
        .and_then(|m| m.get("managedFields"))
        .and_then(Value::as_array);
    let text = |entry: &Value, key: &str| entry[key].as_str().unwrap_or("").to_owned();
    let manager = |entry: &Value| -> Option<Manager> {
        let known = entry["fieldsType"] == "FieldsV1" && !text(entry, "apiVersion").is_empty();
        known.then_some(Manager {
            name: text(entry, "manager"),
            operation: Operation::parse(entry["operation"].as_str()?)?,
            subresource: text(entry, "subresource"),
            api_version: text(entry, "apiVersion"),
            time: text(entry, "time"),
            fields: FieldSet::decode(&entry["fieldsV1"]),
        })
    };
    list.into_iter().flatten().map(manager).collect()
}

/// Writes the managers into an object.
pub(crate) fn write(object: &mut Value, mut managers: Vec<Manager>) {
    managers.sort_by(|a, b| {
        let key = |m: &Manager| (m.operation, m.time.clone());
        let names = |m: &Manager| (m.name.clone(), m.api_version.clone(), m.subresource.clone());
        (key(a), names(a)).cmp(&(key(b), names(b)))
    });
    let entries: Vec<Value> = managers
        .iter()
        .filter(|m| !m.fields.is_empty())
        .map(|m| {
            let mut entry = json!({"manager": m.name, "operation": m.operation.name(), "apiVersion": m.api_version,
                "fieldsType": "FieldsV1", "fieldsV1": m.fields.encode()});
            if !m.time.is_empty() {
                entry["time"] = m.time.clone().into();
            }
            if !m.subresource.is_empty() {
                entry["subresource"] = m.subresource.clone().into();
            }
            entry
        })
        .collect();
    let value = (!entries.is_empty()).then_some(Value::Array(entries));
    set_meta(object, "managedFields", value);
}

/// Fields that belong to the server and to nobody's set.
pub(crate) fn owned_by_server() -> FieldSet {
    FieldSet::of_paths(&[
        &["apiVersion"],
        &["kind"],
        &["metadata"],
        &["metadata", "name"],
        &["metadata", "namespace"],
        &["metadata", "creationTimestamp"],
        &["metadata", "selfLink"],
        &["metadata", "uid"],
        &["metadata", "generation"],
        &["metadata", "managedFields"],
        &["metadata", "resourceVersion"],
        &["metadata", "deletionTimestamp"],
        &["metadata", "deletionGracePeriodSeconds"],
    ])
}

/// The fields that a configuration names.
pub(crate) fn fields(schema: &Schema, object: &Value) -> FieldSet {
    fields_of(Some(schema), &without_managers(object))
}

/// Ownership after a create or update: what the writer changed is the writer's alone, what went is nobody's.
///
/// The owners before are those that the request names, for a client that moves fields from one manager to another,
/// else those of the stored object. An object without owners gets none by an update.
pub(crate) fn after_update(schema: &Schema, old: Option<&Value>, new: &mut Value, writer: Writer<'_>) {
    let mut managers = owners_before(old, new, writer.subresource);
    if managers.is_empty() && old.is_some() {
        return write(new, managers);
    }
    let empty = json!({});
    let difference = compare(
        Some(schema),
        &without_managers(old.unwrap_or(&empty)),
        &without_managers(new),
    );
    for manager in &mut managers {
        manager.fields = manager
            .fields
            .minus(&difference.changed)
            .minus(&difference.removed);
    }
    let own = difference.changed.minus(&owned_by_server());
    if !own.is_empty() {
        match managers.iter_mut().find(|m| writer.is(m, Operation::Update)) {
            Some(known) => {
                known.fields.add(&own);
                known.time = time::stamp(writer.now);
            }
            None => managers.push(writer.manager(Operation::Update, own)),
        }
    }
    managers.retain(|m| !m.fields.is_empty());
    write(new, merge_oldest(managers));
}

fn owners_before(old: Option<&Value>, new: &Value, subresource: &str) -> Vec<Manager> {
    let given = match subresource {
        "" if wants_reset(new) => return Vec::new(),
        "" => read(new),
        // A subresource does not move ownership.
        _ => Vec::new(),
    };
    if given.is_empty() {
        old.map(read).unwrap_or_default()
    } else {
        given
    }
}

/// Merges the oldest updaters of each version into one while there are too many.
fn merge_oldest(mut managers: Vec<Manager>) -> Vec<Manager> {
    let mut updaters: Vec<usize> = (0..managers.len())
        .filter(|at| managers[*at].operation == Operation::Update)
        .collect();
    updaters.sort_by_key(|at| (managers[*at].time.clone(), managers[*at].name.clone()));
    let mut count = updaters.len();
    let mut buckets: BTreeMap<String, usize> = BTreeMap::new();
    let mut merged = BTreeSet::new();
    for at in updaters {
        if count <= MOST_UPDATERS {
            break;
        }
        match buckets.get(&managers[at].api_version) {
            None => {
                buckets.insert(managers[at].api_version.clone(), at);
            }
            Some(&first) => {
                let (fields, time) = (managers[at].fields.clone(), managers[at].time.clone());
                let bucket = &mut managers[first];
                bucket.fields.add(&fields);
                (bucket.name, bucket.subresource) = (ANCIENT.to_owned(), String::new());
                bucket.time = time;
                merged.insert(at);
                count -= 1;
            }
        }
    }
    let mut at = 0..;
    managers.retain(|_| at.next().is_none_or(|at| !merged.contains(&at)));
    managers
}

/// An update with an empty list of managers forgets all owners.
fn wants_reset(object: &Value) -> bool {
    match object
        .meta()
        .and_then(|m| m.get("managedFields"))
        .and_then(Value::as_array)
        .map(Vec::as_slice)
    {
        Some([]) => true,
        Some([only]) => only.as_object().is_some_and(serde_json::Map::is_empty),
        _ => false,
    }
}

pub(crate) fn without_managers(object: &Value) -> Value {
    let mut object = object.clone();
    set_meta(&mut object, "managedFields", None);
    object
}

#[cfg(test)]
mod tests {
    use super::*;

    fn writer<'a>(manager: &'a str, second: i64) -> Writer<'a> {
        Writer {
            manager,
            api_version: "x.y/v1",
            subresource: "",
            status_apart: false,
            now: Timestamp::from_second(second).unwrap(),
        }
    }

    fn owners(object: &Value) -> Vec<(String, Vec<String>)> {
        let managers = read(object).into_iter();
        managers.map(|m| (m.name, m.fields.paths())).collect()
    }

    #[test]
    fn updaters_are_capped_and_lose_no_field() {
        let schema = Schema::parse(
            &json!({"type": "object", "properties": {"spec": {"type": "object",
            "additionalProperties": {"type": "integer"}}}}),
        )
        .unwrap();
        let mut object = json!({"spec": {}});
        after_update(&schema, None, &mut object, writer("m00", 0));
        for i in 1..15 {
            let mut next = object.clone();
            next["spec"][format!("k{i:02}")] = i.into();
            after_update(&schema, Some(&object), &mut next, writer(&format!("m{i:02}"), i));
            object = next;
        }
        let owners = owners(&object);
        assert_eq!(owners.len(), 10, "{owners:?}");
        let ancient = owners.iter().find(|(name, _)| name == ANCIENT).unwrap();
        assert_eq!(
            ancient.1,
            [
                ".spec",
                ".spec.k01",
                ".spec.k02",
                ".spec.k03",
                ".spec.k04",
                ".spec.k05"
            ]
        );
        let all: usize = owners.iter().map(|(_, fields)| fields.len()).sum();
        assert_eq!(all, 15);
    }

    #[test]
    fn owners_in_a_request_count() {
        let schema = Schema::default();
        let mut live = json!({"data": {"a": "1", "b": "2"}});
        after_update(&schema, None, &mut live, writer("kubectl-client-side-apply", 0));
        let fields = live["metadata"]["managedFields"][0]["fieldsV1"].clone();
        let entry = json!({"manager": "kubectl", "operation": "Apply", "apiVersion": "x.y/v1",
            "fieldsType": "FieldsV1", "fieldsV1": fields});
        for (given, subresource, expected) in [
            (json!([entry]), "", "kubectl"),
            (json!([entry]), "status", "kubectl-client-side-apply"),
            (
                json!([{"manager": "kubectl", "operation": "Take"}]),
                "",
                "kubectl-client-side-apply",
            ),
            (json!(null), "", "kubectl-client-side-apply"),
        ] {
            let mut new = live.clone();
            new["metadata"]["managedFields"] = given.clone();
            let by = Writer {
                subresource,
                ..writer("kubectl", 1)
            };
            after_update(&schema, Some(&live), &mut new, by);
            assert_eq!(owners(&new)[0].0, expected, "{given} {subresource:?}");
        }
        // An empty list forgets all owners, and no later update makes new ones.
        let mut reset = live.clone();
        reset["metadata"]["managedFields"] = json!([]);
        after_update(&schema, Some(&live), &mut reset, writer("kubectl", 1));
        assert_eq!(owners(&reset), []);
        let mut later = reset.clone();
        later["data"]["a"] = json!("3");
        after_update(&schema, Some(&reset), &mut later, writer("kubectl", 2));
        assert_eq!(owners(&later), []);
    }
}
