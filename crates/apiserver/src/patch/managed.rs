//! `metadata.managedFields`: who owns which fields, for updates and for apply.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::fieldset::FieldSet;
use super::walk::{compare, fields_of};
use crate::meta::{Meta, set_meta, time};
use crate::schema::Schema;

/// What an operation is attributed to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operation {
    Apply,
    Update,
}

impl Operation {
    fn name(self) -> &'static str {
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

/// Reads the managers of an object.
pub(crate) fn read(object: &Value) -> Vec<Manager> {
    let list = object
        .meta()
        .and_then(|m| m.get("managedFields"))
        .and_then(Value::as_array);
    let text = |entry: &Value, key: &str| entry[key].as_str().unwrap_or("").to_owned();
    let managers = list.into_iter().flatten().map(|entry| Manager {
        name: text(entry, "manager"),
        operation: if entry["operation"] == "Apply" {
            Operation::Apply
        } else {
            Operation::Update
        },
        subresource: text(entry, "subresource"),
        api_version: text(entry, "apiVersion"),
        time: text(entry, "time"),
        fields: FieldSet::decode(&entry["fieldsV1"]),
    });
    managers.filter(|m| !m.fields.is_empty()).collect()
}

/// Writes the managers into an object.
pub(crate) fn write(object: &mut Value, managers: &[Manager]) {
    let entries: Vec<Value> = managers
        .iter()
        .filter(|m| !m.fields.is_empty())
        .map(|m| {
            let mut entry = json!({"manager": m.name, "operation": m.operation.name(), "apiVersion": m.api_version,
                "time": m.time, "fieldsType": "FieldsV1", "fieldsV1": m.fields.encode()});
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

/// The fields of an object that somebody can own.
pub(crate) fn ownable(schema: &Schema, object: &Value) -> FieldSet {
    let mut object = object.clone();
    set_meta(&mut object, "managedFields", None);
    fields_of(Some(schema), &object).minus(&owned_by_server())
}

/// Ownership after a create or update: what the writer changed is the writer's alone, what went is nobody's.
pub(crate) fn after_update(schema: &Schema, old: Option<&Value>, new: &mut Value, writer: Writer<'_>) {
    let reset = wants_reset(new);
    let mut managers = if reset {
        Vec::new()
    } else {
        old.map(read).unwrap_or_default()
    };
    let empty = json!({});
    let difference = compare(
        Some(schema),
        &without_managers(old.unwrap_or(&empty)),
        &without_managers(new),
    );
    let changed = difference.changed.minus(&owned_by_server());
    for manager in &mut managers {
        let lost = if writer.is(manager, Operation::Update) {
            difference.removed.clone()
        } else {
            changed.clone().union(&difference.removed)
        };
        manager.fields = manager.fields.minus(&lost);
    }
    if !reset && !changed.is_empty() {
        match managers.iter_mut().find(|m| writer.is(m, Operation::Update)) {
            Some(own) => {
                own.fields.add(&changed);
                own.time = time::stamp(writer.now);
            }
            None => managers.push(writer.manager(Operation::Update, changed)),
        }
    }
    write(new, &managers);
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
