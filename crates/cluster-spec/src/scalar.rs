//! Plain scalars by YAML's core schema (YAML 1.2.2, section 10.3.2).

use serde_json::{Number, Value};

/// What a plain scalar means where no schema says otherwise.
pub(crate) fn resolve(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "true" | "True" | "TRUE" => return Value::Bool(true),
        "false" | "False" | "FALSE" => return Value::Bool(false),
        _ => {}
    }
    if let Some(number) = integer(text) {
        return Value::Number(number.into());
    }
    float(text)
        .and_then(Number::from_f64)
        .map_or_else(|| Value::String(text.to_owned()), Value::Number)
}

/// Decimal, `0x` or `0o`.
fn integer(text: &str) -> Option<i64> {
    if let Some(digits) = text.strip_prefix("0x") {
        return i64::from_str_radix(digits, 16).ok();
    }
    if let Some(digits) = text.strip_prefix("0o") {
        return i64::from_str_radix(digits, 8).ok();
    }
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|octet| octet.is_ascii_digit()) {
        return None;
    }
    text.strip_prefix('+').unwrap_or(text).parse().ok()
}

fn float(text: &str) -> Option<f64> {
    let shape = text
        .bytes()
        .all(|octet| octet.is_ascii_digit() || b"+-.eE".contains(&octet));
    let digit = text.bytes().any(|octet| octet.is_ascii_digit());
    if shape && digit { text.parse().ok() } else { None }
}

/// The word for a value's type.
pub(crate) const fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "a mapping",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn core_schema() {
        for (text, value) in [
            ("", json!(null)),
            ("~", json!(null)),
            ("true", json!(true)),
            ("yes", json!("yes")),
            ("010", json!(10)),
            ("0x1f", json!(31)),
            ("-7", json!(-7)),
            ("1.30", json!(1.3)),
            ("1e3", json!(1000.0)),
            ("10.0.0.0", json!("10.0.0.0")),
            ("-", json!("-")),
            ("v1", json!("v1")),
        ] {
            assert_eq!(resolve(text), value, "{text}");
        }
    }
}
