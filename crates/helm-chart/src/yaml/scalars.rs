//! What a plain scalar stands for in YAML 1.1, as go-yaml resolves it.

use std::sync::LazyLock;

use regex::Regex;
use serde_json::{Number, Value as Json};

/// A regular expression of this file; one that does not compile fits nothing.
fn compiled(expression: &str) -> Option<Regex> {
    Regex::new(expression).ok()
}

static FLOAT: LazyLock<Option<Regex>> =
    LazyLock::new(|| compiled(r"^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$"));
static BASE_60: LazyLock<Option<Regex>> =
    LazyLock::new(|| compiled(r"^[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?$"));
static TIME: LazyLock<Option<Regex>> = LazyLock::new(|| {
    compiled(
        r"^[0-9]{4}-(0?[1-9]|1[0-2])-(0?[1-9]|[12][0-9]|3[01])([Tt ][0-9]{1,2}:[0-9]{1,2}:[0-9]{1,2}(\.[0-9]+)?(Z|[-+][0-9]{2}:[0-9]{2})?)?$",
    )
});

fn fits(expression: &LazyLock<Option<Regex>>, text: &str) -> bool {
    expression
        .as_ref()
        .is_some_and(|expression| expression.is_match(text))
}

/// The value of a plain scalar.
pub(super) fn resolve(text: &str) -> Json {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Json::Null,
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => {
            return Json::Bool(true);
        }
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => {
            return Json::Bool(false);
        }
        _ => {}
    }
    number(text).map_or_else(|| Json::String(text.to_owned()), Json::Number)
}

fn number(text: &str) -> Option<Number> {
    if !text.starts_with(|sign: char| sign.is_ascii_digit() || ['+', '-', '.'].contains(&sign)) {
        return None;
    }
    let plain = text.replace('_', "");
    if let Some(whole) = whole(&plain) {
        return i64::try_from(whole)
            .map(Number::from)
            .ok()
            .or_else(|| u64::try_from(whole).map(Number::from).ok());
    }
    fits(&FLOAT, &plain)
        .then(|| plain.parse().ok())
        .flatten()
        .and_then(Number::from_f64)
}

/// A whole number in base 10, 16, 8 (`0o` or a leading 0) or 2.
fn whole(plain: &str) -> Option<i128> {
    let (minus, digits) = match plain.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, plain.strip_prefix('+').unwrap_or(plain)),
    };
    let (base, digits) = match digits.get(..2).map(str::to_ascii_lowercase).as_deref() {
        Some("0x") => (16, &digits[2..]),
        Some("0o") => (8, &digits[2..]),
        Some("0b") => (2, &digits[2..]),
        _ if digits.len() > 1 && digits.starts_with('0') => (8, &digits[1..]),
        _ => (10, digits),
    };
    if digits.starts_with(['+', '-']) {
        return None;
    }
    let found = i128::from_str_radix(digits, base).ok()?;
    let found = if minus { -found } else { found };
    (i128::from(i64::MIN) <= found && found <= i128::from(u64::MAX)).then_some(found)
}

/// Whether a text would be something else than itself if it stood without quotes.
pub(super) fn needs_quotes(text: &str) -> bool {
    let special = matches!(
        text,
        "<<" | ".nan"
            | ".NaN"
            | ".NAN"
            | ".inf"
            | ".Inf"
            | ".INF"
            | "+.inf"
            | "+.Inf"
            | "+.INF"
            | "-.inf"
            | "-.Inf"
            | "-.INF"
    );
    special || !resolve(text).is_string() || fits(&BASE_60, text) || fits(&TIME, text)
}
