//! `eq` and `lt` as Go compares: values of two kinds are not equal, they are an error.

use std::cmp::Ordering;

use crate::value::Value;

fn differ(one: &Value, other: &Value) -> String {
    format!(
        "values of the types {} and {} cannot be compared; convert one of them",
        one.type_name(),
        other.type_name()
    )
}

/// Whether two values are equal.
pub(crate) fn equal(one: &Value, other: &Value) -> Result<bool, String> {
    match (one, other) {
        (Value::Nil, _) | (_, Value::Nil) => Ok(one == other),
        (Value::Map(_) | Value::List(_), _) | (_, Value::Map(_) | Value::List(_)) => {
            Err("dicts and lists cannot be compared".to_owned())
        }
        _ if one.kind() == other.kind() => Ok(one == other),
        _ => Err(differ(one, other)),
    }
}

/// Whether a value is below another one.
pub(crate) fn less(one: &Value, other: &Value) -> Result<bool, String> {
    match (one, other) {
        (Value::Int(a), Value::Int(b)) => Ok(a < b),
        (Value::Float(a), Value::Float(b)) => Ok(a.partial_cmp(b) == Some(Ordering::Less)),
        (Value::String(a), Value::String(b)) => Ok(a < b),
        _ => Err(differ(one, other)),
    }
}
