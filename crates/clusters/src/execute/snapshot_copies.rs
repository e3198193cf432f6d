//! The newest snapshot of each cluster's etcd is copied to a place outside of the appliance, beside everything else: a copy may
//! take minutes. What is under way is kept in memory; an appliance that starts anew begins again.

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};

use compare_and_set::Change;
use futures::FutureExt as _;
use jiff::Timestamp;
use resources::Digest;
use resources::gantry::{ControlPlane, EtcdSnapshot, SnapshotCopy};
use sealed_files::SealedFiles;
use serde_json::json;

use super::snapshot_tries::{SnapshotTries, What};
use super::snapshots::{Due, SNAPSHOTS, directory};
use crate::access::Access;
use crate::error::Error;
use crate::observe::Snapshot;
use crate::options::{Options, Sink, SnapshotCopies};

/// Namespace and name of a cluster.
type Key = (String, String);

/// Copies that are being made, and what became of them.
#[derive(Debug, Default, Clone)]
pub(crate) struct CopyJobs(Arc<Mutex<HashMap<Key, Job>>>);

#[derive(Debug)]
struct Job {
    sha256: Digest,
    /// Where the copy is, or why there is none; `None` while it is being made.
    result: Option<Result<String, String>>,
}

/// What became of a job.
enum State {
    /// There is none for this snapshot.
    Nothing,
    /// One is under way, be it for another snapshot.
    UnderWay,
    /// It has ended: where the copy is, or why there is none.
    Ended(Result<String, String>),
}

impl CopyJobs {
    fn of<T>(&self, key: &Key, act: impl FnOnce(&mut Option<Job>) -> T) -> T {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut known = all.remove(key);
        let result = act(&mut known);
        all.extend(known.map(|known| (key.clone(), known)));
        result
    }

    /// What became of the job for this snapshot; one that has ended is taken away.
    fn ended(&self, key: &Key, sha256: Digest) -> State {
        self.of(key, |known| {
            let Some(job) = known.take() else {
                return State::Nothing;
            };
            let is_of_this = job.sha256 == sha256;
            match job.result {
                None => {
                    *known = Some(job);
                    State::UnderWay
                }
                Some(result) if is_of_this => State::Ended(result),
                Some(_) => State::Nothing,
            }
        })
    }

    fn begin(
        &self,
        key: Key,
        copies: Arc<dyn SnapshotCopies>,
        files: SealedFiles,
        copy: SnapshotCopy,
        name: String,
    ) {
        let job = Job {
            sha256: copy.sha256,
            result: None,
        };
        self.of(&key, |known| *known = Some(job));
        let jobs = self.clone();
        tokio::spawn(async move {
            let made = AssertUnwindSafe(make(&*copies, &files, &copy, &name));
            let ended = made.catch_unwind().await;
            let result = ended.unwrap_or_else(|_| Err("copying it ended in a panic".to_owned()));
            jobs.of(&key, |known| {
                if let Some(job) = known {
                    job.result = Some(result);
                }
            });
        });
    }
}

async fn make(
    copies: &dyn SnapshotCopies,
    files: &SealedFiles,
    copy: &SnapshotCopy,
    name: &str,
) -> Result<String, String> {
    let read = files.read(name, copy.sha256).await;
    let reader = read.map_err(|error| causes::line(&error))?;
    let reader = reader.ok_or_else(|| "the appliance has no such file".to_owned())?;
    copies.put(copy, reader).await.map(|()| copies.location(copy))
}

/// Begins a copy of the newest snapshot where it has none, and notes one that was made.
pub(crate) async fn copy_due(
    access: &Access,
    options: &Options,
    (tries, jobs): (&SnapshotTries, &CopyJobs),
    snapshot: &Snapshot,
    now: Timestamp,
) -> Result<Due, Error> {
    let (Some(control_plane), Some(files), Some(copies)) =
        (&snapshot.control_plane, &options.files, &options.copies)
    else {
        return Ok(Due::Nothing);
    };
    let (spec, cluster) = (&control_plane.spec, snapshot.cluster.as_str());
    let Some(newest) = spec.snapshots.last().filter(|newest| newest.copy.is_none()) else {
        return Ok(Due::Nothing);
    };
    let key = (access.namespace.clone(), cluster.to_owned());
    match jobs.ended(&key, newest.sha256) {
        State::UnderWay => Ok(Due::Nothing),
        State::Ended(Ok(place)) => {
            tries.forget(What::Copy, access, cluster);
            note(access, control_plane, newest.sha256, place).await?;
            Ok(Due::Taken)
        }
        State::Ended(Err(why)) => {
            tracing::warn!(cluster, error = why, "a snapshot of etcd could not be copied");
            tries.failed(What::Copy, access, cluster, None, &why, now);
            Ok(Due::Failed(format!(
                "the newest snapshot of etcd could not be copied: {why}"
            )))
        }
        State::Nothing => {
            if tries.may_try(What::Copy, access, cluster, None, now) {
                let copy = copy_of(access, control_plane, cluster, newest);
                let name = directory(access, snapshot);
                jobs.begin(key, Arc::clone(copies), files.clone(), copy, name);
            }
            Ok(Due::Nothing)
        }
    }
}

/// Notes where a snapshot was copied to. Who was slower than somebody else finds the copy to be made again, which changes
/// nothing of it.
async fn note(
    access: &Access,
    control_plane: &ControlPlane,
    sha256: Digest,
    place: String,
) -> Result<(), Error> {
    let mut all = control_plane.spec.snapshots.clone();
    for snapshot in all.iter_mut().filter(|snapshot| snapshot.sha256 == sha256) {
        snapshot.copy = Some(place.clone());
    }
    let change = Change::set(&SNAPSHOTS, json!(all));
    access.change(control_plane, vec![change]).await
}

/// The copy of a snapshot of a cluster.
pub(super) fn copy_of(
    access: &Access,
    control_plane: &ControlPlane,
    cluster: &str,
    snapshot: &EtcdSnapshot,
) -> SnapshotCopy {
    let uid = &control_plane.spec.cluster_uid;
    SnapshotCopy::of(&access.namespace, cluster, uid, snapshot)
}

/// Gets a snapshot that the appliance does not have from its copy. `Err` says why it can't be had.
pub(super) async fn fetch(
    access: &Access,
    options: &Options,
    snapshot: &Snapshot,
    control_plane: &ControlPlane,
    wanted: &EtcdSnapshot,
) -> Result<(), String> {
    let (Some(files), Some(place)) = (&options.files, &wanted.copy) else {
        return Err("the appliance has no such file, and knows of no copy".to_owned());
    };
    let copy = copy_of(access, control_plane, &snapshot.cluster, wanted);
    let name = directory(access, snapshot);
    let failed = |error: sealed_files::Error| causes::line(&error);
    let mut file = files.create(&name).await.map_err(failed)?;
    read_copy(options.copies.as_deref(), &copy, place, &mut file)
        .await
        .map_err(|why| format!("the appliance has no such file, and {why}"))?;
    let stored = file.finish().await.map_err(failed)?;
    tracing::info!(
        cluster = snapshot.cluster,
        place,
        size = stored.size,
        "a snapshot of etcd was fetched from its copy"
    );
    Ok(())
}

/// Writes the snapshot of a copy that is said to be at a place. `Err` says why it can't be had.
pub(super) async fn read_copy(
    copies: Option<&dyn SnapshotCopies>,
    copy: &SnapshotCopy,
    place: &str,
    to: &mut Sink,
) -> Result<(), String> {
    let copies = copies
        .ok_or_else(|| format!("the setting etcdSnapshotCopies does not say how to read its copy {place}"))?;
    let read = copies.location(copy);
    if read != place {
        return Err(format!(
            "its copy is to be at {place}, and this appliance would read {read}: the setting etcdSnapshotCopies names \
             another place, or it is a copy of another cluster"
        ));
    }
    copies.fetch(copy, to).await
}
