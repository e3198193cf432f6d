//! From the bytes of an answer to a value, with limits that a hostile BMC cannot get around.

use serde::de::DeserializeOwned;

/// Longest answer that is read.
pub(super) const MAX_BODY: usize = 4 * 1024 * 1024;
/// Deepest nesting of objects and arrays that is read.
const MAX_DEPTH: usize = 64;

/// Reads a JSON document; the error text says what is wrong with it and quotes none of it.
pub(super) fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
    if depth(bytes) > MAX_DEPTH {
        return Err(format!("nested deeper than {MAX_DEPTH} levels"));
    }
    serde_json::from_slice(bytes).map_err(|error| {
        format!(
            "not the expected JSON at line {}, column {}",
            error.line(),
            error.column()
        )
    })
}

/// The message in a Redfish error answer (DSP0266 §8.6), shortened to one safe line; empty if there is none.
pub(super) fn error_message(bytes: &[u8]) -> String {
    let Ok(value) = parse::<serde_json::Value>(bytes) else {
        return String::new();
    };
    let extended = value.pointer("/error/@Message.ExtendedInfo/0/Message");
    let Some(text) = extended
        .or_else(|| value.pointer("/error/message"))
        .and_then(|m| m.as_str())
    else {
        return String::new();
    };
    let line: String = text.chars().filter(|c| !c.is_control()).take(200).collect();
    format!(": {line}")
}

/// The deepest nesting of brackets outside of strings.
fn depth(bytes: &[u8]) -> usize {
    let (mut deepest, mut now) = (0usize, 0usize);
    let (mut in_string, mut escaped) = (false, false);
    for byte in bytes {
        match (in_string, escaped, byte) {
            (true, true, _) => escaped = false,
            (true, false, b'\\') => escaped = true,
            (true, false, b'"') => in_string = false,
            (false, _, b'"') => in_string = true,
            (false, _, b'{' | b'[') => {
                now = now.saturating_add(1);
                deepest = deepest.max(now);
            }
            (false, _, b'}' | b']') => now = now.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    #[test]
    fn depth_counts_brackets_outside_of_strings() {
        for (text, expected) in [
            ("", 0),
            ("{}", 1),
            (r#"{"a":[1,{"b":2}]}"#, 3),
            (r#"{"a":"[[[\"[["}"#, 1),
            ("]]]{", 1),
        ] {
            assert_eq!(depth(text.as_bytes()), expected, "{text}");
        }
    }

    #[test]
    fn too_deep_and_garbage_are_errors() {
        let deep = "[".repeat(65) + &"]".repeat(65);
        assert!(parse::<Value>(deep.as_bytes()).unwrap_err().contains("64"));
        let fits = "[".repeat(64) + &"]".repeat(64);
        assert!(parse::<Value>(fits.as_bytes()).is_ok());
        for garbage in ["", "<html>", "{\"a\":", "\u{0}"] {
            assert!(parse::<Value>(garbage.as_bytes()).is_err(), "{garbage}");
        }
    }

    #[test]
    fn error_messages_are_one_short_line() {
        let extended =
            r#"{"error":{"code":"x","message":"general","@Message.ExtendedInfo":[{"Message":"busy\nnow"}]}}"#;
        assert_eq!(error_message(extended.as_bytes()), ": busynow");
        assert_eq!(error_message(br#"{"error":{"message":"general"}}"#), ": general");
        assert_eq!(error_message(b"nonsense"), "");
        let long = format!(r#"{{"error":{{"message":"{}"}}}}"#, "x".repeat(5000));
        assert_eq!(error_message(long.as_bytes()).len(), 202);
    }
}
