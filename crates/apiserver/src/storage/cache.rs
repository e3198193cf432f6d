//! The objects in memory, and what is known of their changes.

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::ops::Bound;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use tokio::sync::watch;

use super::Key;
use super::entries::{ByOwner, ByPlace, ByUid, Owned, Placed};
use super::history::{Change, ChangeKind, History};
use super::index::{Indexes, Term};
use super::pending::Written;
use super::sql::Loaded;
use super::stored::Stored;
use super::tombstones::{Tombstone, Tombstones};

/// Uids of deleted objects that are remembered.
const DEPARTED: usize = 4096;

/// The wanted version is older than what is kept (or newer than anything: a restored backup).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Expired {
    pub(crate) oldest: u64,
}

/// A list and the version at which it holds.
#[derive(Debug)]
pub(crate) struct Snapshot {
    pub(crate) objects: Vec<Arc<Stored>>,
    pub(crate) version: u64,
}

/// What changed since the collector asked last.
#[derive(Debug, Default)]
pub(crate) struct Touched {
    /// Objects that were written or deleted.
    pub(crate) keys: BTreeSet<Key>,
    /// Uids of the owners that those named before or name now.
    pub(crate) owners: BTreeSet<String>,
    /// Uids of objects that are gone.
    pub(crate) gone: BTreeSet<String>,
}

/// Uids of the objects that were deleted last.
#[derive(Debug, Default)]
struct Departed {
    order: VecDeque<String>,
    uids: HashSet<String>,
}

impl Departed {
    fn push(&mut self, uid: &str) {
        if self.uids.insert(uid.to_owned()) {
            self.order.push_back(uid.to_owned());
        }
        if self.order.len() > DEPARTED
            && let Some(oldest) = self.order.pop_front()
        {
            self.uids.remove(&oldest);
        }
    }
}

#[derive(Debug)]
struct Resource {
    objects: BTreeSet<ByPlace>,
    indexes: Indexes,
    changed: watch::Sender<u64>,
}

#[derive(Debug)]
struct State {
    version: u64,
    resources: HashMap<Arc<str>, Resource>,
    history: History,
    tombstones: Tombstones,
    uids: HashSet<ByUid>,
    /// What has owners.
    owned: BTreeSet<ByOwner>,
    departed: Departed,
    touched: Touched,
}

#[derive(Debug)]
pub(super) struct Cache {
    state: RwLock<State>,
    changed: watch::Sender<u64>,
}

impl Cache {
    pub(super) fn new(loaded: Loaded) -> Cache {
        let mut state = State {
            version: loaded.last,
            resources: HashMap::new(),
            history: History::new(loaded.last),
            tombstones: loaded.tombstones,
            uids: HashSet::new(),
            owned: BTreeSet::new(),
            departed: Departed::default(),
            touched: Touched::default(),
        };
        for (key, object) in loaded.objects {
            state.index(&key, &object);
            let objects = &mut state.resource(&key.resource).objects;
            objects.insert(ByPlace(object));
            state.touched.keys.insert(key);
        }
        Cache {
            state: RwLock::new(state),
            changed: watch::Sender::new(loaded.last),
        }
    }

    /// A panic while the lock was held cannot leave a half-applied change that matters more than going on.
    fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn version(&self) -> u64 {
        self.read().version
    }

    pub(super) fn get(&self, key: &Key) -> Option<Arc<Stored>> {
        let state = self.read();
        let resource = state.resources.get(&*key.resource)?;
        let found = resource.get(&key.namespace, &key.name)?;
        Some(Arc::clone(found))
    }

    pub(super) fn list(&self, resource: &str, namespace: Option<&str>) -> Snapshot {
        self.page(resource, namespace, None, usize::MAX)
    }

    /// At most `most` objects behind `after`.
    pub(super) fn page(
        &self,
        resource: &str,
        namespace: Option<&str>,
        after: Option<&(String, String)>,
        most: usize,
    ) -> Snapshot {
        let state = self.read();
        let objects = state.objects(resource, namespace, after);
        Snapshot {
            objects: objects.take(most).cloned().collect(),
            version: state.version,
        }
    }

    /// Objects that have this value in a label or field; none when that is looked up by no index.
    pub(super) fn having(
        &self,
        resource: &str,
        term: &Term,
        value: &str,
        namespace: Option<&str>,
    ) -> Option<Snapshot> {
        let find = |state: &State| {
            let resource = state.resources.get(resource)?;
            let places = resource.indexes.find(term, value, namespace);
            let objects = places.filter_map(|(namespace, name)| resource.get(namespace, name).cloned());
            resource.indexes.has(term).then(|| Snapshot {
                objects: objects.collect(),
                version: state.version,
            })
        };
        let found = find(&self.read());
        found.or_else(|| {
            let mut state = self.lock();
            let Resource { objects, indexes, .. } = state.resources.get_mut(resource)?;
            let all = objects.iter().map(|object| &*object.0);
            (indexes.has(term) || indexes.make(term, all)).then(|| find(&state))?
        })
    }

    pub(super) fn count(&self, resource: &str, namespace: Option<&str>) -> usize {
        self.read().objects(resource, namespace, None).count()
    }

    pub(super) fn changes(&self, resource: &str, since: u64) -> Result<(Vec<Arc<Change>>, u64), Expired> {
        let state = self.read();
        let oldest = state.tombstones.floor();
        if since > state.version {
            return Err(Expired { oldest });
        }
        if let Some(changes) = state.history.since(resource, since) {
            return Ok((changes, state.version));
        }
        if since < oldest {
            return Err(Expired { oldest });
        }
        Ok((collapsed(&state, resource, since), state.version))
    }

    pub(super) fn subscribe(&self, resource: &str) -> watch::Receiver<u64> {
        if let Some(found) = self.read().resources.get(resource) {
            return found.changed.subscribe();
        }
        self.lock().resource(&Arc::from(resource)).changed.subscribe()
    }

    pub(super) fn subscribe_all(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    pub(super) fn dependents(&self, uid: &str) -> Vec<Key> {
        let state = self.read();
        let from: &dyn Owned = &uid;
        let owned = state
            .owned
            .range::<dyn Owned, _>((Bound::Included(from), Bound::Unbounded));
        let owned = owned.take_while(|owned| owned.owner() == uid);
        owned.map(ByOwner::key).collect()
    }

    pub(super) fn owned(&self) -> Vec<Key> {
        let state = self.read();
        let keys: BTreeSet<Key> = state.owned.iter().map(ByOwner::key).collect();
        keys.into_iter().collect()
    }

    pub(super) fn key_of(&self, uid: &str) -> Option<Key> {
        self.read().uids.get(uid).map(ByUid::key)
    }

    pub(super) fn is_departed(&self, uid: &str) -> bool {
        self.read().departed.uids.contains(uid)
    }

    pub(super) fn take_touched(&self) -> Touched {
        std::mem::take(&mut self.lock().touched)
    }

    /// The version up to which the tombstones of the database are of no use any more, when it still has them.
    pub(super) fn tombstones_to_prune(&self) -> Option<u64> {
        self.read().tombstones.to_prune()
    }

    /// The database has removed its tombstones up to `floor`.
    pub(super) fn tombstones_pruned(&self, floor: u64) {
        self.lock().tombstones.pruned(floor);
    }

    /// Takes in changes of one commit. Called by the writer in commit order.
    pub(super) fn apply<'a>(&self, changes: impl IntoIterator<Item = &'a Written>) {
        let mut state = self.lock();
        let mut changed = BTreeSet::new();
        for change in changes {
            state.take(change);
            if !changed.contains(&change.key.resource) {
                changed.insert(change.key.resource.clone());
            }
        }
        let version = state.version;
        for resource in changed {
            if let Some(resource) = state.resources.get(&*resource) {
                resource.changed.send_replace(version);
            }
        }
        drop(state);
        self.changed.send_replace(version);
    }
}

/// What a watch that starts long ago must hear: the present state of what changed since, and what went.
fn collapsed(state: &State, name: &str, since: u64) -> Vec<Arc<Change>> {
    let mut changes: Vec<Arc<Change>> = Vec::new();
    let objects = state.resources.get(name).map(|resource| &resource.objects);
    for ByPlace(object) in objects.into_iter().flatten() {
        if object.version > since {
            let kind = if object.created > since {
                ChangeKind::Added
            } else {
                ChangeKind::Modified
            };
            let key = Key {
                resource: Arc::from(name),
                namespace: object.namespace().to_owned(),
                name: object.name().to_owned(),
            };
            changes.push(Arc::new(Change {
                kind,
                version: object.version,
                key,
                state: Some(object.clone()),
                before: None,
            }));
        }
    }
    for (version, tombstone) in state.tombstones.since(since) {
        // An object that came and went since is of no interest.
        if *tombstone.key.resource == *name && tombstone.created <= since {
            changes.push(Arc::new(Change {
                kind: ChangeKind::Deleted,
                version,
                key: tombstone.key.clone(),
                state: None,
                before: None,
            }));
        }
    }
    changes.sort_by_key(|c| c.version);
    changes
}

impl State {
    /// Objects of a resource behind `after`, in key order.
    fn objects<'a>(
        &'a self,
        resource: &str,
        namespace: Option<&'a str>,
        after: Option<&(String, String)>,
    ) -> impl Iterator<Item = &'a Arc<Stored>> {
        let first = (namespace.unwrap_or_default(), "");
        let after = after.map(|(namespace, name)| (namespace.as_str(), name.as_str()));
        let objects = self.resources.get(resource).map(|found| match after {
            Some(after) if after >= first => {
                let from: &dyn Placed = &after;
                let behind = (Bound::Excluded(from), Bound::Unbounded);
                found.objects.range::<dyn Placed, _>(behind)
            }
            _ => {
                let from: &dyn Placed = &first;
                let all = (Bound::Included(from), Bound::Unbounded);
                found.objects.range::<dyn Placed, _>(all)
            }
        });
        let objects = objects.into_iter().flatten().map(|ByPlace(object)| object);
        objects.take_while(move |object| namespace.is_none_or(|namespace| object.namespace() == namespace))
    }

    fn resource(&mut self, name: &Arc<str>) -> &mut Resource {
        let version = self.version;
        self.resources.entry(name.clone()).or_insert_with(|| Resource {
            objects: BTreeSet::new(),
            indexes: Indexes::default(),
            changed: watch::Sender::new(version),
        })
    }

    /// Takes in a committed change.
    fn take(&mut self, change: &Written) {
        let Written {
            kind, key, object, ..
        } = change;
        let resource = self.resource(&key.resource);
        let previous = match kind {
            ChangeKind::Deleted => {
                let place: &dyn Placed = &(key.namespace.as_str(), key.name.as_str());
                resource.objects.take(place)
            }
            _ => resource.objects.replace(ByPlace(object.clone())),
        };
        let previous = previous.map(|previous| previous.0);
        let now = (*kind != ChangeKind::Deleted).then_some(&**object);
        resource.indexes.change(previous.as_deref(), now);
        self.history.add(Change {
            kind: *kind,
            version: object.version,
            key: key.clone(),
            state: Some(object.clone()),
            before: previous.clone(),
        });
        self.version = object.version;
        if let Some(previous) = &previous {
            self.unindex(key, previous);
        }
        self.note(*kind, key, object, previous.as_ref());
        if *kind == ChangeKind::Deleted {
            let tombstone = Tombstone {
                key: key.clone(),
                created: object.created,
                bytes: object.bytes,
            };
            self.tombstones.add(object.version, tombstone);
        } else {
            self.index(key, object);
        }
    }

    fn index(&mut self, key: &Key, object: &Arc<Stored>) {
        self.uids.replace(ByUid {
            resource: key.resource.clone(),
            object: object.clone(),
        });
        self.owned.extend(by_owner(key, object));
    }

    fn unindex(&mut self, key: &Key, object: &Arc<Stored>) {
        self.uids.remove(object.uid());
        for owned in by_owner(key, object) {
            self.owned.remove(&owned);
        }
    }

    fn note(&mut self, kind: ChangeKind, key: &Key, object: &Arc<Stored>, previous: Option<&Arc<Stored>>) {
        for uid in previous.into_iter().chain([object]).flat_map(|one| one.owners()) {
            self.touched.owners.insert(uid.to_owned());
        }
        if kind == ChangeKind::Deleted {
            self.departed.push(object.uid());
            self.touched.gone.insert(object.uid().to_owned());
        }
        self.touched.keys.insert(key.clone());
    }
}

impl Resource {
    fn get(&self, namespace: &str, name: &str) -> Option<&Arc<Stored>> {
        let place: &dyn Placed = &(namespace, name);
        self.objects.get(place).map(|found| &found.0)
    }
}

fn by_owner<'a>(key: &'a Key, object: &'a Arc<Stored>) -> impl Iterator<Item = ByOwner> {
    (0..object.owners().count()).map(move |owner| ByOwner {
        resource: key.resource.clone(),
        object: object.clone(),
        owner,
    })
}
