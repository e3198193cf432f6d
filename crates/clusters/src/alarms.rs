//! What of a cluster becomes an Event of type Warning, on the Cluster.

use resources::anywhere::Cluster;
use telemetry::Events;

/// No snapshot of the cluster's etcd could be taken, or the newest could not be copied.
pub(crate) async fn snapshot_failed(events: &Events, cluster: &Cluster, why: &str) {
    events.warn(cluster, "EtcdSnapshotFailed", why).await;
}
