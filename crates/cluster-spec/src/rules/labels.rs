//! Labels of nodes.

use std::collections::BTreeMap;

use crate::violation::Report;

/// Labels by Kubernetes' syntax.
pub(super) fn check_labels(labels: &BTreeMap<String, String>, path: &str, report: &mut Report) {
    let name = |text: &str| {
        let inner = |octet: u8| octet.is_ascii_alphanumeric() || b"-_.".contains(&octet);
        let outer = |octet: Option<&u8>| octet.is_some_and(u8::is_ascii_alphanumeric);
        let octets = text.as_bytes();
        octets.len() <= 63 && text.bytes().all(inner) && outer(octets.first()) && outer(octets.last())
    };
    for (key, value) in labels {
        let short = key.rsplit('/').next().unwrap_or_default();
        if !name(short) || key.matches('/').count() > 1 || !(value.is_empty() || name(value)) {
            report.add(
                format!("{path}.{key}"),
                format!("{key}={value} is not a valid label"),
                "use letters, digits, '-', '_' and '.', at most 63, with a letter or digit at both ends",
            );
        }
    }
}
