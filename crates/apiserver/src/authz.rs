//! Who may do what. First cut: `system:masters` may do everything, others what a [`Role`] grants. Pure.

use crate::authn::{Identity, MASTERS};

/// A grant to a user or group.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Role {
    /// Users and groups that have it.
    pub subjects: Vec<String>,
    /// Verbs; `*` for all.
    pub verbs: Vec<String>,
    /// API groups; `*` for all, `""` for the core group.
    pub groups: Vec<String>,
    /// Plurals, with subresource as `plural/status`; `*` for all.
    pub resources: Vec<String>,
    /// Namespaces; empty for all and for cluster-scoped kinds.
    pub namespaces: Vec<String>,
    /// Paths that are no resources, such as `/metrics`; `*` for all.
    pub paths: Vec<String>,
}

/// What is asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Action<'a> {
    pub(crate) verb: &'a str,
    pub(crate) group: &'a str,
    pub(crate) resource: &'a str,
    pub(crate) namespace: &'a str,
}

/// True when the identity may do this with a path that is no resource.
pub(crate) fn allows_path(roles: &[Role], identity: &Identity, verb: &str, path: &str) -> bool {
    is_master(identity)
        || roles_of(roles, identity).any(|role| has(&role.verbs, verb) && has(&role.paths, path))
}

/// True when the identity may do it.
pub(crate) fn allows(roles: &[Role], identity: &Identity, action: Action<'_>) -> bool {
    if is_master(identity) {
        return true;
    }
    // Questions about oneself are open to everybody who is known.
    if action.verb == "create" && action.resource.starts_with("selfsubject") {
        return !identity.is_anonymous();
    }
    roles_of(roles, identity).any(|role| {
        has(&role.verbs, action.verb)
            && has(&role.groups, action.group)
            && has(&role.resources, action.resource)
            && (role.namespaces.is_empty() || has(&role.namespaces, action.namespace))
    })
}

fn is_master(identity: &Identity) -> bool {
    identity.groups.iter().any(|group| group == MASTERS)
}

fn roles_of<'a>(roles: &'a [Role], identity: &Identity) -> impl Iterator<Item = &'a Role> {
    let (name, groups) = (identity.name.clone(), identity.all_groups());
    let is_subject = move |subject: &String| *subject == name || groups.contains(subject);
    roles
        .iter()
        .filter(move |role| role.subjects.iter().any(&is_subject))
}

fn has(list: &[String], wanted: &str) -> bool {
    list.iter().any(|item| item == "*" || item == wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grants_table() {
        let list = |items: &[&str]| items.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>();
        let roles = [Role {
            subjects: list(&["viewers"]),
            verbs: list(&["get", "list"]),
            groups: list(&["tinkerbell.org"]),
            resources: list(&["hardware"]),
            namespaces: list(&["a"]),
            paths: list(&["/metrics"]),
        }];
        let viewer = Identity {
            name: "v".into(),
            groups: list(&["viewers"]),
        };
        let other = Identity {
            name: "viewers2".into(),
            groups: vec![],
        };
        let admin = Identity::admin("root");
        for (identity, verb, group, resource, namespace, expected) in [
            (&admin, "delete", "", "secrets", "b", true),
            (&viewer, "get", "tinkerbell.org", "hardware", "a", true),
            (&viewer, "get", "tinkerbell.org", "hardware", "b", false),
            (&viewer, "delete", "tinkerbell.org", "hardware", "a", false),
            (&viewer, "get", "", "secrets", "a", false),
            (&viewer, "get", "tinkerbell.org", "hardware/status", "a", false),
            (&other, "get", "tinkerbell.org", "hardware", "a", false),
            (
                &other,
                "create",
                "authentication.k8s.io",
                "selfsubjectreviews",
                "",
                true,
            ),
            (
                &Identity::anonymous(),
                "create",
                "authentication.k8s.io",
                "selfsubjectreviews",
                "",
                false,
            ),
        ] {
            let action = Action {
                verb,
                group,
                resource,
                namespace,
            };
            assert_eq!(
                allows(&roles, identity, action),
                expected,
                "{identity:?} {action:?}"
            );
        }
        for (identity, verb, path, expected) in [
            (&admin, "get", "/metrics", true),
            (&viewer, "get", "/metrics", true),
            (&viewer, "get", "/metrics/", false),
            (&viewer, "delete", "/metrics", false),
            (&other, "get", "/metrics", false),
            (&Identity::anonymous(), "get", "/metrics", false),
        ] {
            assert_eq!(
                allows_path(&roles, identity, verb, path),
                expected,
                "{identity:?} {verb} {path}"
            );
        }
    }
}
