//! Values from their texts. An error says what is expected.

use std::path::PathBuf;
use std::str::FromStr;

pub(super) fn optional(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

pub(super) fn parsed<T: FromStr>(text: &str, want: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("it must be {want}"))
}

pub(super) fn number(text: &str, least: u32, most: u32, what: &str) -> Result<u32, String> {
    let want = format!("a number of {what}, {least} to {most}");
    let number = parsed::<u32>(text, &want)?;
    match (least..=most).contains(&number) {
        true => Ok(number),
        false => Err(format!("it must be {want}")),
    }
}

pub(super) fn port(text: &str) -> Result<u16, String> {
    parsed::<u16>(text, "a port, 1 to 65535").and_then(|port| match port {
        0 => Err("it must be a port, 1 to 65535".to_owned()),
        port => Ok(port),
    })
}

pub(super) fn minutes(text: &str, most: u32) -> Result<u32, String> {
    number(text, 1, most, "minutes")
}

pub(super) fn path(text: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    if path.is_absolute() {
        Ok(path)
    } else {
        Err("it must be an absolute path".to_owned())
    }
}

/// A site's name stands in certificates and URIs: a DNS name.
pub(super) fn site(text: &str) -> Result<String, String> {
    let label = |part: &str| {
        let inner = part
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
        inner && !part.is_empty() && part.len() <= 63 && !part.starts_with('-') && !part.ends_with('-')
    };
    if text.len() <= 60 && text.split('.').all(label) {
        Ok(text.to_owned())
    } else {
        Err("it must be a DNS name of at most 60 lower-case letters, digits, `-` and `.`".to_owned())
    }
}

pub(super) fn optional_path(text: &str) -> Result<Option<PathBuf>, String> {
    optional(text).map(|text| path(&text)).transpose()
}
