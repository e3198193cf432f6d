//! Labels of nodes.

use std::collections::BTreeMap;

use resources::keys;

use crate::violation::Report;

/// Labels by Kubernetes' syntax.
pub(super) fn check_labels(labels: &BTreeMap<String, String>, path: &str, report: &mut Report) {
    for (key, value) in labels {
        if key == keys::KUBERNETES_VERSION {
            report.add(
                format!("{path}.{key}"),
                "Gantry gives each node this label, with the version that it was installed with",
                "remove it",
            );
        }
        if !is_key(key) || !is_value(value) {
            report.add(
                format!("{path}.{key}"),
                format!("{key}={value} is not a valid label"),
                SYNTAX,
            );
        }
    }
}

/// What keys and values of labels and taints may be.
pub(super) const SYNTAX: &str = "use letters, digits, '-', '_' and '.', at most 63, with a letter or digit at both ends; a \
    key may have a DNS name and '/' in front";

/// A key: a name, and in front of it a DNS subdomain and `/` where there is one.
pub(super) fn is_key(key: &str) -> bool {
    let (prefix, short) = match key.split_once('/') {
        Some((prefix, short)) => (Some(prefix), short),
        None => (None, key),
    };
    is_name(short) && prefix.is_none_or(is_subdomain)
}

/// A value: nothing, or a name.
pub(super) fn is_value(value: &str) -> bool {
    value.is_empty() || is_name(value)
}

fn is_name(text: &str) -> bool {
    let inner = |octet: u8| octet.is_ascii_alphanumeric() || b"-_.".contains(&octet);
    let outer = |octet: Option<&u8>| octet.is_some_and(u8::is_ascii_alphanumeric);
    let octets = text.as_bytes();
    octets.len() <= 63 && text.bytes().all(inner) && outer(octets.first()) && outer(octets.last())
}

fn is_subdomain(text: &str) -> bool {
    let part = |part: &str| {
        let lower = |octet: u8| octet.is_ascii_lowercase() || octet.is_ascii_digit();
        let octets = part.as_bytes();
        let outer = |octet: Option<&u8>| octet.is_some_and(|octet| lower(*octet));
        part.bytes().all(|octet| lower(octet) || octet == b'-')
            && outer(octets.first())
            && outer(octets.last())
    };
    text.len() <= 253 && text.split('.').all(part)
}
