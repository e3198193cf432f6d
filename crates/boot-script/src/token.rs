//! Checks of values that go into a script line.
//!
//! iPXE splits a line at white space without any quoting, expands `${...}`, and knows `||`, `&&`, `;` and `#` as words
//! of their own. So a value must be one printable ASCII word without those; everything else is refused, not corrected.

use crate::error::ScriptError;

/// Limits of reliability: bytes of a kernel command line and number of its arguments.
pub(crate) const MAX_COMMAND_LINE: usize = 2048;
pub(crate) const MAX_ARGUMENTS: usize = 128;

/// `value` if it can stand as one word.
pub(crate) fn word<'a>(field: &'static str, value: &'a str) -> Result<&'a str, ScriptError> {
    let refuse = |why| {
        let value = value.chars().take(80).collect();
        Err(ScriptError::Value { field, value, why })
    };
    if value.is_empty() {
        return refuse("it is empty");
    }
    if !value.bytes().all(|byte| byte.is_ascii_graphic()) {
        return refuse("only printable ASCII without spaces can");
    }
    if value.contains("${") {
        return refuse("iPXE would expand ${");
    }
    if matches!(value, "||" | "&&" | ";") || value.starts_with('#') {
        return refuse("iPXE would read it as a separator or comment");
    }
    Ok(value)
}

/// `value` if it is an http or https URL and one word.
pub(crate) fn http_url<'a>(field: &'static str, value: &'a str) -> Result<&'a str, ScriptError> {
    let url = word(field, value)?;
    if url.starts_with("http://") || url.starts_with("https://") {
        return Ok(url);
    }
    let value = url.chars().take(80).collect();
    Err(ScriptError::Value {
        field,
        value,
        why: "only http:// and https:// can be fetched",
    })
}

/// A GUID in its usual text form, in lower case; `None` if it is none.
pub(crate) fn guid(text: &str) -> Option<String> {
    let groups: Vec<&str> = text.split('-').collect();
    let lengths: Vec<usize> = groups.iter().map(|group| group.len()).collect();
    let hex = text.bytes().all(|byte| byte == b'-' || byte.is_ascii_hexdigit());
    (hex && lengths == [8, 4, 4, 4, 12]).then(|| text.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_change_the_line_is_refused() {
        for value in [
            "", "a b", "a\nexit", "a\rb", "${mac}", "||", "&&", ";", "#x", "\u{e9}", "a\tb", "\0",
        ] {
            assert!(word("x", value).is_err(), "{value:?}");
        }
        for value in [
            "console=ttyS1,115200",
            "a#b",
            "a;b",
            "a=||b",
            "ip=10.0.0.1::10.0.0.2",
            "$HOME",
            "\"a\"",
        ] {
            assert_eq!(word("x", value).unwrap(), value);
        }
        assert!(http_url("x", "ftp://a/b").is_err());
        assert!(http_url("x", "http://a/b c").is_err());
    }

    #[test]
    fn only_a_guid_is_a_guid() {
        assert_eq!(
            guid("C12A7328-F81F-11D2-BA4B-00A0C93EC93B").unwrap(),
            "c12a7328-f81f-11d2-ba4b-00a0c93ec93b"
        );
        for text in [
            "",
            "c12a7328",
            "c12a7328-f81f-11d2-ba4b-00a0c93ec93",
            "c12a7328-f81f-11d2-ba4b-00a0c93ec9 x",
        ] {
            assert_eq!(guid(text), None);
        }
    }
}
