//! What a CustomResourceDefinition may not say: rules of groups, conversion and versions. Pure.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::status::Cause;

/// Annotation that a definition in a group of the Kubernetes project needs.
const APPROVAL: &str = "api-approved.kubernetes.io";

/// Cause for refusing the group. `reserved`: groups of kinds that need no definition.
pub(super) fn bad_group(object: &Value, reserved: &BTreeSet<&str>) -> Option<Cause> {
    let group = object["spec"]["group"].as_str().unwrap_or("");
    let own = ["k8s.io", "kubernetes.io"];
    let is_protected = own.iter().any(|own| {
        let before = group.strip_suffix(own);
        before.is_some_and(|before| before.is_empty() || before.ends_with('.'))
    });
    if is_protected && let Some(cause) = bad_approval(object) {
        return Some(cause);
    }
    reserved.contains(group).then(|| {
        let text = "is the group of built-in kinds; choose another one";
        Cause::invalid("spec.group", &group.into(), text)
    })
}

fn bad_approval(object: &Value) -> Option<Cause> {
    let field = format!("metadata.annotations[{APPROVAL}]");
    let given = object["metadata"]["annotations"][APPROVAL].as_str().unwrap_or("");
    if given.is_empty() {
        let text = format!(
            "protected groups must have approval annotation {APPROVAL:?}, \
             see https://github.com/kubernetes/enhancements/pull/1111"
        );
        return Some(Cause::required(&field, &text));
    }
    let is_url = url::Url::parse(given).is_ok_and(|url| url.has_host());
    (!is_url && !given.starts_with("unapproved")).then(|| {
        let text =
            "protected groups must have an approval annotation that is a URL or begins with \"unapproved\"";
        Cause::invalid(&field, &given.into(), text)
    })
}

/// Cause for refusing the conversion.
pub(super) fn bad_conversion(object: &Value) -> Option<Cause> {
    let field = "spec.conversion.strategy";
    match object["spec"]["conversion"].get("strategy") {
        None | Some(Value::Null) => None,
        Some(strategy) if strategy == "None" => None,
        Some(strategy) if strategy == "Webhook" => {
            let text = "this server does not call conversion webhooks, and without them objects would lose fields: \
                        serve a single version, or use strategy None when all versions have the same fields";
            Some(Cause::forbidden(field, text))
        }
        Some(other) => Some(Cause::unsupported(
            field,
            other,
            &[json!("None"), json!("Webhook")],
        )),
    }
}

/// Causes for refusing the paths of the versions' scales. Where all versions have the same subresources, they are those of the
/// definition.
pub(super) fn bad_scales(versions: &[Value]) -> Vec<Cause> {
    let same = versions
        .windows(2)
        .all(|pair| pair[0]["subresources"] == pair[1]["subresources"]);
    let take = if same { 1 } else { versions.len() };
    let scales = versions.iter().take(take).enumerate();
    scales
        .flat_map(|(i, version)| {
            let at = if same {
                "spec.subresources.scale".to_owned()
            } else {
                format!("spec.versions[{i}].subresources.scale")
            };
            bad_scale(&at, &version["subresources"]["scale"])
        })
        .collect()
}

fn bad_scale(at: &str, scale: &Value) -> Vec<Cause> {
    if scale.is_null() {
        return Vec::new();
    }
    let paths = [
        (
            "specReplicasPath",
            true,
            &[".spec."] as &[&str],
            "should be a json path under .spec",
        ),
        (
            "statusReplicasPath",
            true,
            &[".status."],
            "should be a json path under .status",
        ),
        (
            "labelSelectorPath",
            false,
            &[".spec.", ".status."],
            "should be a json path under either .spec or .status",
        ),
    ];
    let bad = |(field, required, within, text): (&str, bool, &[&str], &str)| {
        let at = format!("{at}.{field}");
        let path = scale[field].as_str().unwrap_or("");
        match path {
            "" => required.then(|| Cause::required(&at, "")),
            path if within.iter().any(|within| path.starts_with(within)) => None,
            path => Some(Cause::invalid(&at, &path.into(), text)),
        }
    };
    paths.into_iter().filter_map(bad).collect()
}

/// Causes for refusing `status.storedVersions`: every version in which objects may be stored must be defined.
pub(crate) fn bad_stored_versions(object: &Value) -> Vec<Cause> {
    let versions = object["spec"]["versions"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    let stored = object["status"]["storedVersions"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    let missing = |name: &&Value| !versions.iter().any(|version| version["name"] == **name);
    let unknown = stored.iter().enumerate().filter(|(_, name)| missing(name));
    unknown
        .map(|(i, name)| {
            let name_text = name.as_str().unwrap_or("");
            let text = format!(
                "missing from spec.versions; {name_text} was previously a storage version, and must remain in \
                 spec.versions until a storage migration ensures no data remains persisted in {name_text} and \
                 removes {name_text} from status.storedVersions"
            );
            Cause::invalid(&format!("status.storedVersions[{i}]"), name, &text)
        })
        .collect()
}

/// Causes for refusing changes of what can't change.
pub(crate) fn unchanged(old: &Value, new: &Value) -> Vec<Cause> {
    let fields = [
        ("spec.group", "/spec/group"),
        ("spec.scope", "/spec/scope"),
        ("spec.names.plural", "/spec/names/plural"),
        ("spec.names.kind", "/spec/names/kind"),
    ];
    let changed = fields
        .iter()
        .filter(|(_, pointer)| old.pointer(pointer) != new.pointer(pointer));
    changed
        .map(|(field, pointer)| {
            let value = new.pointer(pointer).cloned().unwrap_or_default();
            Cause::invalid(field, &value, "field is immutable")
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups() {
        for (group, approval, expected) in [
            ("example.dev", "", None),
            (
                "x.k8s.io",
                "",
                Some("metadata.annotations[api-approved.kubernetes.io]"),
            ),
            (
                "k8s.io",
                "",
                Some("metadata.annotations[api-approved.kubernetes.io]"),
            ),
            (
                "x.kubernetes.io",
                "yes",
                Some("metadata.annotations[api-approved.kubernetes.io]"),
            ),
            ("x.k8s.io", "https://github.com/a/b/pull/1", None),
            ("x.k8s.io", "unapproved, an experiment", None),
            ("cluster.x-k8s.io", "", None),
            ("coordination.k8s.io", "unapproved", Some("spec.group")),
        ] {
            let object = json!({"metadata": {"annotations": {APPROVAL: approval}}, "spec": {"group": group}});
            let found = bad_group(&object, &BTreeSet::from(["coordination.k8s.io"])).map(|cause| cause.field);
            assert_eq!(found.as_deref(), expected, "{group} {approval}");
        }
    }

    #[test]
    fn conversions() {
        for (conversion, expected) in [
            (json!(null), None),
            (json!({}), None),
            (json!({"strategy": "None"}), None),
            (json!({"strategy": "Webhook"}), Some("FieldValueForbidden")),
            (json!({"strategy": "Magic"}), Some("FieldValueNotSupported")),
        ] {
            let found =
                bad_conversion(&json!({"spec": {"conversion": conversion}})).map(|cause| cause.reason);
            assert_eq!(found, expected, "{conversion}");
        }
    }

    #[test]
    fn scales() {
        let version = |spec: &str, status: &str, selector: &str| {
            let scale = json!({"specReplicasPath": spec, "statusReplicasPath": status, "labelSelectorPath": selector});
            json!({"subresources": {"scale": scale}})
        };
        let fields = |versions: &[Value]| -> Vec<String> {
            let causes = bad_scales(versions).into_iter();
            causes.map(|cause| cause.field).collect()
        };
        for (spec, status, selector, expected) in [
            (".spec.replicas", ".status.replicas", "", None),
            (".spec.a.b", ".status.a.b", ".spec.selector", None),
            ("", ".status.replicas", "", Some("specReplicasPath")),
            (
                ".status.replicas",
                ".status.replicas",
                "",
                Some("specReplicasPath"),
            ),
            ("spec.replicas", ".status.replicas", "", Some("specReplicasPath")),
            (".spec.replicas", ".spec.replicas", "", Some("statusReplicasPath")),
            (
                ".spec.replicas",
                ".status.replicas",
                ".metadata.labels",
                Some("labelSelectorPath"),
            ),
        ] {
            let one = version(spec, status, selector);
            let expected = expected.map(|field| format!("spec.subresources.scale.{field}"));
            let expected = Vec::from_iter(expected);
            assert_eq!(
                fields(std::slice::from_ref(&one)),
                expected,
                "{spec} {status} {selector}"
            );
            assert_eq!(
                fields(&[one.clone(), one]),
                expected,
                "{spec} {status} {selector}"
            );
        }
        let good = version(".spec.replicas", ".status.replicas", "");
        let bad = version("", ".status.replicas", "");
        assert_eq!(
            fields(&[good, bad]),
            ["spec.versions[1].subresources.scale.specReplicasPath"]
        );
        assert_eq!(bad_scales(&[json!({"subresources": {"status": {}}})]), Vec::new());
    }

    #[test]
    fn stored_versions() {
        let object = |stored: Value| {
            json!({"spec": {"versions": [{"name": "v1"}, {"name": "v2", "storage": true}]},
                "status": {"storedVersions": stored}})
        };
        for (stored, unknown) in [
            (json!(["v1", "v2"]), 0),
            (json!(["v2"]), 0),
            (json!(["v0", "v2", "v9"]), 2),
            (json!(null), 0),
        ] {
            assert_eq!(
                bad_stored_versions(&object(stored.clone())).len(),
                unknown,
                "{stored}"
            );
        }
    }
}
