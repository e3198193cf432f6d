//! Snapshots of the etcd of a cluster, in the appliance's sealed files: taken when they are due, and dropped when newer ones are
//! there.

use compare_and_set::Change;
use futures::StreamExt as _;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use resources::gantry::{ControlPlaneSpec, EtcdContents, EtcdSnapshot};
use sealed_files::{SealedFiles, Stored};
use serde_json::json;
use tokio::io::AsyncWriteExt as _;

use super::snapshot_tries::{SnapshotTries, What};
use super::work::Work;
use crate::access::Access;
use crate::error::Error;
use crate::observe::{ApiSeen, Connection, Snapshot};
use crate::options::{Options, Sink};
use crate::plan::Founding;

pub(super) const SNAPSHOTS: [&str; 2] = ["spec", "snapshots"];

/// What became of a snapshot that may be due.
pub(crate) enum Due {
    /// None is due, or none can be taken now.
    Nothing,
    /// It was taken, and noted.
    Taken,
    /// It could not be taken.
    Failed(String),
}

/// Takes a snapshot of a healthy etcd when one is due, and drops the oldest ones.
pub(crate) async fn take_due(
    access: &Access,
    options: &Options,
    tries: &SnapshotTries,
    snapshot: &Snapshot,
    connection: Option<&Connection>,
    now: Timestamp,
) -> Result<Due, Error> {
    let (Some(connection), Some(control_plane), Some(files)) =
        (connection, &snapshot.control_plane, &options.files)
    else {
        return Ok(Due::Nothing);
    };
    let (spec, cluster) = (&control_plane.spec, snapshot.cluster.as_str());
    let asked = spec.snapshot_requested_at.as_ref().map(|asked| asked.0);
    let serves = matches!(snapshot.api, ApiSeen::Answers { .. }) && snapshot.founding() == Founding::Done;
    let due = is_due(spec, options, now) && tries.may_try(What::Snapshot, access, cluster, asked, now);
    if !serves || spec.saved_etcd.is_some() || !due {
        return Ok(Due::Nothing);
    }
    let name = directory(access, snapshot);
    let taken = match take(connection, files, &name, now).await {
        Ok(taken) => taken,
        Err(why) => {
            tracing::warn!(cluster, error = why, "no snapshot of etcd could be taken");
            tries.failed(What::Snapshot, access, cluster, asked, &why, now);
            return Ok(Due::Failed(format!("no snapshot of etcd could be taken: {why}")));
        }
    };
    // It is copied at once, whatever became of the one before.
    for what in [What::Snapshot, What::Copy] {
        tries.forget(what, access, cluster);
    }
    let kept = with(spec, taken, options);
    let mut changes = vec![Change::set(&SNAPSHOTS, json!(kept))];
    if spec.snapshot_requested_at.is_some() {
        changes.push(Change::remove(&["spec", "snapshotRequestedAt"]));
    }
    // Somebody who was first may want one of the older ones.
    if access.changed(&**control_plane, changes).await? {
        keep(files, &name, &kept).await;
    }
    Ok(Due::Taken)
}

/// The snapshots that are kept when there is a new one.
pub(super) fn with(spec: &ControlPlaneSpec, new: EtcdSnapshot, options: &Options) -> Vec<EtcdSnapshot> {
    let mut kept = spec.snapshots.clone();
    kept.retain(|known| known.sha256 != new.sha256);
    kept.push(new);
    let old = kept.len().saturating_sub(options.snapshots_kept.max(1));
    kept.drain(..old);
    kept
}

/// Whether a person has asked for a snapshot, or the newest one is too old.
fn is_due(spec: &ControlPlaneSpec, options: &Options, now: Timestamp) -> bool {
    let newest = spec.snapshots.last().map(|newest| newest.taken_at.0);
    let is_old = |newest: Timestamp| {
        options
            .snapshot_every
            .is_some_and(|every| steps::later(newest, every) <= now)
    };
    spec.snapshot_requested_at.is_some() || newest.map_or(options.snapshot_every.is_some(), is_old)
}

/// Writes a snapshot into the directory of its cluster; as the ControlPlane lists it.
pub(super) async fn take(
    connection: &Connection,
    files: &SealedFiles,
    name: &str,
    now: Timestamp,
) -> Result<EtcdSnapshot, String> {
    let mut file = files.create(name).await.map_err(|error| causes::line(&error))?;
    let taken = connection.etcd.snapshot(&mut file).await;
    let taken = taken.map_err(|error| causes::line(&error))?;
    let stored = file.finish().await.map_err(|error| causes::line(&error))?;
    Ok(EtcdSnapshot {
        sha256: stored.sha256,
        size: stored.size,
        taken_at: Time(now),
        copy: None,
        contents: taken.contents.map(|contents| EtcdContents {
            revision: contents.revision,
            compact_revision: contents.hash.compact_revision,
            hash: contents.hash.hash,
        }),
    })
}

/// Reads a snapshot to its end, as its machine will. `Err` says why it can't be used.
pub(super) async fn verify(files: &SealedFiles, name: &str, snapshot: &EtcdSnapshot) -> Result<(), String> {
    write_out(files, name, snapshot, &mut tokio::io::sink()).await
}

/// Writes a snapshot to another place. `Err` says why it can't be used.
pub(super) async fn write_out(
    files: &SealedFiles,
    name: &str,
    snapshot: &EtcdSnapshot,
    to: &mut Sink,
) -> Result<(), String> {
    let read = files.read(name, snapshot.sha256).await;
    let Some(mut reader) = read.map_err(|error| causes::line(&error))? else {
        return Err("the appliance has no such file".to_owned());
    };
    let mut size = 0_u64;
    while let Some(part) = reader.next().await {
        let part = part.map_err(|error| causes::line(&error))?;
        size = size.saturating_add(part.len() as u64);
        to.write_all(&part).await.map_err(|error| causes::line(&error))?;
    }
    if size != snapshot.size {
        return Err(format!("it has {size} bytes instead of {}", snapshot.size));
    }
    Ok(())
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
                    copy: None,
                    contents: None,
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
            (Some(10), Some(5), None, true),
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
