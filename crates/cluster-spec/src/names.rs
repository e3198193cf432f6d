//! Names of machines. A machine is named after its cluster, its group and its number, `prod-md-0-2`, so that two
//! clusters of a namespace can want one name: group `a-0` of `lab` and group `0` of `lab-a`.

use kube::ResourceExt;
use resources::anywhere::{Cluster, ClusterSpec};

use crate::bundle::CONTROL_PLANE_GROUP;
use crate::violation::{Report, Violation};

/// Name of a machine.
#[must_use]
pub fn machine_name(cluster: &str, group: &str, number: usize) -> String {
    format!("{cluster}-{group}-{number}")
}

/// Groups of machines of a Cluster: the control plane and the worker groups, with the paths of their names.
fn groups(spec: &ClusterSpec) -> Vec<(String, String)> {
    let control_plane = (CONTROL_PLANE_GROUP.to_owned(), "metadata.name".to_owned());
    let workers = spec.worker_node_group_configurations.iter().enumerate();
    let workers = workers.map(|(at, group)| {
        let name = group.name.clone().unwrap_or_else(|| "md-0".to_owned());
        (name, format!("spec.workerNodeGroupConfigurations[{at}].name"))
    });
    std::iter::once(control_plane).chain(workers).collect()
}

/// Whether a Cluster of this spec has a group of this name.
#[must_use]
pub fn has_group(spec: &ClusterSpec, group: &str) -> bool {
    groups(spec).iter().any(|(name, _)| name == group)
}

/// A group of one cluster whose machines have the names of a group of another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameClash {
    /// Group of the cluster.
    pub group: String,
    /// Group of the other one.
    pub other_group: String,
    /// What to say to the user of the cluster.
    pub violation: Violation,
}

/// Where machines of `cluster` would have the names of machines of `other`, a Cluster of the same namespace.
#[must_use]
pub fn name_clashes(cluster: &Cluster, other: &Cluster) -> Vec<NameClash> {
    let (own, theirs) = (cluster.name_any(), other.name_any());
    if own == theirs {
        return Vec::new();
    }
    let mut found = Vec::new();
    for (group, path) in groups(&cluster.spec) {
        let name = machine_name(&own, &group, 0);
        for (other_group, _) in groups(&other.spec) {
            if machine_name(&theirs, &other_group, 0) != name {
                continue;
            }
            let mut report = Report::new("Cluster", &own);
            report.add(
                path.clone(),
                format!(
                    "the machine name {name} is taken by group {other_group} of cluster {theirs}; group {group} of \
                     this cluster would use it too"
                ),
                "choose another name for the group or for the cluster",
            );
            found.extend(report.found.into_iter().map(|violation| NameClash {
                group: group.clone(),
                other_group: other_group.clone(),
                violation,
            }));
        }
    }
    found
}
