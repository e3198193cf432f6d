//! What of a cluster becomes an Event on the Cluster: of type Warning, but for a drill that passed.

use resources::anywhere::Cluster;
use telemetry::Events;

/// No snapshot of the cluster's etcd could be taken, or the newest could not be copied.
pub(crate) async fn snapshot_failed(events: &Events, cluster: &Cluster, why: &str) {
    events.warn(cluster, "EtcdSnapshotFailed", why).await;
}

/// A rehearsal of a restore did not pass.
pub(crate) async fn drill_failed(events: &Events, cluster: &Cluster, why: &str) {
    events.warn(cluster, "EtcdDrillFailed", why).await;
}

/// A rehearsal of a restore passed.
pub(crate) async fn drill_passed(events: &Events, cluster: &Cluster, found: &str) {
    events.inform(cluster, "EtcdDrillPassed", found).await;
}
