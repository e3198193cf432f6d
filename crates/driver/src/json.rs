//! JSON objects as `google.protobuf.Struct` and back. Struct has floating-point numbers alone, so integers beyond 2^53 do
//! not pass unchanged; schemas of drivers use strings for such.

use prost_types::value::Kind;
use prost_types::{ListValue, Struct, Value};
use serde_json::{Map, Number};

/// Largest magnitude up to which every integer is a floating-point number of its own: 2^53.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// An object as a message.
#[must_use]
pub fn to_struct(object: &Map<String, serde_json::Value>) -> Struct {
    let fields = object.iter().map(|(name, value)| (name.clone(), to_value(value)));
    Struct {
        fields: fields.collect(),
    }
}

/// A message as an object. Whole numbers become integers again.
#[must_use]
pub fn from_struct(message: &Struct) -> Map<String, serde_json::Value> {
    let fields = message.fields.iter();
    fields
        .map(|(name, value)| (name.clone(), from_value(value)))
        .collect()
}

fn to_value(value: &serde_json::Value) -> Value {
    let kind = match value {
        serde_json::Value::Null => Kind::NullValue(0),
        serde_json::Value::Bool(value) => Kind::BoolValue(*value),
        serde_json::Value::Number(number) => Kind::NumberValue(number.as_f64().unwrap_or_default()),
        serde_json::Value::String(text) => Kind::StringValue(text.clone()),
        serde_json::Value::Array(values) => Kind::ListValue(ListValue {
            values: values.iter().map(to_value).collect(),
        }),
        serde_json::Value::Object(object) => Kind::StructValue(to_struct(object)),
    };
    Value { kind: Some(kind) }
}

fn from_value(value: &Value) -> serde_json::Value {
    match &value.kind {
        None | Some(Kind::NullValue(_)) => serde_json::Value::Null,
        Some(Kind::BoolValue(value)) => (*value).into(),
        Some(Kind::NumberValue(number)) => from_number(*number),
        Some(Kind::StringValue(text)) => text.clone().into(),
        Some(Kind::ListValue(list)) => list.values.iter().map(from_value).collect(),
        Some(Kind::StructValue(message)) => from_struct(message).into(),
    }
}

fn from_number(number: f64) -> serde_json::Value {
    if number.fract() == 0.0 && number.abs() <= EXACT {
        #[expect(clippy::cast_possible_truncation, reason = "whole and within 2^53")]
        return (number as i64).into();
    }
    Number::from_f64(number).map_or(serde_json::Value::Null, serde_json::Value::Number)
}

#[cfg(test)]
mod tests {
    use super::{from_struct, to_struct};
    use serde_json::{Value, json};

    #[test]
    fn an_object_comes_back_as_it_was() {
        let Value::Object(object) = json!({
            "text": "a", "whole": 7, "negative": -3, "half": 0.5, "yes": true, "nothing": null,
            "list": [1, "two", {"three": []}], "edge": 9_007_199_254_740_992_i64,
        }) else {
            unreachable!("it is an object");
        };
        assert_eq!(from_struct(&to_struct(&object)), object);
    }
}
