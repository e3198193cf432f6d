//! Secrets out of texts of a provider, before these go into errors, events or logs: as they are, and as base64, in URLs and
//! in XML.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};

/// Shorter ones would blacken half of each text, and are no secrets.
const SHORTEST: usize = 4;
const REPLACEMENT: &str = "[secret]";

/// The secrets of one call.
#[derive(Default)]
pub struct Redaction {
    /// Every form of each, the longest first, so that none is cut by a shorter one.
    forms: Vec<String>,
}

impl std::fmt::Debug for Redaction {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Redaction")
            .field("forms", &self.forms.len())
            .finish()
    }
}

impl Redaction {
    /// Of these secrets.
    #[must_use]
    pub fn new<'a>(secrets: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut forms = BTreeSet::new();
        for secret in secrets.into_iter().filter(|secret| secret.len() >= SHORTEST) {
            for engine in [&STANDARD, &STANDARD_NO_PAD, &URL_SAFE, &URL_SAFE_NO_PAD] {
                forms.insert(engine.encode(secret));
            }
            if let Ok(text) = std::str::from_utf8(secret) {
                forms.insert(text.to_owned());
                forms.insert(in_url(text));
                forms.insert(in_xml(text));
                let quoted = serde_json::Value::from(text).to_string();
                forms.insert(quoted.trim_matches('"').to_owned());
            }
        }
        let mut forms: Vec<String> = forms.into_iter().collect();
        forms.sort_by_key(|form| std::cmp::Reverse(form.len()));
        Self { forms }
    }

    /// The text without them.
    #[must_use]
    pub fn apply(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for form in &self.forms {
            if text.contains(form.as_str()) {
                text = text.replace(form.as_str(), REPLACEMENT);
            }
        }
        text
    }
}

fn in_url(text: &str) -> String {
    let mut url = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            url.push(char::from(byte));
        } else {
            // A String takes everything.
            let _ = write!(url, "%{byte:02X}");
        }
    }
    url
}

fn in_xml(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
        .replace('\'', "&apos;")
}

#[cfg(test)]
mod tests {
    use super::{REPLACEMENT, Redaction};

    #[test]
    fn every_form_of_a_secret_goes() {
        let secret = "pa\"ss<w&ord>/+ü";
        let redaction = Redaction::new([secret.as_bytes(), b"abc"]);
        for text in [
            secret,
            "cGEic3M8dyZvcmQ+LyvDvA==",
            "cGEic3M8dyZvcmQ-LyvDvA",
            "pa%22ss%3Cw%26ord%3E%2F%2B%C3%BC",
            "pa&quot;ss&lt;w&amp;ord&gt;/+ü",
            "pa\\\"ss<w&ord>/+ü",
        ] {
            let clean = redaction.apply(&format!("before {text} after"));
            assert!(clean.contains(REPLACEMENT), "{text}: {clean}");
            assert!(
                clean.starts_with("before ") && clean.ends_with(" after"),
                "{clean}"
            );
            assert!(!clean.contains(text), "{clean}");
        }
        assert_eq!(redaction.apply("abc stays"), "abc stays");
        assert!(!format!("{redaction:?}").contains("pa"));
    }
}
