//! Server-side apply: merge by schema, ownership, conflicts, removal of what a manager no longer names.

use serde_json::{Value, json};

use super::fieldset::FieldSet;
use super::managed::{self, Manager, Operation, Writer};
use super::walk;
use crate::meta::{Meta, set_meta};
use crate::schema::Schema;
use crate::status::ApiError;

/// The manager that gets what was there before anybody was recorded.
const BEFORE: &str = "before-first-apply";

/// Applies `config` to `live` (none: the object is made). `force` takes fields from their owners.
pub(crate) fn apply(
    schema: &Schema,
    live: Option<&Value>,
    config: &Value,
    writer: Writer<'_>,
    force: bool,
) -> Result<Value, ApiError> {
    if config
        .meta()
        .is_some_and(|m| m.get("managedFields").is_some_and(|f| !f.is_null()))
    {
        return Err(ApiError::bad_request("metadata.managedFields must be nil"));
    }
    let empty = json!({});
    let base = managed::without_managers(live.unwrap_or(&empty));
    let mut managers = live.map(managed::read).unwrap_or_default();
    let wanted = in_scope(managed::ownable(schema, config), writer.subresource);
    if let Some(live) = live
        && managers.is_empty()
        && !wanted.is_empty()
    {
        let fields = managed::ownable(schema, live);
        let before = Writer {
            manager: BEFORE,
            subresource: "",
            ..writer
        };
        managers.push(before.manager(Operation::Update, fields));
    }
    let mut merged = walk::merge(Some(schema), &base, config);
    let last = take_own(&mut managers, writer);
    if let Some(last) = &last {
        drop_abandoned(schema, &mut merged, last, &wanted, &managers);
    }
    let difference = walk::compare(Some(schema), &base, &merged);
    let changed = difference.changed.minus(&managed::owned_by_server());
    if !force {
        let conflicts = conflicts(&managers, &changed);
        if !conflicts.is_empty() {
            return Err(ApiError::apply_conflict(&conflicts));
        }
    }
    for manager in &mut managers {
        manager.fields = manager.fields.minus(&changed).minus(&difference.removed);
    }
    let mut own = writer.manager(Operation::Apply, wanted);
    if let Some(last) = last.filter(|last| last.fields == own.fields && changed.is_empty()) {
        own.time = last.time;
    }
    managers.push(own);
    managers.sort_by(|a, b| {
        let key = |m: &Manager| {
            (
                m.operation == Operation::Update,
                m.name.clone(),
                m.subresource.clone(),
            )
        };
        key(a).cmp(&key(b))
    });
    set_meta(&mut merged, "managedFields", None);
    managed::write(&mut merged, &managers);
    Ok(merged)
}

/// The main endpoint cannot own status, the status endpoint nothing else.
fn in_scope(fields: FieldSet, subresource: &str) -> FieldSet {
    if subresource == "status" {
        fields.only_field("status")
    } else {
        fields
    }
}

fn take_own(managers: &mut Vec<Manager>, writer: Writer<'_>) -> Option<Manager> {
    let at = managers.iter().position(|m| writer.is(m, Operation::Apply))?;
    Some(managers.remove(at))
}

fn drop_abandoned(
    schema: &Schema,
    merged: &mut Value,
    last: &Manager,
    wanted: &FieldSet,
    others: &[Manager],
) {
    let gone = last.fields.minus(wanted);
    let kept = others
        .iter()
        .fold(wanted.clone(), |kept, other| kept.union(&other.fields));
    walk::remove(Some(schema), merged, &gone, &kept);
}

fn conflicts(others: &[Manager], changed: &FieldSet) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for other in others {
        let label = match other.operation {
            Operation::Apply => format!("{:?}", other.name),
            Operation::Update if other.subresource.is_empty() => {
                format!("{:?} using {}", other.name, other.api_version)
            }
            Operation::Update => {
                format!(
                    "{:?} with subresource {:?} using {}",
                    other.name, other.subresource, other.api_version
                )
            }
        };
        let fields = other.fields.intersection(changed);
        found.extend(fields.paths().into_iter().map(|field| (label.clone(), field)));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::Timestamp;

    fn schema() -> Schema {
        Schema::parse(&json!({"type": "object", "properties": {
            "metadata": {"type": "object", "properties": {"labels": {"type": "object", "additionalProperties": {"type": "string"}}}},
            "spec": {"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "integer"},
                "l": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["n"],
                    "items": {"type": "object", "properties": {"n": {"type": "string"}, "v": {"type": "integer"}}}}}}
        }}))
        .unwrap()
    }

    fn writer(manager: &str) -> Writer<'_> {
        Writer {
            manager,
            api_version: "x.y/v1",
            subresource: "",
            now: Timestamp::UNIX_EPOCH,
        }
    }

    fn spec(value: Value) -> Value {
        json!({"apiVersion": "x.y/v1", "kind": "T", "metadata": {"name": "n"}, "spec": value})
    }

    #[test]
    fn two_managers_share_and_conflict() {
        let schema = schema();
        let one = apply(
            &schema,
            None,
            &spec(json!({"a": 1, "b": 1})),
            writer("one"),
            false,
        )
        .unwrap();
        // The same value is shared, no conflict.
        let both = apply(&schema, Some(&one), &spec(json!({"a": 1})), writer("two"), false).unwrap();
        let error = apply(&schema, Some(&both), &spec(json!({"a": 2})), writer("two"), false).unwrap_err();
        assert_eq!(
            error.message,
            "Apply failed with 1 conflict: conflict with \"one\": .spec.a"
        );
        assert_eq!(error.code, 409);
        let forced = apply(&schema, Some(&both), &spec(json!({"a": 2})), writer("two"), true).unwrap();
        assert_eq!(forced["spec"], json!({"a": 2, "b": 1}));
        // One no longer owns a: dropping it from its configuration leaves it.
        let after = apply(
            &schema,
            Some(&forced),
            &spec(json!({"b": 1})),
            writer("one"),
            false,
        )
        .unwrap();
        assert_eq!(after["spec"], json!({"a": 2, "b": 1}));
        // Two owns it alone: dropping removes it.
        let last = apply(&schema, Some(&after), &spec(json!({})), writer("two"), false).unwrap();
        assert_eq!(last["spec"], json!({"b": 1}));
    }

    #[test]
    fn list_items_are_owned_one_by_one() {
        let schema = schema();
        let one = apply(
            &schema,
            None,
            &spec(json!({"l": [{"n": "x", "v": 1}]})),
            writer("one"),
            false,
        )
        .unwrap();
        let two = apply(
            &schema,
            Some(&one),
            &spec(json!({"l": [{"n": "y", "v": 2}]})),
            writer("two"),
            false,
        )
        .unwrap();
        assert_eq!(two["spec"]["l"], json!([{"n": "x", "v": 1}, {"n": "y", "v": 2}]));
        let error = apply(
            &schema,
            Some(&two),
            &spec(json!({"l": [{"n": "x", "v": 3}]})),
            writer("two"),
            false,
        )
        .unwrap_err();
        assert!(error.message.ends_with(".spec.l[n=\"x\"].v"), "{}", error.message);
        let gone = apply(&schema, Some(&two), &spec(json!({"l": []})), writer("one"), false).unwrap();
        assert_eq!(gone["spec"]["l"], json!([{"n": "y", "v": 2}]));
    }

    #[test]
    fn updates_take_ownership_and_repeat_is_no_change() {
        let schema = schema();
        let one = apply(&schema, None, &spec(json!({"a": 1})), writer("one"), false).unwrap();
        assert_eq!(
            apply(&schema, Some(&one), &spec(json!({"a": 1})), writer("one"), false).unwrap(),
            one
        );
        let mut edited = one.clone();
        edited["spec"]["a"] = json!(5);
        managed::after_update(&schema, Some(&one), &mut edited, writer("editor"));
        let error = apply(
            &schema,
            Some(&edited),
            &spec(json!({"a": 1})),
            writer("one"),
            false,
        )
        .unwrap_err();
        assert!(
            error
                .message
                .contains("conflict with \"editor\" using x.y/v1: .spec.a"),
            "{}",
            error.message
        );
    }

    #[test]
    fn what_was_there_before_is_guarded() {
        let schema = schema();
        let live = spec(json!({"a": 1}));
        let error = apply(&schema, Some(&live), &spec(json!({"a": 2})), writer("one"), false).unwrap_err();
        assert!(error.message.contains(BEFORE), "{}", error.message);
    }
}
