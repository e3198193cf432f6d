//! The snapshots of the etcd of every cluster: taken, copied, and said of in the Cluster's condition.

use std::sync::Arc;

use jiff::Timestamp;
use resources::anywhere::{Cluster, EtcdDrillOutcome};
use telemetry::Events;

use crate::access::Access;
use crate::alarms::{drill_failed, drill_passed, snapshot_failed};
use crate::error::Error;
use crate::execute::{
    CopyJobs, DrillJobs, Drilled, Due, SnapshotTries, What, copy_due, drill_due, drill_fact, drills_of,
    take_due,
};
use crate::metrics::drill_ended;
use crate::observe::{Connection, Snapshot, Views};
use crate::options::Options;
use crate::report::EtcdFacts;

/// What their effects are carried out with.
type Context<'a> = (&'a Access, &'a Options, &'a Events, &'a Arc<Views>);

/// What is known of them beside the objects.
#[derive(Debug, Default)]
pub(crate) struct EtcdSnapshots {
    pub(crate) tries: SnapshotTries,
    jobs: CopyJobs,
    drills: DrillJobs,
}

impl EtcdSnapshots {
    /// Takes, copies and rehearses what is due of a cluster. Tells whether anything was written.
    pub(crate) async fn tend(
        &self,
        context: Context<'_>,
        cluster: &Cluster,
        snapshot: &Snapshot,
        connection: Option<&Connection>,
        now: Timestamp,
    ) -> Result<bool, Error> {
        let (access, options, events, _) = context;
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
        if matches!(copied, Due::Taken) {
            return Ok(true);
        }
        self.drill(context, cluster, snapshot, now).await
    }

    /// Rehearses a restore of a cluster when that is due. Tells whether anything was written.
    async fn drill(
        &self,
        (access, options, events, views): Context<'_>,
        cluster: &Cluster,
        snapshot: &Snapshot,
        now: Timestamp,
    ) -> Result<bool, Error> {
        let drilled = drill_due((access, options, views), &self.drills, cluster, snapshot, now).await?;
        if let Drilled::Ended(drill) = &drilled {
            drill_ended(drill.outcome);
            let text = drill.summary();
            match drill.outcome {
                EtcdDrillOutcome::Passed => drill_passed(events, cluster, &text).await,
                EtcdDrillOutcome::Failed | EtcdDrillOutcome::Impossible => {
                    tracing::warn!(cluster = snapshot.cluster, error = text, "a drill did not pass");
                    drill_failed(events, cluster, &text).await;
                }
            }
        }
        Ok(matches!(drilled, Drilled::Written))
    }

    /// What the status of a cluster says of all that: no conditions before it exists, and where nobody wants it.
    pub(crate) fn report(
        &self,
        access: &Access,
        options: &Options,
        cluster: &Cluster,
        snapshot: &Snapshot,
        now: Timestamp,
    ) -> EtcdFacts {
        let before = cluster
            .status
            .as_ref()
            .and_then(|status| status.etcd_drills.as_ref());
        let drills = drills_of(&self.drills, access, &snapshot.cluster, before);
        let control_plane = snapshot.control_plane.as_ref().filter(|_| snapshot.exists());
        let of = |spec| {
            let taken = self.tries.fact(access, &snapshot.cluster, spec, options, now);
            let rehearsed = drill_fact(drills.as_ref(), options, now);
            taken.into_iter().chain(rehearsed).collect()
        };
        EtcdFacts {
            facts: control_plane
                .map(|control_plane| of(&control_plane.spec))
                .unwrap_or_default(),
            drills,
        }
    }

    /// The coordinator ends: nothing of a drill stays.
    pub(crate) async fn end(&self) {
        self.drills.end_all().await;
    }

    /// A cluster goes.
    pub(crate) fn forget(&self, access: &Access, cluster: &str) {
        for what in [What::Snapshot, What::Copy, What::Fetch] {
            self.tries.forget(what, access, cluster);
        }
        self.drills.forget(access, cluster);
    }
}
