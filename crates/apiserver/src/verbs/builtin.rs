//! Rules of single built-in kinds that a schema cannot say.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use crate::call::Call;
use crate::definitions;
use crate::kinds::{Origin, TakenNames, accept, bad_stored_versions, prepare_definition, unchanged};
use crate::meta::{Meta, as_map, meta_mut};
use crate::status::Cause;

/// Bytes that the values of a Secret or ConfigMap may have together.
const MOST_DATA: usize = 1024 * 1024;

/// Completes and checks an object by the rules of its kind.
pub(crate) fn prepare(call: &Call, old: Option<&Value>, object: &mut Value) -> Vec<Cause> {
    if call.found.kind.origin != Origin::Builtin {
        return Vec::new();
    }
    match call.found.kind.kind.as_str() {
        "Secret" => secret(old, object),
        "ConfigMap" => config_map(old, object),
        "Namespace" => namespace(old, object),
        "CustomResourceDefinition" => definition(call, old, object),
        _ => Vec::new(),
    }
}

fn secret(old: Option<&Value>, object: &mut Value) -> Vec<Cause> {
    let map = as_map(object);
    if let Some(Value::Object(texts)) = map.remove("stringData") {
        let data = as_map(map.entry("data").or_insert_with(|| Value::Object(Map::new())));
        for (key, text) in texts {
            let encoded = STANDARD.encode(text.as_str().unwrap_or(""));
            data.insert(key, encoded.into());
        }
    }
    let mut causes = check_data(object, &["data"]);
    if let Some(old) = old {
        let kind = |o: &Value| o.get("type").cloned().unwrap_or_else(|| "Opaque".into());
        if kind(old) != kind(object) {
            causes.push(Cause::invalid("type", &object["type"], "field is immutable"));
        }
        causes.extend(immutable(old, object, &["data"]));
    }
    causes
}

fn config_map(old: Option<&Value>, object: &mut Value) -> Vec<Cause> {
    let mut causes = check_data(object, &["data", "binaryData"]);
    causes.extend(
        old.map(|old| immutable(old, object, &["data", "binaryData"]))
            .unwrap_or_default(),
    );
    causes
}

fn check_data(object: &mut Value, fields: &[&str]) -> Vec<Cause> {
    let (mut causes, mut size) = (Vec::new(), 0);
    for field in fields {
        let Some(data) = object.get_mut(*field).and_then(Value::as_object_mut) else {
            continue;
        };
        for (key, value) in data.iter_mut() {
            if value.is_null() {
                *value = "".into();
            }
            let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
            if key.is_empty() || key.len() > 253 || !key.chars().all(plain) || key == "." || key == ".." {
                let text = "a valid config key must consist of alphanumeric characters, '-', '_' or '.'";
                causes.push(Cause::invalid(
                    &format!("{field}[{key}]"),
                    &key.as_str().into(),
                    text,
                ));
            }
            size += key.len() + value.as_str().map_or(0, str::len);
        }
    }
    if size > MOST_DATA * 4 / 3 {
        let message = format!("Too long: may not be more than {MOST_DATA} bytes");
        causes.push(Cause {
            reason: "FieldValueTooLong",
            field: fields[0].to_owned(),
            message,
        });
    }
    causes
}

fn immutable(old: &Value, new: &Value, fields: &[&str]) -> Vec<Cause> {
    if old["immutable"] != json!(true) {
        return Vec::new();
    }
    let text = "field is immutable when `immutable` is set";
    let changed = |field: &&&str| old.get(**field) != new.get(**field);
    fields
        .iter()
        .chain(&["immutable"])
        .filter(changed)
        .map(|field| Cause::forbidden(field, text))
        .collect()
}

fn namespace(old: Option<&Value>, object: &mut Value) -> Vec<Cause> {
    let name = object.name().to_owned();
    let labels = as_map(meta_mut(object).entry("labels").or_insert_with(|| json!({})));
    labels.insert("kubernetes.io/metadata.name".to_owned(), name.into());
    match old {
        None => {
            let map = as_map(object);
            map.insert("spec".to_owned(), json!({"finalizers": ["kubernetes"]}));
            map.insert("status".to_owned(), json!({"phase": "Active"}));
        }
        Some(old) => {
            as_map(object).insert("spec".to_owned(), old["spec"].clone());
        }
    }
    Vec::new()
}

fn definition(call: &Call, old: Option<&Value>, object: &mut Value) -> Vec<Cause> {
    let kinds = call.core.registry();
    let others = kinds.kinds().iter().filter(|kind| kind.origin != Origin::Custom);
    let reserved = others.map(|kind| kind.group.as_str()).collect();
    let mut causes = prepare_definition(object, &reserved);
    causes.extend(old.map(|old| unchanged(old, object)).unwrap_or_default());
    if call.subresource().is_empty() {
        causes.extend(bad_stored_versions(object));
    }
    if causes.is_empty() {
        let all = call.core.storage.list(definitions::RESOURCE, None).objects;
        let all: Vec<Value> = all.iter().map(|stored| stored.value()).collect();
        let taken = TakenNames::beside(object, all.iter());
        let before = old.map(|old| old["status"].clone()).unwrap_or_default();
        accept(object, &before, &taken, call.now);
    }
    causes
}
