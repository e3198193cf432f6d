//! Names and label syntax: RFC 1123 and RFC 1035 as the Kubernetes API checks them.

use serde_json::Value;

use crate::meta::Meta;
use crate::status::Cause;

/// How the names of a kind are checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NameRule {
    /// RFC 1123 subdomain, up to 253 characters; the rule of nearly all kinds.
    Subdomain,
    /// RFC 1123 label, up to 63 characters; namespaces.
    Label,
}

const SUBDOMAIN: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', \
                         and must start and end with an alphanumeric character";
const LABEL: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must \
                     start and end with an alphanumeric character";

fn lower_alnum(c: char) -> bool {
    c.is_ascii_lowercase() || c.is_ascii_digit()
}

fn is_label(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 63
        && text.chars().all(|c| lower_alnum(c) || c == '-')
        && text.starts_with(lower_alnum)
        && text.ends_with(lower_alnum)
}

pub(crate) fn is_subdomain(text: &str) -> bool {
    let part = |p: &str| {
        !p.is_empty()
            && p.chars().all(|c| lower_alnum(c) || c == '-')
            && p.starts_with(lower_alnum)
            && p.ends_with(lower_alnum)
    };
    text.len() <= 253 && text.split('.').all(part)
}

/// The part of a qualified name after the prefix, and label values when not empty.
fn is_qualified_part(text: &str) -> bool {
    let edge = |c: char| c.is_ascii_alphanumeric();
    !text.is_empty()
        && text.len() <= 63
        && text.chars().all(|c| edge(c) || matches!(c, '-' | '_' | '.'))
        && text.starts_with(edge)
        && text.ends_with(edge)
}

pub(crate) fn is_qualified(key: &str) -> bool {
    match key.split_once('/') {
        Some((prefix, name)) => is_subdomain(prefix) && is_qualified_part(name),
        None => is_qualified_part(key),
    }
}

pub(crate) fn is_label_value(value: &str) -> bool {
    value.is_empty() || is_qualified_part(value)
}

/// Checks `metadata` of an object that is about to be written.
pub(crate) fn check(object: &Value, rule: NameRule, namespaced: bool) -> Vec<Cause> {
    let mut causes = Vec::new();
    let name = object.name();
    let (sound, text) = match rule {
        NameRule::Subdomain => (is_subdomain(name), SUBDOMAIN),
        NameRule::Label => (is_label(name), LABEL),
    };
    if name.is_empty() {
        causes.push(Cause::required(
            "metadata.name",
            "name or generateName is required",
        ));
    } else if !sound {
        causes.push(Cause::invalid("metadata.name", &name.into(), text));
    }
    let namespace = object.namespace();
    if namespaced && !is_label(namespace) {
        causes.push(Cause::invalid("metadata.namespace", &namespace.into(), LABEL));
    }
    if !namespaced && !namespace.is_empty() {
        causes.push(Cause::forbidden("metadata.namespace", "not allowed on this type"));
    }
    check_maps(object, &mut causes);
    check_lists(object, &mut causes);
    causes
}

fn check_maps(object: &Value, causes: &mut Vec<Cause>) {
    let Some(meta) = object.meta() else { return };
    for field in ["labels", "annotations"] {
        let path = format!("metadata.{field}");
        let map = match meta.get(field) {
            None | Some(Value::Null) => continue,
            Some(Value::Object(map)) => map,
            Some(other) => {
                causes.push(Cause::wrong_type(&path, other, "object"));
                continue;
            }
        };
        for (key, value) in map {
            if !is_qualified(key) {
                let text = "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and \
                            end with an alphanumeric character, with an optional DNS subdomain prefix and '/'";
                causes.push(Cause::invalid(&path, &key.as_str().into(), text));
            }
            match value.as_str() {
                None => causes.push(Cause::wrong_type(&format!("{path}.{key}"), value, "string")),
                Some(text) if field == "labels" && !is_label_value(text) => {
                    let rule = "a valid label must be an empty string or consist of alphanumeric characters, '-', \
                                '_' or '.', start and end with an alphanumeric character, and have at most 63 of them";
                    causes.push(Cause::invalid(&path, value, rule));
                }
                Some(_) => {}
            }
        }
    }
}

fn check_lists(object: &Value, causes: &mut Vec<Cause>) {
    let Some(meta) = object.meta() else { return };
    match meta.get("finalizers") {
        None | Some(Value::Null) => {}
        Some(Value::Array(list)) => {
            for (i, item) in list.iter().enumerate() {
                let path = format!("metadata.finalizers[{i}]");
                match item.as_str() {
                    None => causes.push(Cause::wrong_type(&path, item, "string")),
                    Some(text) if !is_qualified(text) => {
                        causes.push(Cause::invalid(&path, item, "must be a qualified name"));
                    }
                    Some(_) => {}
                }
            }
        }
        Some(other) => causes.push(Cause::wrong_type("metadata.finalizers", other, "array")),
    }
    for (i, owner) in object.owners().iter().enumerate() {
        for field in ["apiVersion", "kind", "name", "uid"] {
            if owner.get(field).and_then(Value::as_str).is_none_or(str::is_empty) {
                let path = format!("metadata.ownerReferences[{i}].{field}");
                causes.push(Cause::required(&path, "must not be empty"));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn syntax_table() {
        for (text, label, subdomain) in [
            ("a", true, true),
            ("a-1", true, true),
            ("a.b", false, true),
            ("A", false, false),
            ("-a", false, false),
            ("a-", false, false),
            ("a..b", false, false),
            ("", false, false),
        ] {
            assert_eq!(
                (is_label(text), is_subdomain(text)),
                (label, subdomain),
                "{text:?}"
            );
        }
        for (key, good) in [
            ("a", true),
            ("x.y/A_b", true),
            ("/a", false),
            ("x/", false),
            ("a b", false),
        ] {
            assert_eq!(is_qualified(key), good, "{key:?}");
        }
        assert!(!is_label(&"a".repeat(64)) && is_label(&"a".repeat(63)));
    }

    #[test]
    fn all_faults_are_named_at_once() {
        let object = json!({"metadata": {"name": "Bad_Name", "namespace": "x", "labels": {"a b": "c", "d": "e f"},
            "annotations": {"n": 1}, "finalizers": ["no good"], "ownerReferences": [{"kind": "A"}]}});
        let fields: Vec<String> = check(&object, NameRule::Subdomain, true)
            .into_iter()
            .map(|c| c.field)
            .collect();
        assert_eq!(
            fields,
            [
                "metadata.name",
                "metadata.labels",
                "metadata.labels",
                "metadata.annotations.n",
                "metadata.finalizers[0]",
                "metadata.ownerReferences[0].apiVersion",
                "metadata.ownerReferences[0].name",
                "metadata.ownerReferences[0].uid"
            ]
        );
    }
}
