//! The kinds that `gantry get` knows by short names, and where the API serves them.

/// Where a kind is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Kind {
    /// Names that users type, the usual one first.
    pub(crate) names: &'static [&'static str],
    pub(crate) group: &'static str,
    pub(crate) version: &'static str,
    pub(crate) plural: &'static str,
    pub(crate) namespaced: bool,
}

const fn kind(
    names: &'static [&'static str],
    group: &'static str,
    version: &'static str,
    plural: &'static str,
    namespaced: bool,
) -> Kind {
    Kind {
        names,
        group,
        version,
        plural,
        namespaced,
    }
}

/// `machines` are those of clusters; the machines of `bmc.tinkerbell.org` are `bmcs` here.
pub(crate) const KINDS: &[Kind] = &[
    kind(
        &["clusters", "cluster"],
        "anywhere.eks.amazonaws.com",
        "v1alpha1",
        "clusters",
        true,
    ),
    kind(
        &["machines", "machine", "ma"],
        "cluster.x-k8s.io",
        "v1beta2",
        "machines",
        true,
    ),
    kind(
        &["machinedeployments", "machinedeployment", "md"],
        "cluster.x-k8s.io",
        "v1beta2",
        "machinedeployments",
        true,
    ),
    kind(
        &["machinesets", "machineset", "ms"],
        "cluster.x-k8s.io",
        "v1beta2",
        "machinesets",
        true,
    ),
    kind(
        &["machinepools", "machinepool", "mp"],
        "cluster.x-k8s.io",
        "v1beta2",
        "machinepools",
        true,
    ),
    kind(
        &["servers", "server", "srv"],
        "gantry.dev",
        "v1alpha1",
        "servers",
        true,
    ),
    kind(
        &["bmcs", "bmc"],
        "bmc.tinkerbell.org",
        "v1alpha1",
        "machines",
        true,
    ),
    kind(
        &["workflows", "workflow", "wf"],
        "tinkerbell.org",
        "v1alpha1",
        "workflows",
        true,
    ),
    kind(
        &["hardware", "hw"],
        "tinkerbell.org",
        "v1alpha1",
        "hardware",
        true,
    ),
    kind(&["plans", "plan"], "gantry.dev", "v1alpha1", "plans", true),
    kind(
        &["planapprovals", "planapproval"],
        "gantry.dev",
        "v1alpha1",
        "planapprovals",
        true,
    ),
    kind(&["images", "image"], "gantry.dev", "v1alpha1", "images", true),
    kind(
        &["templates", "template"],
        "tinkerbell.org",
        "v1alpha1",
        "templates",
        true,
    ),
    kind(&["jobs", "job"], "bmc.tinkerbell.org", "v1alpha1", "jobs", true),
    kind(
        &["tasks", "task"],
        "bmc.tinkerbell.org",
        "v1alpha1",
        "tasks",
        true,
    ),
    kind(
        &["providerclusters", "providercluster"],
        "gantry.dev",
        "v1alpha1",
        "providerclusters",
        true,
    ),
    kind(
        &["providermachines", "providermachine"],
        "gantry.dev",
        "v1alpha1",
        "providermachines",
        true,
    ),
    kind(
        &["providerdrivers", "providerdriver"],
        "gantry.dev",
        "v1alpha1",
        "providerdrivers",
        false,
    ),
    kind(
        &["controlplanes", "controlplane"],
        "gantry.dev",
        "v1alpha1",
        "controlplanes",
        true,
    ),
    kind(
        &["releases", "release"],
        "gantry.dev",
        "v1alpha1",
        "releases",
        false,
    ),
    kind(
        &["bootevents", "bootevent"],
        "records.gantry.dev",
        "v1alpha1",
        "bootevents",
        false,
    ),
    kind(
        &["actionlogs", "actionlog"],
        "records.gantry.dev",
        "v1alpha1",
        "actionlogs",
        false,
    ),
    kind(
        &["driverlogs", "driverlog"],
        "records.gantry.dev",
        "v1alpha1",
        "driverlogs",
        false,
    ),
    kind(&["events", "event", "ev"], "", "v1", "events", true),
    kind(&["secrets", "secret"], "", "v1", "secrets", true),
    kind(&["namespaces", "namespace", "ns"], "", "v1", "namespaces", false),
];

/// The kind with that name.
pub(crate) fn find(name: &str) -> Option<Kind> {
    let name = name.to_ascii_lowercase();
    KINDS
        .iter()
        .copied()
        .find(|kind| kind.names.contains(&name.as_str()))
}

/// The usual names of all kinds.
pub(crate) fn known() -> Vec<&'static str> {
    KINDS
        .iter()
        .filter_map(|kind| kind.names.first().copied())
        .collect()
}

impl Kind {
    /// Path of the collection; no namespace means all of them.
    pub(crate) fn path(&self, namespace: Option<&str>) -> String {
        let root = if self.group.is_empty() {
            format!("/api/{}", self.version)
        } else {
            format!("/apis/{}/{}", self.group, self.version)
        };
        match namespace.filter(|_| self.namespaced) {
            Some(namespace) => format!("{root}/namespaces/{namespace}/{}", self.plural),
            None => format!("{root}/{}", self.plural),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_name_is_taken_twice() {
        let names: Vec<&str> = KINDS.iter().flat_map(|kind| kind.names).copied().collect();
        assert_eq!(names.len(), names.iter().collect::<BTreeSet<_>>().len());
    }

    #[test]
    fn machines_are_those_of_clusters() {
        assert_eq!(find("machines").unwrap().group, "cluster.x-k8s.io");
        assert_eq!(
            find("BMC").unwrap().path(Some("a")),
            "/apis/bmc.tinkerbell.org/v1alpha1/namespaces/a/machines"
        );
        assert_eq!(
            find("releases").unwrap().path(Some("a")),
            "/apis/gantry.dev/v1alpha1/releases"
        );
        assert_eq!(find("nothing"), None);
    }

    #[test]
    fn every_kind_of_ours_is_listed_where_its_definition_says() {
        for definition in resources::crds() {
            let spec = &definition.spec;
            if spec.group == "anywhere.eks.amazonaws.com" || spec.names.plural == "clusters" {
                continue;
            }
            let version = &spec.versions[0].name;
            let listed = KINDS.iter().any(|kind| {
                kind.group == spec.group && kind.plural == spec.names.plural && kind.version == *version
            });
            assert!(listed, "{} of {}", spec.names.plural, spec.group);
        }
    }
}
