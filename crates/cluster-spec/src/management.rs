//! The management cluster that a Cluster names.
//!
//! The appliance drives every cluster itself, so nothing of a workload cluster runs in its management cluster. The name
//! is an order: a cluster is not made before the one that it names is there, and that one is not deleted before it.
//! As in EKS Anywhere, a Cluster that names itself or none manages itself, and the name is looked for in the namespace of
//! the Cluster first, then in all of them.

use kube::ResourceExt;
use resources::anywhere::Cluster;

use crate::violation::{Report, Violation};

const NAME: &str = "spec.managementCluster.name";

/// What there is of the management cluster that a Cluster names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ManagementCluster {
    /// It is there, or the Cluster manages itself.
    Found,
    /// Nothing has its name yet. Whoever applies files in any order may still bring it.
    Missing(Violation),
    /// What has its name can't be a management cluster.
    Wrong(Violation),
}

/// The name of another cluster that is to manage this one.
pub(crate) fn named(cluster: &Cluster) -> Option<&str> {
    let name = cluster.spec.management_cluster.name.as_str();
    (!name.is_empty() && cluster.metadata.name.as_deref() != Some(name)).then_some(name)
}

/// Looks for the management cluster of a Cluster among all.
#[must_use]
pub fn management_cluster(cluster: &Cluster, all: &[&Cluster]) -> ManagementCluster {
    let Some(name) = named(cluster) else {
        return ManagementCluster::Found;
    };
    let own = cluster.name_any();
    let one = |message: String, next_step: String| Violation {
        kind: "Cluster",
        name: own.clone(),
        path: NAME.to_owned(),
        message,
        next_step,
    };
    let remove = format!("remove the field, so that {own} manages itself");
    let managed = workload_clusters(cluster, all);
    if !managed.is_empty() {
        return ManagementCluster::Wrong(one(
            format!(
                "{own} is the management cluster of {}, so no other cluster manages it",
                managed.join(", ")
            ),
            remove,
        ));
    }
    match candidates(cluster, name, all).as_slice() {
        [] => ManagementCluster::Missing(one(
            format!(
                "there is no cluster {name}, and {own} is not made before its management cluster is there"
            ),
            format!("create cluster {name}, or {remove}"),
        )),
        [manager] => match wrong(manager) {
            Some(why) => ManagementCluster::Wrong(one(why, format!("name another cluster, or {remove}"))),
            None => ManagementCluster::Found,
        },
        several => {
            let places: Vec<String> = several.iter().filter_map(|one| one.namespace()).collect();
            ManagementCluster::Wrong(one(
                format!(
                    "there are clusters {name} in the namespaces {}",
                    places.join(", ")
                ),
                format!("put {own} into the namespace of the one that you mean, or {remove}"),
            ))
        }
    }
}

/// Why a cluster can't be a management cluster.
fn wrong(manager: &Cluster) -> Option<String> {
    let name = manager.name_any();
    if manager.metadata.deletion_timestamp.is_some() {
        return Some(format!("cluster {name} is being deleted"));
    }
    named(manager)
        .map(|other| format!("cluster {name} is a workload cluster of {other}, and manages no other cluster"))
}

/// The clusters that a name may mean: the one of the same namespace, else those of all others.
fn candidates<'a>(cluster: &Cluster, name: &str, all: &[&'a Cluster]) -> Vec<&'a Cluster> {
    let of_name = all.iter().copied().filter(|other| other.name_any() == name);
    let of_name: Vec<&Cluster> = of_name.collect();
    let mut here = of_name
        .iter()
        .filter(|other| other.namespace() == cluster.namespace());
    here.next().map_or(of_name.clone(), |one| vec![*one])
}

/// Names of the clusters that name this one as their management cluster; in another namespace with that in front.
#[must_use]
pub fn workload_clusters(cluster: &Cluster, all: &[&Cluster]) -> Vec<String> {
    let (own, namespace) = (cluster.name_any(), cluster.namespace());
    let is_this = |other: &Cluster| other.name_any() == own && other.namespace() == namespace;
    let names_this = |other: &&&Cluster| {
        named(other) == Some(&own) && candidates(other, &own, all).into_iter().any(is_this)
    };
    let mut names: Vec<String> = all
        .iter()
        .filter(names_this)
        .map(|other| match other.namespace() {
            Some(theirs) if Some(&theirs) != namespace.as_ref() => format!("{theirs}/{}", other.name_any()),
            _ => other.name_any(),
        })
        .collect();
    names.sort();
    names
}

/// Whether a write makes a Cluster name another management cluster than before. Only then [`management_cluster`] can refuse
/// it; one that is not there yet is no reason: GitOps asks for every file before it applies the first, and would never
/// apply those of both.
#[must_use]
pub fn names_another_manager(old: Option<&Cluster>, new: &Cluster) -> bool {
    let name = named(new).filter(|_| new.metadata.deletion_timestamp.is_none());
    name.is_some() && name != old.and_then(named)
}

/// What is refused of the deletion of a Cluster beside all others: others name it as their management cluster.
#[must_use]
pub fn admit_cluster_deletion(cluster: &Cluster, all: &[&Cluster]) -> Vec<Violation> {
    let mut report = Report::new("Cluster", &cluster.name_any());
    let managed = workload_clusters(cluster, all);
    if !managed.is_empty() {
        report.add(
            "metadata.name",
            format!("it is the management cluster of {}", managed.join(", ")),
            "delete these first, and wait until they are gone",
        );
    }
    report.found
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// A cluster `NAMESPACE/NAME`, with the name of its management cluster.
    fn cluster(place: &str, manager: &str) -> Cluster {
        let (namespace, name) = place.split_once('/').unwrap();
        serde_json::from_value(json!({
            "apiVersion": "anywhere.eks.amazonaws.com/v1alpha1", "kind": "Cluster",
            "metadata": { "name": name, "namespace": namespace },
            "spec": { "kubernetesVersion": "1.35", "managementCluster": { "name": manager },
                "controlPlaneConfiguration": { "count": 1 }, "datacenterRef": { "kind": "x", "name": "x" },
                "clusterNetwork": { "pods": { "cidrBlocks": [] }, "services": { "cidrBlocks": [] } } },
        }))
        .unwrap()
    }

    fn leaving(mut cluster: Cluster) -> Cluster {
        cluster.metadata.deletion_timestamp = Some(resources::Time(jiff::Timestamp::UNIX_EPOCH));
        cluster
    }

    /// How a new cluster fares among others: a word, and a part of the message.
    fn judged(new: &Cluster, others: &[Cluster]) -> (&'static str, String) {
        let all: Vec<&Cluster> = others.iter().chain([new]).collect();
        match management_cluster(new, &all) {
            ManagementCluster::Found => ("found", String::new()),
            ManagementCluster::Missing(violation) => ("missing", violation.to_string()),
            ManagementCluster::Wrong(violation) => ("wrong", violation.to_string()),
        }
    }

    #[test]
    fn a_management_cluster_is_there_stays_and_manages_itself() {
        let plain = |place: &str| cluster(place, "");
        let cases = [
            (plain("a/edge"), vec![], "found", ""),
            (cluster("a/edge", "edge"), vec![], "found", ""),
            (cluster("a/edge", "main"), vec![plain("a/main")], "found", ""),
            (
                cluster("a/edge", "main"),
                vec![cluster("a/main", "main")],
                "found",
                "",
            ),
            (
                cluster("a/edge", "main"),
                vec![],
                "missing",
                "there is no cluster main",
            ),
            (
                cluster("a/edge", "main"),
                vec![leaving(plain("a/main"))],
                "wrong",
                "cluster main is being deleted",
            ),
            (
                cluster("a/edge", "main"),
                vec![cluster("a/main", "top"), plain("a/top")],
                "wrong",
                "cluster main is a workload cluster of top",
            ),
            (
                cluster("a/edge", "main"),
                vec![cluster("a/main", "edge")],
                "wrong",
                "edge is the management cluster of main",
            ),
            // As in EKS Anywhere: the own namespace first, then the only one elsewhere.
            (cluster("a/edge", "main"), vec![plain("b/main")], "found", ""),
            (
                cluster("a/edge", "main"),
                vec![plain("a/main"), leaving(plain("b/main"))],
                "found",
                "",
            ),
            (
                cluster("a/edge", "main"),
                vec![plain("b/main"), plain("c/main")],
                "wrong",
                "in the namespaces b, c",
            ),
        ];
        for (new, others, word, part) in cases {
            let (found, text) = judged(&new, &others);
            assert_eq!(found, word, "{:?}: {text}", new.spec.management_cluster);
            assert!(text.contains(part), "{text}");
            assert!(word == "found" || text.contains(NAME), "{text}");
        }
    }

    #[test]
    fn a_cluster_that_is_written_is_judged_by_a_new_name_only() {
        let (own, main, other) = (
            cluster("a/edge", ""),
            cluster("a/edge", "main"),
            cluster("a/edge", "other"),
        );
        for (old, new, judged) in [
            (None, &own, false),
            (None, &main, true),
            (Some(&own), &main, true),
            (Some(&main), &main, false),
            (Some(&main), &other, true),
            (Some(&main), &own, false),
            (Some(&main), &leaving(other.clone()), false),
        ] {
            assert_eq!(names_another_manager(old, new), judged, "{old:?} {new:?}");
        }
    }

    #[test]
    fn a_management_cluster_goes_after_those_that_name_it() {
        let main = cluster("a/main", "main");
        let others = [
            cluster("a/edge-2", "main"),
            leaving(cluster("a/edge-1", "main")),
            cluster("b/edge", "main"),
            cluster("a/other", "other"),
        ];
        let all: Vec<&Cluster> = others.iter().chain([&main]).collect();
        let [refused] = admit_cluster_deletion(&main, &all).try_into().unwrap();
        assert_eq!(refused.path, "metadata.name");
        assert_eq!(
            refused.message,
            "it is the management cluster of b/edge, edge-1, edge-2"
        );
        for free in &others {
            assert_eq!(admit_cluster_deletion(free, &all), []);
        }
        // One of the same name that nobody means.
        let (namesake, near) = (cluster("b/main", ""), cluster("a/edge", "main"));
        let all = [&main, &namesake, &near];
        assert_eq!(admit_cluster_deletion(&namesake, &all), []);
        assert_eq!(admit_cluster_deletion(&main, &all).len(), 1);
    }
}
