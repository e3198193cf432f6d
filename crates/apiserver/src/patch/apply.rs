//! Server-side apply: merge by schema, ownership, conflicts, removal of what a manager no longer names.

use serde_json::{Value, json};

use super::compare::compare;
use super::fieldset::FieldSet;
use super::managed::{self, Manager, Operation, Writer};
use super::merge;
use super::walk::{self, with_named_fields};
use crate::meta::{Meta, meta_mut};
use crate::schema::Schema;
use crate::status::ApiError;

/// The manager that gets what was there before anybody was recorded.
const BEFORE: &str = "before-first-apply";

/// The manager that may take over what `kubectl apply` without `--server-side` left in its annotation.
const KUBECTL: &str = "kubectl";
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// What other managers own and the configuration would change.
type Conflicts = Vec<(Manager, FieldSet)>;

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
    let mut done = merge_owned(schema, live, config, writer, force);
    if let (Err(conflicts), Some(live), KUBECTL) = (&mut done, live, writer.manager) {
        let allowed = last_applied(schema, live);
        for (_, fields) in conflicts.iter_mut() {
            *fields = fields.minus(&allowed);
        }
        conflicts.retain(|(_, fields)| !fields.is_empty());
        if conflicts.is_empty() {
            done = merge_owned(schema, Some(live), config, writer, true);
        }
    }
    let mut merged = done.map_err(|conflicts| conflict_error(&conflicts))?;
    if writer.manager == KUBECTL {
        renew_last_applied(&mut merged, config);
    }
    Ok(merged)
}

/// Merges, removes what the writer no longer names, and settles who owns what.
fn merge_owned(
    schema: &Schema,
    live: Option<&Value>,
    config: &Value,
    writer: Writer<'_>,
    force: bool,
) -> Result<Value, Conflicts> {
    let base = managed::without_managers(live.unwrap_or(&json!({})));
    let mut managers = live.map(managed::read).unwrap_or_default();
    let wanted = in_scope(managed::fields(schema, config), writer);
    let own = wanted.minus(&managed::owned_by_server());
    // An apply that owns nothing, such as one of a bare name, leaves an object without owners as it is.
    if live.is_some() && managers.is_empty() && !own.is_empty() {
        let everything = compare(Some(schema), &json!({}), &base).changed;
        let before = Writer {
            manager: BEFORE,
            ..writer
        };
        let fields = in_scope(everything.minus(&managed::owned_by_server()), writer);
        managers.push(before.manager(Operation::Update, fields));
    }
    let last = take_own(&mut managers, writer);
    let mut merged = merge::merge(Some(schema), &base, config);
    if let Some(last) = last.as_ref().filter(|last| !last.fields.is_empty()) {
        let claimed = managers
            .iter()
            .fold(wanted.clone(), |all, m| all.union(&m.fields));
        merged = prune(schema, merged, &last.fields, &claimed);
    }
    let difference = compare(Some(schema), &base, &merged);
    let conflicts: Conflicts = managers
        .iter()
        .map(|m| (m.clone(), m.fields.intersection(&difference.changed)))
        .filter(|(_, fields)| !fields.is_empty())
        .collect();
    if !force && !conflicts.is_empty() {
        return Err(conflicts);
    }
    for manager in &mut managers {
        manager.fields = manager
            .fields
            .minus(&difference.changed)
            .minus(&difference.removed);
    }
    let mut own = writer.manager(Operation::Apply, own);
    if let Some(last) = last.filter(|_| base == merged) {
        own.time = last.time;
    }
    managers.push(own);
    managed::write(&mut merged, managers);
    Ok(merged)
}

/// The main endpoint cannot own status, the status endpoint nothing else.
fn in_scope(fields: FieldSet, writer: Writer<'_>) -> FieldSet {
    if writer.subresource == "status" {
        fields.only_field("status")
    } else if writer.status_apart {
        fields.without_field("status")
    } else {
        fields
    }
}

fn take_own(managers: &mut Vec<Manager>, writer: Writer<'_>) -> Option<Manager> {
    let at = managers.iter().position(|m| writer.is(m, Operation::Apply))?;
    Some(managers.remove(at))
}

/// Removes what the writer owned by its last apply, unless somebody claims it now: the writer by its configuration or
/// another manager. A list item goes with everything in it when nobody claims the item itself.
fn prune(schema: &Schema, merged: Value, last: &FieldSet, claimed: &FieldSet) -> Value {
    let schema = Some(schema);
    let without = |gone: &FieldSet| {
        let mut value = merged.clone();
        walk::remove(schema, &mut value, gone);
        value
    };
    let fields = |value: &Value| with_named_fields(schema, &walk::fields_of(schema, value));
    let all = fields(&merged);
    let last = with_named_fields(schema, last);
    let claimed = with_named_fields(schema, claimed);
    // Everything that was not the writer's stays, and of the rest what is claimed.
    let pruned = without(&last);
    let pruned = without(&all.minus(&fields(&pruned).union(&claimed)));
    // Of what that took away, only the writer's own goes.
    without(&all.minus(&fields(&pruned)).intersection(&last))
}

/// The fields that the annotation of client-side apply names with the values that they have.
fn last_applied(schema: &Schema, live: &Value) -> FieldSet {
    let text = live
        .meta()
        .and_then(|m| m.get("annotations"))
        .and_then(|a| a.get(LAST_APPLIED))
        .and_then(Value::as_str);
    let Some(applied) = text.and_then(|text| serde_json::from_str::<Value>(text).ok()) else {
        return FieldSet::default();
    };
    let difference = compare(Some(schema), &applied, &managed::without_managers(live));
    managed::fields(schema, &applied)
        .minus(&difference.changed)
        .minus(&difference.removed)
}

/// Keeps the annotation of client-side apply true for those who go on using it.
fn renew_last_applied(merged: &mut Value, config: &Value) {
    let Some(Value::Object(annotations)) = meta_mut(merged).get_mut("annotations") else {
        return;
    };
    let Some(Value::String(text)) = annotations.get_mut(LAST_APPLIED) else {
        return;
    };
    if text.is_empty() {
        return;
    }
    let mut config = config.clone();
    if let Some(Value::Object(own)) = meta_mut(&mut config).get_mut("annotations") {
        own.remove(LAST_APPLIED);
    }
    *text = format!("{config}\n");
}

fn conflict_error(conflicts: &Conflicts) -> ApiError {
    let mut shown: Vec<(&Manager, Vec<String>)> = conflicts.iter().map(|(m, f)| (m, f.paths())).collect();
    shown.sort_by_key(|(m, _)| (&m.name, m.operation, &m.api_version, &m.subresource));
    let shown: Vec<(String, Vec<String>)> = shown.into_iter().map(|(m, f)| (label(m), f)).collect();
    ApiError::apply_conflict(&shown)
}

/// A manager as error messages name it.
fn label(manager: &Manager) -> String {
    let mut label = format!("{:?}", manager.name);
    if !manager.subresource.is_empty() {
        label.push_str(&format!(" with subresource {:?}", manager.subresource));
    }
    if manager.operation == Operation::Update {
        label.push_str(&format!(" using {}", manager.api_version));
    }
    label
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
            status_apart: false,
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
    fn kubectl_takes_over_what_its_annotation_names() {
        let schema = schema();
        let with = |value: Value, last: Value| {
            let mut object = spec(value);
            object["metadata"]["annotations"] = json!({LAST_APPLIED: spec(last).to_string()});
            object
        };
        let mut live = with(json!({"a": 1, "b": 2}), json!({"a": 1, "b": 3}));
        managed::after_update(&schema, None, &mut live, writer("kubectl-client-side-apply"));
        for (manager, config, conflict) in [
            ("kubectl", json!({"a": 9}), None),
            // What differs from the annotation was changed by somebody else.
            ("kubectl", json!({"a": 9, "b": 9}), Some(".spec.b")),
            ("other", json!({"a": 9}), Some(".spec.a")),
        ] {
            let done = apply(
                &schema,
                Some(&live),
                &spec(config.clone()),
                writer(manager),
                false,
            );
            match conflict {
                Some(field) => {
                    let text = format!(
                        "Apply failed with 1 conflict: conflict with \"kubectl-client-side-apply\" using x.y/v1: {field}"
                    );
                    assert_eq!(done.unwrap_err().message, text);
                }
                None => {
                    let done = done.unwrap();
                    assert_eq!(done["spec"], json!({"a": 9, "b": 2}));
                    let text = done["metadata"]["annotations"][LAST_APPLIED].as_str().unwrap();
                    assert_eq!(serde_json::from_str::<Value>(text).unwrap(), spec(config));
                }
            }
        }
    }

    #[test]
    fn conflicts_are_told_by_manager() {
        let schema = schema();
        let one = apply(
            &schema,
            None,
            &spec(json!({"a": 1, "b": 1})),
            writer("one"),
            false,
        )
        .unwrap();
        let mut edited = one.clone();
        edited["spec"]["l"] = json!([{"n": "x", "v": 1}]);
        let status = Writer {
            subresource: "scale",
            ..writer("ed")
        };
        managed::after_update(&schema, Some(&one), &mut edited, status);
        let config = spec(json!({"a": 2, "b": 2, "l": [{"n": "x", "v": 2}]}));
        let error = apply(&schema, Some(&edited), &config, writer("two"), false).unwrap_err();
        assert_eq!(
            error.message,
            "Apply failed with 3 conflicts: conflicts with \"ed\" with subresource \"scale\" using x.y/v1:\n\
             - .spec.l[n=\"x\"].v\nconflicts with \"one\":\n- .spec.a\n- .spec.b"
        );
    }

    #[test]
    fn what_was_there_before_is_guarded() {
        let schema = schema();
        let live = spec(json!({"a": 1}));
        let error = apply(&schema, Some(&live), &spec(json!({"a": 2})), writer("one"), false).unwrap_err();
        assert!(error.message.contains(BEFORE), "{}", error.message);
    }

    #[test]
    fn status_is_not_owned_through_the_main_endpoint() {
        let schema = schema();
        let mut live = spec(json!({"a": 1}));
        live["status"] = json!({"phase": "A"});
        let main = Writer {
            status_apart: true,
            ..writer("one")
        };
        let done = apply(&schema, Some(&live), &spec(json!({"b": "x"})), main, false).unwrap();
        let owners = managed::read(&done);
        let before = owners.iter().find(|owner| owner.name == BEFORE).unwrap();
        assert_eq!(before.fields.encode().get("f:status"), None);
    }

    /// Sequences of applies and updates with the objects and owners that structured-merge-diff v6.3.0 gives for them.
    #[test]
    fn sequences_end_as_in_structured_merge_diff() {
        let schema = Schema::parse(&json!({"type": "object", "properties": {"spec": {"type": "object", "properties": {
            "a": {"type": "integer"}, "b": {"type": "string"},
            "m": {"type": "object", "additionalProperties": {"type": "string"}},
            "o": {"type": "object", "additionalProperties": {"type": "string"}, "x-kubernetes-map-type": "atomic"},
            "l": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["n"],
                "items": {"type": "object", "properties": {"n": {"type": "string"}, "v": {"type": "integer"},
                    "sub": {"type": "object", "properties": {"p": {"type": "integer"}, "q": {"type": "integer"}}}}}},
            "s": {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}},
            "t": {"type": "array", "items": {"type": "string"}},
            "g": {"type": "object", "properties": {"x": {"type": "integer"},
                "z": {"type": "object", "properties": {"u": {"type": "string"}}}}},
            "f": {"x-kubernetes-preserve-unknown-fields": true}}}}}))
        .unwrap();
        let cases: Vec<Value> = serde_json::from_str(include_str!("sequences.json")).unwrap();
        assert!(cases.len() > 50);
        for case in &cases {
            let mut live: Option<Value> = None;
            for (i, step) in case["steps"].as_array().unwrap().iter().enumerate() {
                let at = format!("{} step {i}: {}", case["name"], step["object"]);
                let by = writer(step["by"].as_str().unwrap());
                let done = match step["do"].as_str().unwrap() {
                    "update" => {
                        let mut new = step["object"].clone();
                        managed::after_update(&schema, live.as_ref(), &mut new, by);
                        Ok(new)
                    }
                    how => apply(&schema, live.as_ref(), &step["object"], by, how == "force"),
                };
                if let Some(expected) = step["conflict"].as_array() {
                    let error = done.expect_err(&at);
                    let count = error.to_status()["details"]["causes"].as_array().unwrap().len();
                    assert_eq!(count, expected.len(), "{at}: {}", error.message);
                    continue;
                }
                let new = done.map_err(|e| e.message).expect(&at);
                assert_eq!(new["spec"], step["result"]["spec"], "{at}");
                let owners: serde_json::Map<String, Value> = managed::read(&new)
                    .into_iter()
                    .map(|m| {
                        (
                            format!("{}/{}", m.operation.name().to_lowercase(), m.name),
                            m.fields.encode(),
                        )
                    })
                    .collect();
                assert_eq!(Value::Object(owners), step["owners"], "{at}");
                live = Some(new);
            }
        }
    }
}
