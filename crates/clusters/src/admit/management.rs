//! The management cluster that a Cluster names, among the clusters that there are.

use cluster_spec::{ManagementCluster, management_cluster, workload_clusters};
use resources::anywhere::Cluster;

use crate::observe::Views;

/// Why a cluster of which nothing exists yet is not made: its management cluster is not there, or is none.
pub(super) fn fault(views: &Views, cluster: &Cluster) -> Option<String> {
    let all = views.clusters.all();
    let all: Vec<&Cluster> = all.iter().map(AsRef::as_ref).collect();
    match management_cluster(cluster, &all) {
        ManagementCluster::Found => None,
        ManagementCluster::Missing(violation) | ManagementCluster::Wrong(violation) => {
            Some(violation.to_string())
        }
    }
}

/// What a deletion that has not begun waits for. The API refuses to delete a cluster that others name, but not where both
/// are written at the same moment, or were written while nothing checked them.
pub(crate) fn held_by(views: &Views, cluster: &Cluster) -> Option<String> {
    let all = views.clusters.all();
    let all: Vec<&Cluster> = all.iter().map(AsRef::as_ref).collect();
    let managed = workload_clusters(cluster, &all);
    (!managed.is_empty()).then(|| {
        format!(
            "it is the management cluster of {}, which are deleted first",
            managed.join(", ")
        )
    })
}
