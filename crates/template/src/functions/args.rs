//! Reading arguments as Sprig does: text from anything, numbers from numbers and from text.

use std::collections::BTreeMap;
use std::sync::Arc;

use gotmpl::{TemplateError, Value};

pub(super) type Outcome = Result<Value, TemplateError>;
pub(super) type Map = BTreeMap<Arc<str>, Value>;

/// Longest list or text that a function may make from a number.
pub(super) const LARGEST: i64 = 1_000_000;

pub(super) fn fail<T>(message: impl Into<String>) -> Result<T, TemplateError> {
    Err(TemplateError::Exec(message.into()))
}

pub(super) fn arg(args: &[Value], at: usize) -> Result<&Value, TemplateError> {
    args.get(at).ok_or_else(|| TemplateError::ArgCount {
        name: "function".into(),
        expected: at + 1,
        got: args.len(),
    })
}

/// The last argument, which a pipeline gives, and those before it.
pub(super) fn piped(args: &[Value]) -> Result<(&Value, &[Value]), TemplateError> {
    args.split_last().ok_or_else(|| TemplateError::ArgCount {
        name: "function".into(),
        expected: 1,
        got: 0,
    })
}

pub(super) fn string_of(value: &Value) -> String {
    match value {
        Value::Nil => String::new(),
        other => other.to_string(),
    }
}

pub(super) fn string(args: &[Value], at: usize) -> Result<String, TemplateError> {
    arg(args, at).map(string_of)
}

pub(super) fn int_of(value: &Value) -> i64 {
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

pub(super) fn int(args: &[Value], at: usize) -> Result<i64, TemplateError> {
    arg(args, at).map(int_of)
}

/// A count that makes text or lists: not negative and not absurd.
pub(super) fn count(args: &[Value], at: usize) -> Result<usize, TemplateError> {
    let number = int(args, at)?;
    match usize::try_from(number) {
        Ok(count) if number <= LARGEST => Ok(count),
        _ => fail(format!("{number} is not between 0 and {LARGEST}")),
    }
}

pub(super) fn float_of(value: &Value) -> f64 {
    match value {
        Value::Float(number) => *number,
        Value::String(text) => text.trim().parse().unwrap_or_default(),
        #[allow(clippy::cast_precision_loss)]
        other => int_of(other) as f64,
    }
}

pub(super) fn float(args: &[Value], at: usize) -> Result<f64, TemplateError> {
    arg(args, at).map(float_of)
}

pub(super) fn items(args: &[Value], at: usize) -> Result<&[Value], TemplateError> {
    match arg(args, at)? {
        Value::List(items) => Ok(items),
        Value::Nil => Ok(&[]),
        other => fail(format!("expected a list, got {}", other.type_name())),
    }
}

pub(super) fn entries(args: &[Value], at: usize) -> Result<&Map, TemplateError> {
    match arg(args, at)? {
        Value::Map(map) => Ok(map),
        other => fail(format!("expected a dict, got {}", other.type_name())),
    }
}

pub(super) fn text(value: impl AsRef<str>) -> Value {
    Value::String(value.as_ref().into())
}

pub(super) fn list(items: impl IntoIterator<Item = Value>) -> Value {
    Value::List(items.into_iter().collect())
}

pub(super) fn map(entries: impl IntoIterator<Item = (Arc<str>, Value)>) -> Value {
    Value::Map(Arc::new(entries.into_iter().collect()))
}
