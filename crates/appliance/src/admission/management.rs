//! Writes and deletions of Clusters, beside the Clusters of all namespaces: who manages whom.

use apiserver::AdmissionRequest;
use cluster_spec::{
    ManagementCluster, Violation, admit_cluster_deletion, management_cluster, names_another_manager,
};
use resources::anywhere::Cluster;
use serde::Deserialize;
use serde_json::Value;

use super::stored::{CLUSTERS, parsed};

/// What is made of the management cluster that a written Cluster names.
pub(super) fn written(request: &AdmissionRequest<'_>, object: &Value) -> ManagementCluster {
    let old = request.old.and_then(|old| Cluster::deserialize(old).ok());
    match Cluster::deserialize(object) {
        Ok(new) if names_another_manager(old.as_ref(), &new) => {
            management_cluster(&new, &everywhere(request).iter().collect::<Vec<_>>())
        }
        _ => ManagementCluster::Found,
    }
}

/// What is refused of the deletion of a Cluster.
pub(super) fn deleted(request: &AdmissionRequest<'_>) -> Vec<Violation> {
    let old = request.old.and_then(|old| Cluster::deserialize(old).ok());
    old.map_or_else(Vec::new, |old| {
        admit_cluster_deletion(&old, &everywhere(request).iter().collect::<Vec<_>>())
    })
}

fn everywhere(request: &AdmissionRequest<'_>) -> Vec<Cluster> {
    parsed(request.objects.everywhere(CLUSTERS))
}
