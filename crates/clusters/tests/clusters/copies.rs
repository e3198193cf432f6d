//! Snapshots of etcd are copied to a place outside of the appliance, and a cluster starts with such a copy.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use clusters::{Options, Sink, SnapshotCopies};
use futures::future::BoxFuture;
use futures::{FutureExt as _, TryStreamExt as _};
use jiff::{SignedDuration, Timestamp};
use resources::gantry::{EtcdSnapshot, SnapshotCopy};
use sealed_files::Reader;
use serde_json::json;
use tokio::io::AsyncWriteExt as _;

use crate::life::settles;
use crate::restore::{change, control_plane, restored, says, snapshots, taken};
use crate::world::World;

/// A place in memory.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    pub(crate) files: Mutex<BTreeMap<String, Vec<u8>>>,
    /// Why it takes nothing.
    pub(crate) full: Mutex<Option<String>>,
}

impl SnapshotCopies for Memory {
    fn location(&self, copy: &SnapshotCopy) -> String {
        format!("memory:/{copy}")
    }

    fn put<'a>(&'a self, copy: &'a SnapshotCopy, from: Reader) -> BoxFuture<'a, Result<(), String>> {
        async move {
            if let Some(why) = self.full.lock().unwrap().clone() {
                return Err(why);
            }
            let parts: Vec<_> = from.try_collect().await.map_err(|error| error.to_string())?;
            let mut files = self.files.lock().unwrap();
            files.insert(self.location(copy), parts.concat());
            Ok(())
        }
        .boxed()
    }

    fn fetch<'a>(&'a self, copy: &'a SnapshotCopy, to: &'a mut Sink) -> BoxFuture<'a, Result<(), String>> {
        async move {
            let found = self.files.lock().unwrap().get(&self.location(copy)).cloned();
            let data = found.ok_or_else(|| format!("there is no copy {}", self.location(copy)))?;
            to.write_all(&data).await.map_err(|error| error.to_string())
        }
        .boxed()
    }
}

async fn with_copies() -> (World, Arc<Memory>) {
    let memory = Arc::new(Memory::default());
    let world = World::with(Options {
        copies: Some(memory.clone()),
        ..Options::default()
    })
    .await;
    world.apply_documents().await;
    world.drive_to_ready().await;
    (world, memory)
}

/// Until the newest snapshot is copied.
pub(crate) async fn copied(world: &World) -> EtcdSnapshot {
    let is_copied = async |world: &World| {
        // The copy is made beside everything else.
        tokio::task::yield_now().await;
        let all = snapshots(world).await;
        all.last().is_some_and(|newest| newest.copy.is_some())
    };
    world.drive("a copy", is_copied).await;
    snapshots(world).await.pop().unwrap()
}

#[tokio::test]
async fn the_newest_snapshot_is_copied_and_a_copy_that_fails_is_seen() {
    let (world, memory) = with_copies().await;
    let first = taken(&world).await;
    let first = EtcdSnapshot { copy: None, ..first };
    let listed = copied(&world).await;
    let uid = control_plane(&world).await.spec.cluster_uid;
    let place = format!(
        "memory:/{}",
        SnapshotCopy::of("eksa-system", "demo", &uid, &first)
    );
    assert_eq!(listed.copy.as_ref(), Some(&place));
    assert!(memory.files.lock().unwrap().contains_key(&place));

    *memory.full.lock().unwrap() = Some("the disk is full".to_owned());
    world.rounds("demo", 1).await;
    taken(&world).await;
    let failed = says(&world, "CopyFailed").await;
    assert_eq!(failed.status, "False");
    assert!(failed.message.contains("the disk is full"), "{}", failed.message);
    *memory.full.lock().unwrap() = None;
    world.rounds("demo", 1).await;
    taken(&world).await;
    copied(&world).await;
    says(&world, "Taken").await;
    assert_eq!(memory.files.lock().unwrap().len(), 2);
}

/// An appliance that was lost, with records that are older than the copy.
#[tokio::test]
async fn a_cluster_starts_with_a_copy_that_the_appliance_does_not_list() {
    let (world, memory) = with_copies().await;
    taken(&world).await;
    let snapshot = copied(&world).await;
    let before = world.control_planes().await;
    let files = world.options.files.as_ref().unwrap();
    files.remove_all("eksa-system/demo").await.unwrap();
    change(&world, json!({ "snapshots": null })).await;

    let elsewhere = EtcdSnapshot {
        copy: Some("memory:/elsewhere".to_owned()),
        ..snapshot.clone()
    };
    let held = std::mem::take(&mut *memory.files.lock().unwrap());
    for (hours, wanted, part) in [
        (
            2,
            &elsewhere,
            "the setting etcdSnapshotCopies names another place",
        ),
        (1, &snapshot, "there is no copy memory:/"),
    ] {
        let begun = Timestamp::now() - SignedDuration::from_hours(hours);
        let saved = json!({ "machine": "", "begunAt": begun, "snapshot": wanted });
        change(&world, json!({ "savedEtcd": saved })).await;
        let says = async |world: &World| {
            let reason = world.cluster().await.unwrap().status.unwrap().reason;
            reason.is_some_and(|reason| reason.contains(part))
        };
        world.drive(part, says).await;
        assert_eq!(world.control_planes().await, before, "nothing goes");
    }
    *memory.files.lock().unwrap() = held;

    restored(&world, &snapshot).await;
    settles(&world, 1, 1).await;
    assert_ne!(world.control_planes().await, before);
    assert_eq!(world.count("restore"), 1);
}
