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
}

/// What is asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Action<'a> {
    pub(crate) verb: &'a str,
    pub(crate) group: &'a str,
    pub(crate) resource: &'a str,
    pub(crate) namespace: &'a str,
}

/// True when the identity may do it.
pub(crate) fn allows(roles: &[Role], identity: &Identity, action: Action<'_>) -> bool {
    if identity.groups.iter().any(|g| g == MASTERS) {
        return true;
    }
    // Questions about oneself are open to everybody who is known.
    if action.verb == "create" && action.resource.starts_with("selfsubject") {
        return !identity.is_anonymous();
    }
    let groups = identity.all_groups();
    let has = |list: &[String], wanted: &str| list.iter().any(|item| item == "*" || item == wanted);
    roles.iter().any(|role| {
        let subject = role
            .subjects
            .iter()
            .any(|s| *s == identity.name || groups.contains(s));
        subject
            && has(&role.verbs, action.verb)
            && has(&role.groups, action.group)
            && has(&role.resources, action.resource)
            && (role.namespaces.is_empty() || has(&role.namespaces, action.namespace))
    })
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
    }
}
