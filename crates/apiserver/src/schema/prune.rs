//! Removes fields that the schema does not know, and nulls that it does not allow.

use serde_json::{Map, Value};

use super::{Schema, join};

/// Fields of every resource, also of an embedded one, that need no schema.
const RESOURCE_FIELDS: [&str; 3] = ["apiVersion", "kind", "metadata"];

/// Unknown fields that are named at most, as in kube-apiserver.
const MOST_UNKNOWN: usize = 100;

/// Prunes `object` in place and returns the paths of what went (the first hundred), for field validation.
pub(crate) fn prune(schema: &Schema, object: &mut Value) -> Vec<String> {
    let mut unknown = Vec::new();
    walk(schema, object, "", true, &mut unknown);
    unknown
}

fn walk(schema: &Schema, value: &mut Value, at: &str, resource: bool, unknown: &mut Vec<String>) {
    match value {
        Value::Object(map) => prune_map(schema, map, at, resource || schema.embedded, unknown),
        Value::Array(list) => {
            let Some(items) = &schema.items else { return };
            for (i, item) in list.iter_mut().enumerate() {
                walk(items, item, &format!("{at}[{i}]"), false, unknown);
            }
        }
        _ => {}
    }
}

fn prune_map(
    schema: &Schema,
    map: &mut Map<String, Value>,
    at: &str,
    resource: bool,
    unknown: &mut Vec<String>,
) {
    let names: Vec<String> = map.keys().cloned().collect();
    for name in names {
        let path = join(at, &name);
        let Some(value) = map.get_mut(&name) else { continue };
        match schema.field(&name) {
            Some(field)
                if value.is_null() && !field.nullable && field.default.is_none() && !is_free(field) =>
            {
                map.remove(&name);
            }
            Some(field) => walk(field, value, &path, false, unknown),
            None if resource && RESOURCE_FIELDS.contains(&name.as_str()) => {}
            None if schema.is_open() => {}
            None => {
                map.remove(&name);
                if unknown.len() < MOST_UNKNOWN {
                    unknown.push(path);
                }
            }
        }
    }
}

/// A schema that says nothing about its value takes null as a value.
fn is_free(schema: &Schema) -> bool {
    schema.kind.is_none() && !schema.int_or_string
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn unknown_fields_go_and_are_named() {
        let schema = Schema::parse(&json!({"type": "object", "properties": {
            "spec": {"type": "object", "properties": {
                "a": {"type": "string"},
                "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": true,
                    "properties": {"known": {"type": "object", "properties": {}}}},
                "map": {"type": "object", "additionalProperties": {"type": "object", "properties": {"x": {"type": "string"}}}},
                "list": {"type": "array", "items": {"type": "object", "properties": {"y": {"type": "integer"}}}},
                "inner": {"type": "object", "x-kubernetes-embedded-resource": true},
                "nul": {"type": "string", "nullable": true}
            }}
        }}))
        .unwrap();
        let mut object = json!({"apiVersion": "v1", "kind": "K", "metadata": {"name": "n"}, "extra": 1, "spec": {
            "a": null, "b": 1, "free": {"z": {"q": 1}, "known": {"r": 1}}, "map": {"k.k": {"x": "1", "w": 2}},
            "list": [{"y": 1, "v": 2}], "inner": {"kind": "P", "metadata": {}, "t": 1}, "nul": null}});
        let unknown = prune(&schema, &mut object);
        assert_eq!(
            unknown,
            [
                "extra",
                "spec.b",
                "spec.free.known.r",
                "spec.inner.t",
                "spec.list[0].v",
                "spec.map[k.k].w"
            ]
        );
        assert_eq!(
            object["spec"],
            json!({"free": {"z": {"q": 1}, "known": {}}, "map": {"k.k": {"x": "1"}}, "list": [{"y": 1}],
                "inner": {"kind": "P", "metadata": {}}, "nul": null})
        );
        assert_eq!(prune(&schema, &mut object), Vec::<String>::new());
    }
}
