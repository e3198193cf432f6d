//! Snapshots of the etcd of a cluster, in the appliance's sealed files: taken when they are due, and dropped when newer ones are
//! there.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use resources::gantry::{ControlPlaneSpec, EtcdSnapshot};
use sealed_files::{SealedFiles, Stored};

use super::work::Work;
use crate::access::Access;
use crate::error::Error;
use crate::observe::{ApiSeen, Connection, Snapshot};
use crate::options::Options;
use crate::plan::Founding;

/// Takes a snapshot of a healthy etcd when one is due, and drops the oldest ones. Tells whether anything was written.
pub(crate) async fn take_due(
    access: &Access,
    options: &Options,
    snapshot: &Snapshot,
    connection: Option<&Connection>,
    now: Timestamp,
) -> Result<bool, Error> {
    let (Some(connection), Some(control_plane), Some(files)) =
        (connection, &snapshot.control_plane, &options.files)
    else {
        return Ok(false);
    };
    let spec = &control_plane.spec;
    let serves = matches!(snapshot.api, ApiSeen::Answers { .. }) && snapshot.founding() == Founding::Done;
    if !serves || spec.saved_etcd.is_some() || !is_due(spec, options, now) {
        return Ok(false);
    }
    let name = directory(access, snapshot);
    let taken = match take(connection, files, &name).await {
        Ok(taken) => taken,
        Err(why) => {
            tracing::warn!(
                cluster = snapshot.cluster,
                error = why,
                "no snapshot of etcd could be taken"
            );
            return Ok(false);
        }
    };
    let mut kept = spec.snapshots.clone();
    kept.retain(|known| known.sha256 != taken.sha256);
    kept.push(EtcdSnapshot {
        sha256: taken.sha256,
        size: taken.size,
        taken_at: Time(now),
    });
    let old = kept.len().saturating_sub(options.snapshots_kept.max(1));
    kept.drain(..old);
    access
        .set(&**control_plane, &["spec", "snapshots"], &kept)
        .await?;
    keep(files, &name, &kept).await;
    Ok(true)
}

/// Whether a person has asked for a snapshot since the newest one, or that one is too old.
fn is_due(spec: &ControlPlaneSpec, options: &Options, now: Timestamp) -> bool {
    let newest = spec.snapshots.last().map(|newest| newest.taken_at.0);
    let asked = spec.snapshot_requested_at.as_ref().map(|asked| asked.0);
    let is_old = |newest: Timestamp| {
        options
            .snapshot_every
            .is_some_and(|every| steps::later(newest, every) <= now)
    };
    match newest {
        None => asked.is_some() || options.snapshot_every.is_some(),
        Some(newest) => asked.is_some_and(|asked| asked > newest) || is_old(newest),
    }
}

/// Writes a snapshot into the directory of its cluster.
pub(super) async fn take(connection: &Connection, files: &SealedFiles, name: &str) -> Result<Stored, String> {
    let mut file = files.create(name).await.map_err(|error| causes::line(&error))?;
    let taken = connection.etcd.snapshot(&mut file).await;
    taken.map_err(|error| causes::line(&error))?;
    file.finish().await.map_err(|error| causes::line(&error))
}

/// Removes the files of a cluster but these. What can't be removed stays until the next time.
pub(super) async fn keep(files: &SealedFiles, name: &str, kept: &[EtcdSnapshot]) {
    let found = files.list(name).await.unwrap_or_default();
    let is_kept = |stored: &Stored| kept.iter().any(|kept| kept.sha256 == stored.sha256);
    for stored in found.into_iter().filter(|stored| !is_kept(stored)) {
        if let Err(error) = files.remove(name, stored.sha256).await {
            tracing::warn!(
                name,
                error = causes::line(&error),
                "an old snapshot of etcd stays"
            );
        }
    }
}

/// Removes all files of a cluster.
pub(super) async fn forget_all(work: &Work<'_>) -> Result<(), Error> {
    let Some(files) = &work.options.files else {
        return Ok(());
    };
    let name = directory(work.access, work.snapshot);
    files
        .remove_all(&name)
        .await
        .map_err(|source| Error::Files { name, source })
}

/// Where the files of a cluster lie.
pub(super) fn directory(access: &Access, snapshot: &Snapshot) -> String {
    format!("{}/{}", access.namespace, snapshot.cluster)
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;

    #[test]
    fn a_snapshot_is_due_when_it_is_asked_for_or_the_newest_is_old() {
        let at = |minutes: i64| {
            Timestamp::from_second(1_800_000_000).unwrap() + SignedDuration::from_mins(minutes)
        };
        let spec = |taken: Option<i64>, asked: Option<i64>| ControlPlaneSpec {
            snapshots: taken
                .map(|minutes| EtcdSnapshot {
                    sha256: resources::Digest::new([1; 32]),
                    size: 32,
                    taken_at: Time(at(minutes)),
                })
                .into_iter()
                .collect(),
            snapshot_requested_at: asked.map(|minutes| Time(at(minutes))),
            ..ControlPlaneSpec::default()
        };
        // When one was taken, when one was asked for, minutes between two; whether one is due after an hour.
        let cases = [
            (None, None, None, false),
            (None, None, Some(90), true),
            (None, Some(0), None, true),
            (Some(0), None, Some(90), false),
            (Some(0), None, Some(60), true),
            (Some(0), None, None, false),
            (Some(10), Some(5), None, false),
            (Some(10), Some(20), None, true),
        ];
        for (taken, asked, every, due) in cases {
            let options = Options {
                snapshot_every: every.map(SignedDuration::from_mins),
                ..Options::default()
            };
            let is_due = is_due(&spec(taken, asked), &options, at(60));
            assert_eq!(is_due, due, "{taken:?} {asked:?} {every:?}");
        }
    }
}
