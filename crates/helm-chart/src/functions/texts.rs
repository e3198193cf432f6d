//! YAML and JSON.

use serde_json::Value as Json;

use super::native::{Native, Outcome, at};
use crate::value::Value;
use crate::yaml;

pub(super) const TABLE: &[Native] = &[
    ("toYaml", |a| {
        Ok(Value::text(
            yaml::write(&at(a, 0)?.to_json()).trim_end_matches('\n'),
        ))
    }),
    ("fromYaml", |a| from_yaml(a, false)),
    ("fromYamlArray", |a| from_yaml(a, true)),
    ("toJson", to_json),
    ("mustToJson", to_json),
    ("toRawJson", |a| Ok(Value::text(at(a, 0)?.to_json().to_string()))),
    ("mustToRawJson", |a| {
        Ok(Value::text(at(a, 0)?.to_json().to_string()))
    }),
    ("toPrettyJson", to_pretty_json),
    ("mustToPrettyJson", to_pretty_json),
    ("fromJson", |a| from_json(a, false)),
    ("fromJsonArray", |a| from_json(a, true)),
    ("mustFromJson", must_from_json),
    ("getHostByName", |_| Ok(Value::text(""))),
];

/// Go writes these signs of HTML as escapes.
fn escaped(json: &str) -> String {
    json.replace('<', "\\u003c")
        .replace('>', "\\u003e")
        .replace('&', "\\u0026")
}

fn to_json(args: &[Value]) -> Outcome {
    Ok(Value::text(escaped(&at(args, 0)?.to_json().to_string())))
}

fn to_pretty_json(args: &[Value]) -> Outcome {
    let json = serde_json::to_string_pretty(&at(args, 0)?.to_json());
    Ok(Value::text(escaped(&json.map_err(|error| error.to_string())?)))
}

/// A text that cannot be read gives its error as a value, as Helm does.
fn read(found: Result<Json, String>, list: bool) -> Value {
    let error = match found {
        Ok(Json::Null) if list => return Value::list([]),
        Ok(Json::Null) => return Value::map([]),
        Ok(json) if json.is_array() == list && json.is_object() != list => return Value::from_json(&json),
        Ok(_) if list => "it is no list".to_owned(),
        Ok(_) => "it is no dict".to_owned(),
        Err(error) => error,
    };
    if list {
        Value::list([Value::text(error)])
    } else {
        Value::map([("Error".to_owned(), Value::text(error))])
    }
}

fn from_yaml(args: &[Value], list: bool) -> Outcome {
    let found = yaml::read(&at(args, 0)?.printed());
    Ok(read(
        found.map_err(|fault| format!("line {}: {}", fault.line, fault.message)),
        list,
    ))
}

fn from_json(args: &[Value], list: bool) -> Outcome {
    let found = serde_json::from_str(&at(args, 0)?.printed());
    Ok(read(found.map_err(|error| error.to_string()), list))
}

fn must_from_json(args: &[Value]) -> Outcome {
    let found: Json = serde_json::from_str(&at(args, 0)?.printed()).map_err(|error| error.to_string())?;
    Ok(Value::from_json(&found))
}
