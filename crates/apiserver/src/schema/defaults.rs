//! Fills in the defaults that the schema names.

use serde_json::Value;

use super::Schema;

/// Sets absent fields (and nulls that are not allowed) to their defaults, top down.
pub(crate) fn apply_defaults(schema: &Schema, value: &mut Value) {
    match value {
        Value::Object(map) => {
            for (name, field) in &schema.properties {
                let Some(default) = &field.default else { continue };
                let missing = match map.get(name) {
                    None => true,
                    Some(present) => present.is_null() && !field.nullable,
                };
                if missing {
                    map.insert(name.clone(), default.clone());
                }
            }
            for (name, value) in map {
                if let Some(field) = schema.field(name) {
                    apply_defaults(field, value);
                }
            }
        }
        Value::Array(list) => {
            if let Some(items) = &schema.items {
                list.iter_mut().for_each(|item| apply_defaults(items, item));
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn defaults_nest_and_never_overwrite() {
        let schema = Schema::parse(&json!({"type": "object", "properties": {
            "n": {"type": "integer", "default": 3},
            "o": {"type": "object", "default": {}, "properties": {"p": {"type": "string", "default": "q"}}},
            "l": {"type": "array", "items": {"type": "object", "properties": {"b": {"type": "boolean", "default": true}}}},
            "absent": {"type": "object", "properties": {"x": {"default": 1, "type": "integer"}}}
        }}))
        .unwrap();
        for (mut given, expected) in [
            (json!({}), json!({"n": 3, "o": {"p": "q"}})),
            (json!({"n": 0, "o": {"p": ""}}), json!({"n": 0, "o": {"p": ""}})),
            (
                json!({"n": null, "l": [{}, {"b": false}]}),
                json!({"n": 3, "o": {"p": "q"}, "l": [{"b": true}, {"b": false}]}),
            ),
        ] {
            apply_defaults(&schema, &mut given);
            assert_eq!(given, expected);
        }
    }
}
