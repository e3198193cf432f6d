//! Objects: one row each in `state.db`, all of them in memory, and the changes that watches read.
//!
//! Writes are compare-and-set on the resourceVersion, run in the store's group commit, and reach the memory only
//! after the commit, in commit order. Reads never touch SQLite, and watches only for what was deleted long ago. A
//! deleted object leaves a tombstone, so that a watch can resume over a restart; what is older than the kept
//! tombstones is 410 Gone. A row that cannot be read is named and left out; it stops nothing else.

mod cache;
mod entries;
mod head;
mod history;
mod index;
mod key;
mod managers;
mod pending;
mod quarantine;
mod seal;
mod sql;
mod stored;
mod tombstones;
mod write_error;

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use futures::FutureExt;
use serde_json::Value;
use store::Database;
use tokio::sync::watch;

pub(crate) use cache::{Expired, Snapshot, Touched};
pub(crate) use history::{Change, ChangeKind};
pub(crate) use index::Term;
pub(crate) use key::Key;
pub(crate) use pending::Pending;
pub use seal::{AesGcmSealer, SealError, Sealer};
pub(crate) use stored::Stored;
pub(crate) use write_error::WriteError;

use crate::error::Error;
use crate::extent::Extent;
use crate::meta::Meta;
use cache::Cache;
use managers::Shapes;
use pending::Written;
use quarantine::Quarantine;

/// Bytes of JSON that an object may have: what etcd takes in a request.
const MOST_BYTES: usize = 1536 * 1024;

/// Bytes that a mark for deletion and a finalizer of the collector may add.
const MARK_BYTES: usize = 4096;

/// True when an object is not too large to be stored.
pub(crate) fn fits(object: &Value) -> bool {
    Extent::of(object).bytes <= MOST_BYTES
}

/// The object store. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Storage {
    database: Database,
    sealer: Arc<dyn Sealer>,
    cache: Arc<Cache>,
    shapes: Shapes,
    quarantine: Quarantine,
    next: Arc<AtomicU64>,
}

impl Storage {
    /// Opens `state.db` at `path` and loads every object. The next version lies `jump` above the one after the last.
    pub(crate) async fn open(
        path: std::path::PathBuf,
        sealer: Arc<dyn Sealer>,
        jump: u64,
    ) -> Result<Storage, Error> {
        let database = Database::open(path, store::Options::new(sql::SCHEMA)).await?;
        let shapes = Shapes::default();
        let mut loaded = sql::load(&database, sealer.as_ref(), &shapes).await?;
        let last = loaded.last;
        let quarantine = Quarantine::new(std::mem::take(&mut loaded.unreadable));
        let cache = Arc::new(Cache::new(loaded));
        Ok(Storage {
            database,
            sealer,
            cache,
            shapes,
            quarantine,
            next: Arc::new(AtomicU64::new(last + 1 + jump)),
        })
    }

    /// The database, for backup and check.
    pub(crate) fn database(&self) -> &Database {
        &self.database
    }

    /// One object.
    pub(crate) fn get(&self, key: &Key) -> Option<Arc<Stored>> {
        self.cache.get(key)
    }

    /// What is wrong with a stored object that cannot be read, and that no list shows.
    pub(crate) fn unreadable(&self, key: &Key) -> Option<String> {
        self.quarantine.reason(key)
    }

    /// Removes a stored object that cannot be read; false when there is none.
    pub(crate) async fn discard(&self, key: &Key) -> Result<bool, store::Error> {
        if self.quarantine.reason(key).is_none() {
            return Ok(false);
        }
        let row = key.clone();
        let writer = self.database.writer();
        writer.write(move |c| sql::discard(c, row).boxed()).await?;
        self.quarantine.remove(key);
        Ok(true)
    }

    /// The change with the state that only the database has; none when it is no longer kept.
    pub(crate) async fn read_back(&self, change: &Change) -> Result<Option<Change>, Error> {
        let sealer = self.sealer.as_ref();
        let value = sql::read_tombstone(&self.database, sealer, &change.key, change.version).await?;
        Ok(value.map(|value| Change {
            state: Some(Arc::new(Stored::new(
                value,
                change.version,
                change.version,
                0,
                &self.shapes,
            ))),
            ..change.clone()
        }))
    }

    /// Objects of a resource in key order, with the resourceVersion at which the list holds.
    pub(crate) fn list(&self, resource: &str, namespace: Option<&str>) -> Snapshot {
        self.cache.list(resource, namespace)
    }

    /// At most `most` objects of a resource in key order, those behind the object with the namespace and name `after`.
    pub(crate) fn page(
        &self,
        resource: &str,
        namespace: Option<&str>,
        after: Option<&(String, String)>,
        most: usize,
    ) -> Snapshot {
        self.cache.page(resource, namespace, after, most)
    }

    /// Objects with this value in a label or field, in key order; none when nothing but a look at every object can tell.
    pub(crate) fn having(
        &self,
        resource: &str,
        term: &Term,
        value: &str,
        namespace: Option<&str>,
    ) -> Option<Snapshot> {
        self.cache.having(resource, term, value, namespace)
    }

    /// Number of objects of a resource.
    pub(crate) fn count(&self, resource: &str, namespace: Option<&str>) -> usize {
        self.cache.count(resource, namespace)
    }

    /// Changes of a resource after `since`, and the version up to which they are complete.
    pub(crate) fn changes(&self, resource: &str, since: u64) -> Result<(Vec<Arc<Change>>, u64), Expired> {
        self.cache.changes(resource, since)
    }

    /// Wakes when a resource changes.
    pub(crate) fn subscribe(&self, resource: &str) -> watch::Receiver<u64> {
        self.cache.subscribe(resource)
    }

    /// The newest committed resourceVersion.
    pub(crate) fn version(&self) -> u64 {
        self.cache.version()
    }

    /// Keys of objects that name `uid` as an owner.
    pub(crate) fn dependents(&self, uid: &str) -> Vec<Key> {
        self.cache.dependents(uid)
    }

    /// Keys of all objects that name owners.
    pub(crate) fn owned(&self) -> Vec<Key> {
        self.cache.owned()
    }

    /// Key of the object with this uid.
    pub(crate) fn key_of(&self, uid: &str) -> Option<Key> {
        self.cache.key_of(uid)
    }

    /// True when an object with this uid is among those that were deleted last.
    pub(crate) fn is_departed(&self, uid: &str) -> bool {
        self.cache.is_departed(uid)
    }

    /// Wakes with every change of any resource.
    pub(crate) fn subscribe_all(&self) -> watch::Receiver<u64> {
        self.cache.subscribe_all()
    }

    /// What changed since the last call; at first every object.
    pub(crate) fn take_touched(&self) -> Touched {
        self.cache.take_touched()
    }

    /// Stores a new object.
    pub(crate) async fn create(&self, key: Key, object: Value) -> Result<Arc<Stored>, WriteError> {
        self.write(key, None, object, ChangeKind::Added).await
    }

    /// Replaces the object that has version `expected`.
    pub(crate) async fn update(
        &self,
        key: Key,
        expected: u64,
        object: Value,
    ) -> Result<Arc<Stored>, WriteError> {
        self.write(key, Some(expected), object, ChangeKind::Modified)
            .await
    }

    /// Removes the object that has version `expected`; `last` is its final state for watches.
    pub(crate) async fn delete(
        &self,
        key: Key,
        expected: u64,
        last: Value,
    ) -> Result<Arc<Stored>, WriteError> {
        self.write(key, Some(expected), last, ChangeKind::Deleted).await
    }

    async fn write(
        &self,
        key: Key,
        expected: Option<u64>,
        object: Value,
        kind: ChangeKind,
    ) -> Result<Arc<Stored>, WriteError> {
        let pending = self.judge(key, expected, object, kind)?;
        let (next, cache) = (self.next.clone(), self.cache.clone());
        // Each deletion may make older ones superfluous, which go with the next.
        let prune = (kind == ChangeKind::Deleted)
            .then(|| self.cache.tombstones_to_prune())
            .flatten();
        let publish = move |write: &Written| {
            cache.apply([write]);
            if let Some(floor) = prune {
                cache.tombstones_pruned(floor);
            }
        };
        let writer = self.database.writer();
        let written = writer.write_then(move |c| pending.write(c, next, prune).boxed(), publish);
        let written = written.await;
        written.map(|written: Written| written.object)
    }

    /// A new object, or another state of the one that has version `expected`, for [`Storage::write_all`].
    pub(crate) fn pending(
        &self,
        key: Key,
        expected: Option<u64>,
        object: Value,
    ) -> Result<Pending, WriteError> {
        let kind = match expected {
            None => ChangeKind::Added,
            Some(_) => ChangeKind::Modified,
        };
        self.judge(key, expected, object, kind)
    }

    /// Stores all of them in one commit, or none: with one that is refused the others are, too.
    pub(crate) async fn write_all(&self, writes: Vec<Pending>) -> Result<Vec<Arc<Stored>>, WriteError> {
        if writes.is_empty() {
            return Ok(Vec::new());
        }
        let (next, cache) = (self.next.clone(), self.cache.clone());
        let publish = move |writes: &Vec<Written>| cache.apply(writes);
        let writer = self.database.writer();
        let written = writer.write_then(move |c| pending::write_all(writes, c, next).boxed(), publish);
        let written: Vec<Written> = written.await?;
        Ok(written.into_iter().map(|written| written.object).collect())
    }

    /// Judges a write without knowing whether it loses a race.
    fn judge(
        &self,
        key: Key,
        expected: Option<u64>,
        object: Value,
        kind: ChangeKind,
    ) -> Result<Pending, WriteError> {
        let before = self.cache.get(&key);
        let extent = Extent::of(&object);
        if kind != ChangeKind::Deleted {
            if !extent.is_readable() {
                return Err(WriteError::TooDeep);
            }
            // One that is larger for historical reasons may shrink, and every one can be marked for deletion.
            let most = before.as_ref().map_or(MOST_BYTES, |s| s.bytes.max(MOST_BYTES));
            let most = most + usize::from(object.is_terminating()) * MARK_BYTES;
            if extent.bytes > most {
                return Err(WriteError::TooLarge {
                    bytes: extent.bytes,
                    most: MOST_BYTES,
                });
            }
        }
        if let Some(reason) = self.quarantine.reason(&key) {
            return Err(WriteError::Unreadable(reason));
        }
        let sealed = seal::seal_object(self.sealer.as_ref(), &key, &object);
        Ok(Pending {
            kind,
            expected,
            created: before.map(|s| s.created),
            bytes: extent.bytes,
            shapes: self.shapes.clone(),
            sealed: sealed.map_err(|_| WriteError::Unsealed)?,
            key,
            object,
        })
    }

    /// Removes tombstones that are of no use from the database; deletions do so, too.
    pub(crate) async fn prune_tombstones(&self) -> Result<(), store::Error> {
        let Some(floor) = self.cache.tombstones_to_prune() else {
            return Ok(());
        };
        let writer = self.database.writer();
        writer.write(move |c| sql::prune(c, floor).boxed()).await?;
        self.cache.tombstones_pruned(floor);
        Ok(())
    }
}
