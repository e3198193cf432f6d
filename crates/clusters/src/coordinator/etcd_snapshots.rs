//! The snapshots of the etcd of every cluster: taken, copied, and said of in the Cluster's condition.

use jiff::Timestamp;
use resources::anywhere::Cluster;
use resources::conditions::Fact;
use telemetry::Events;

use crate::access::Access;
use crate::alarms::snapshot_failed;
use crate::error::Error;
use crate::execute::{CopyJobs, Due, SnapshotTries, What, copy_due, take_due};
use crate::observe::{Connection, Snapshot};
use crate::options::Options;

/// What is known of them beside the objects.
#[derive(Debug, Default)]
pub(crate) struct EtcdSnapshots {
    pub(crate) tries: SnapshotTries,
    jobs: CopyJobs,
}

impl EtcdSnapshots {
    /// Takes and copies what is due of a cluster. Tells whether anything was written.
    pub(crate) async fn tend(
        &self,
        (access, options, events): (&Access, &Options, &Events),
        cluster: &Cluster,
        snapshot: &Snapshot,
        connection: Option<&Connection>,
        now: Timestamp,
    ) -> Result<bool, Error> {
        let taken = take_due(access, options, &self.tries, snapshot, connection, now).await?;
        if matches!(taken, Due::Taken) {
            return Ok(true);
        }
        let copied = copy_due(access, options, (&self.tries, &self.jobs), snapshot, now).await?;
        for due in [&taken, &copied] {
            if let Due::Failed(why) = due {
                snapshot_failed(events, cluster, why).await;
            }
        }
        Ok(matches!(copied, Due::Taken))
    }

    /// What the condition of a cluster says of them; `None` before it exists, and where nobody wants any.
    pub(crate) fn fact(
        &self,
        access: &Access,
        options: &Options,
        snapshot: &Snapshot,
        now: Timestamp,
    ) -> Option<Fact> {
        let control_plane = snapshot.control_plane.as_ref().filter(|_| snapshot.exists())?;
        let tries = &self.tries;
        tries.fact(access, &snapshot.cluster, &control_plane.spec, options, now)
    }

    /// A cluster goes.
    pub(crate) fn forget(&self, access: &Access, cluster: &str) {
        for what in [What::Snapshot, What::Copy, What::Fetch] {
            self.tries.forget(what, access, cluster);
        }
    }
}
