//! Defaults of a JSON Schema, filled into an object. Pure.

use serde_json::{Map, Value};

/// Gives each property that is absent the default that its schema has, in objects inside of the object too. An object that is
/// absent and has no default of its own stays so.
pub(crate) fn fill(object: &mut Map<String, Value>, schema: &Value) {
    let Some(properties) = schema.get("properties").and_then(Value::as_object) else {
        return;
    };
    for (name, property) in properties {
        match (object.get_mut(name), property.get("default")) {
            (Some(Value::Object(inner)), _) => fill(inner, property),
            (Some(_), _) | (None, None) => {}
            (None, Some(default)) => {
                object.insert(name.clone(), default.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_given_stays_and_what_is_absent_gets_its_default() {
        let schema = json!({"type": "object", "properties": {
            "tier": {"type": "string", "default": "plain"},
            "size": {"type": "integer", "default": 3},
            "name": {"type": "string"},
            "disk": {"type": "object", "properties": {"bus": {"default": "scsi"}}},
            "gone": {"type": "object", "properties": {"bus": {"default": "scsi"}}},
        }});
        let mut object = json!({"size": 7, "other": null, "disk": {"gib": 1}});
        fill(object.as_object_mut().unwrap(), &schema);
        let expected = json!({"size": 7, "other": null, "disk": {"gib": 1, "bus": "scsi"}, "tier": "plain"});
        assert_eq!(object, expected);
        let before = object.clone();
        fill(object.as_object_mut().unwrap(), &schema);
        assert_eq!(object, before, "twice is once");
        fill(object.as_object_mut().unwrap(), &json!(true));
        assert_eq!(object, before);
    }
}
