//! Reading arguments as Sprig does: text from anything, numbers from numbers and from text.

use std::collections::BTreeMap;
use std::sync::Arc;

use gotmpl::{TemplateError, Value};

/// What a function gives, or why it cannot.
pub type Outcome = Result<Value, TemplateError>;
/// The entries of a dict.
pub type Map = BTreeMap<Arc<str>, Value>;

/// Longest list or text that a function may make from a number.
pub const LARGEST: i64 = 1_000_000;

/// Digits before the point from which on Go writes an exponent.
const FEW: i32 = 6;

/// The error of a function with a message of its own.
///
/// # Errors
/// Always.
pub fn fail<T>(message: impl Into<String>) -> Result<T, TemplateError> {
    Err(TemplateError::Exec(message.into()))
}

/// The argument at a position.
///
/// # Errors
/// There are fewer.
pub fn arg(args: &[Value], at: usize) -> Result<&Value, TemplateError> {
    args.get(at).ok_or_else(|| TemplateError::ArgCount {
        name: "function".into(),
        expected: at + 1,
        got: args.len(),
    })
}

/// The last argument, which a pipeline gives, and those before it.
///
/// # Errors
/// There is none.
pub fn piped(args: &[Value]) -> Result<(&Value, &[Value]), TemplateError> {
    args.split_last().ok_or_else(|| TemplateError::ArgCount {
        name: "function".into(),
        expected: 1,
        got: 0,
    })
}

/// A value as text; nil is empty.
#[must_use]
pub fn string_of(value: &Value) -> String {
    match value {
        Value::Nil => String::new(),
        Value::Float(number) => go_float(*number),
        other => other.to_string(),
    }
}

/// A float as Go's `%v` prints it: with an exponent from a million on, and below a ten-thousandth.
#[must_use]
pub fn go_float(number: f64) -> String {
    if number.is_infinite() {
        return if number > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    let scientific = format!("{number:e}");
    let Some((digits, exponent)) = scientific.split_once('e') else {
        return scientific;
    };
    let exponent: i32 = exponent.parse().unwrap_or_default();
    if (-4..FEW).contains(&exponent) {
        return format!("{number}");
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{digits}e{sign}{:02}", exponent.abs())
}

/// The argument at a position as text.
///
/// # Errors
/// There are fewer.
pub fn string(args: &[Value], at: usize) -> Result<String, TemplateError> {
    arg(args, at).map(string_of)
}

/// A value as a whole number; 0 for what is none.
#[must_use]
pub fn int_of(value: &Value) -> i64 {
    match value {
        Value::Int(number) => *number,
        Value::Uint(number) => i64::try_from(*number).unwrap_or(i64::MAX),
        // Go truncates towards zero.
        #[allow(clippy::cast_possible_truncation)]
        Value::Float(number) => *number as i64,
        Value::Bool(flag) => i64::from(*flag),
        Value::String(text) => text.trim().parse().unwrap_or_default(),
        _ => 0,
    }
}

/// The argument at a position as a whole number.
///
/// # Errors
/// There are fewer.
pub fn int(args: &[Value], at: usize) -> Result<i64, TemplateError> {
    arg(args, at).map(int_of)
}

/// A count that makes text or lists.
///
/// # Errors
/// It is negative, or more than [`LARGEST`].
pub fn count(args: &[Value], at: usize) -> Result<usize, TemplateError> {
    let number = int(args, at)?;
    match usize::try_from(number) {
        Ok(count) if number <= LARGEST => Ok(count),
        _ => fail(format!("{number} is not between 0 and {LARGEST}")),
    }
}

/// A value as a float; 0 for what is none.
#[must_use]
pub fn float_of(value: &Value) -> f64 {
    match value {
        Value::Float(number) => *number,
        Value::String(text) => text.trim().parse().unwrap_or_default(),
        #[allow(clippy::cast_precision_loss)]
        other => int_of(other) as f64,
    }
}

/// The argument at a position as a float.
///
/// # Errors
/// There are fewer.
pub fn float(args: &[Value], at: usize) -> Result<f64, TemplateError> {
    arg(args, at).map(float_of)
}

/// The items of the list at a position; nil has none.
///
/// # Errors
/// It is no list.
pub fn items(args: &[Value], at: usize) -> Result<&[Value], TemplateError> {
    match arg(args, at)? {
        Value::List(items) => Ok(items),
        Value::Nil => Ok(&[]),
        other => fail(format!("expected a list, got {}", other.type_name())),
    }
}

/// The entries of the dict at a position.
///
/// # Errors
/// It is no dict.
pub fn entries(args: &[Value], at: usize) -> Result<&Map, TemplateError> {
    match arg(args, at)? {
        Value::Map(map) => Ok(map),
        other => fail(format!("expected a dict, got {}", other.type_name())),
    }
}

/// A text as a value.
pub fn text(value: impl AsRef<str>) -> Value {
    Value::String(value.as_ref().into())
}

/// A list of these items.
pub fn list(items: impl IntoIterator<Item = Value>) -> Value {
    Value::List(items.into_iter().collect())
}

/// A dict of these entries.
pub fn map(entries: impl IntoIterator<Item = (Arc<str>, Value)>) -> Value {
    Value::Map(Arc::new(entries.into_iter().collect()))
}

#[cfg(test)]
mod tests {
    use super::go_float;

    #[test]
    fn floats_are_printed_as_in_go() {
        for (number, text) in [
            (0.0, "0"),
            (1.5, "1.5"),
            (-3.0, "-3"),
            (123_456.0, "123456"),
            (1_000_000.0, "1e+06"),
            (12_345_678.0, "1.2345678e+07"),
            (0.0001, "0.0001"),
            (0.000_01, "1e-05"),
            (1e21, "1e+21"),
            (f64::INFINITY, "+Inf"),
        ] {
            assert_eq!(go_float(number), text);
        }
    }
}
