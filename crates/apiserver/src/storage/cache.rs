//! The objects in memory and the recent changes of each resource.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::ops::Bound;
use std::sync::{Arc, OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use bytes::Bytes;
use serde_json::Value;
use tokio::sync::watch;

use super::Key;
use super::sql::Loaded;
use crate::meta::{Meta, set_meta};

/// Changes kept per resource for exact replay to a resuming watch.
const RECENT: usize = 2048;
/// Tombstones kept over all resources; beyond twice that the older half goes.
const TOMBSTONES: usize = 4096;
/// Uids of deleted objects that are remembered.
const DEPARTED: usize = 4096;

/// A committed object.
#[derive(Debug)]
pub(crate) struct Stored {
    /// The object with its resourceVersion.
    pub(crate) value: Value,
    /// Its resourceVersion.
    pub(crate) version: u64,
    /// The version at which it was created.
    pub(crate) created: u64,
    /// Bytes of its JSON, up to those of its resourceVersion.
    pub(crate) bytes: usize,
    json: OnceLock<Bytes>,
}

impl Stored {
    pub(super) fn new(mut value: Value, version: u64, created: u64, bytes: usize) -> Stored {
        set_meta(&mut value, "resourceVersion", Some(version.to_string().into()));
        Stored {
            value,
            version,
            created,
            bytes,
            json: OnceLock::new(),
        }
    }

    /// Its JSON, encoded once for the row and for every reader.
    pub(crate) fn json(&self) -> Bytes {
        self.json
            .get_or_init(|| Bytes::from(self.value.to_string()))
            .clone()
    }
}

/// What happened to an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ChangeKind {
    Added,
    Modified,
    Deleted,
}

/// One committed change.
#[derive(Debug)]
pub(crate) struct Change {
    pub(crate) kind: ChangeKind,
    pub(crate) version: u64,
    pub(crate) key: Key,
    /// State after it; for a deletion the last state, with the version of the deletion.
    pub(crate) object: Arc<Stored>,
    /// State before it, when known: tells whether a selector held before.
    pub(crate) previous: Option<Arc<Stored>>,
}

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
    objects: BTreeMap<(String, String), Arc<Stored>>,
    recent: VecDeque<Arc<Change>>,
    /// Changes up to and including this version are no longer in `recent`.
    floor: u64,
    changed: watch::Sender<u64>,
}

#[derive(Debug)]
struct State {
    version: u64,
    resources: HashMap<Arc<str>, Resource>,
    tombstones: BTreeMap<u64, Arc<Change>>,
    tombstone_floor: u64,
    uids: HashMap<String, Key>,
    owned: HashMap<String, BTreeSet<Key>>,
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
            tombstones: loaded.tombstones,
            tombstone_floor: loaded.floor,
            uids: HashMap::new(),
            owned: HashMap::new(),
            departed: Departed::default(),
            touched: Touched::default(),
        };
        for (key, object) in loaded.objects {
            state.index(&key, &object.value);
            state.touched.keys.insert(key.clone());
            state
                .resource(&key.resource)
                .objects
                .insert((key.namespace, key.name), object);
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
        resource
            .objects
            .get(&(key.namespace.clone(), key.name.clone()))
            .cloned()
    }

    pub(super) fn list(&self, resource: &str, namespace: Option<&str>) -> Snapshot {
        let state = self.read();
        let objects = match (state.resources.get(resource), namespace) {
            (None, _) => Vec::new(),
            (Some(resource), None) => resource.objects.values().cloned().collect(),
            (Some(resource), Some(namespace)) => {
                let from = Bound::Included((namespace.to_owned(), String::new()));
                let all = resource.objects.range((from, Bound::Unbounded));
                all.take_while(|((ns, _), _)| ns == namespace)
                    .map(|(_, object)| object.clone())
                    .collect()
            }
        };
        Snapshot {
            objects,
            version: state.version,
        }
    }

    pub(super) fn changes(&self, resource: &str, since: u64) -> Result<(Vec<Arc<Change>>, u64), Expired> {
        let state = self.read();
        if since > state.version {
            return Err(Expired {
                oldest: state.tombstone_floor,
            });
        }
        let Some(found) = state.resources.get(resource) else {
            return Ok((Vec::new(), state.version));
        };
        if since >= found.floor {
            let begin = found.recent.partition_point(|c| c.version <= since);
            return Ok((found.recent.range(begin..).cloned().collect(), state.version));
        }
        if since < state.tombstone_floor {
            return Err(Expired {
                oldest: state.tombstone_floor,
            });
        }
        Ok((collapsed(&state, resource, found, since), state.version))
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
        self.read()
            .owned
            .get(uid)
            .map(|keys| keys.iter().cloned().collect())
            .unwrap_or_default()
    }

    pub(super) fn owned(&self) -> Vec<Key> {
        let state = self.read();
        let keys: BTreeSet<&Key> = state.owned.values().flatten().collect();
        keys.into_iter().cloned().collect()
    }

    pub(super) fn key_of(&self, uid: &str) -> Option<Key> {
        self.read().uids.get(uid).cloned()
    }

    pub(super) fn is_departed(&self, uid: &str) -> bool {
        self.read().departed.uids.contains(uid)
    }

    pub(super) fn take_touched(&self) -> Touched {
        std::mem::take(&mut self.lock().touched)
    }

    /// Drops the older tombstones when there are too many; returns the new floor.
    pub(super) fn prune_tombstones(&self) -> Option<u64> {
        let mut state = self.lock();
        if state.tombstones.len() <= 2 * TOMBSTONES {
            return None;
        }
        let excess = state.tombstones.len() - TOMBSTONES;
        let floor = *state.tombstones.keys().nth(excess - 1)?;
        state.tombstones = state.tombstones.split_off(&(floor + 1));
        state.tombstone_floor = floor;
        Some(floor)
    }

    /// Takes in a committed change. Called by the writer in commit order.
    pub(super) fn apply(&self, kind: ChangeKind, key: &Key, object: &Arc<Stored>) {
        let version = object.version;
        {
            let mut state = self.lock();
            let place = (key.namespace.clone(), key.name.clone());
            let resource = state.resource(&key.resource);
            let previous = match kind {
                ChangeKind::Deleted => resource.objects.remove(&place),
                _ => resource.objects.insert(place, object.clone()),
            };
            let change = Arc::new(Change {
                kind,
                version,
                key: key.clone(),
                object: object.clone(),
                previous: previous.clone(),
            });
            resource.remember(change.clone());
            state.version = version;
            if let Some(previous) = &previous {
                state.unindex(key, &previous.value);
            }
            state.note(kind, key, &object.value, previous.as_ref().map(|p| &p.value));
            if kind == ChangeKind::Deleted {
                state.tombstones.insert(version, change);
            } else {
                state.index(key, &object.value);
            }
            if let Some(resource) = state.resources.get(&*key.resource) {
                resource.changed.send_replace(version);
            }
        }
        self.changed.send_replace(version);
    }
}

/// What a watch that starts long ago must hear: the present state of what changed since, and what went.
fn collapsed(state: &State, name: &str, resource: &Resource, since: u64) -> Vec<Arc<Change>> {
    let mut changes: Vec<Arc<Change>> = Vec::new();
    for ((namespace, object_name), object) in &resource.objects {
        if object.version > since {
            let kind = if object.created > since {
                ChangeKind::Added
            } else {
                ChangeKind::Modified
            };
            let key = Key {
                resource: Arc::from(name),
                namespace: namespace.clone(),
                name: object_name.clone(),
            };
            let version = object.version;
            changes.push(Arc::new(Change {
                kind,
                version,
                key,
                object: object.clone(),
                previous: None,
            }));
        }
    }
    let gone = state.tombstones.range(since + 1..).map(|(_, change)| change);
    // An object that came and went since is of no interest.
    let gone = gone.filter(|c| *c.key.resource == *name && c.object.created <= since);
    changes.extend(gone.cloned());
    changes.sort_by_key(|c| c.version);
    changes
}

impl Resource {
    fn remember(&mut self, change: Arc<Change>) {
        if self.recent.len() >= RECENT
            && let Some(oldest) = self.recent.pop_front()
        {
            self.floor = oldest.version;
        }
        self.recent.push_back(change);
    }
}

impl State {
    fn resource(&mut self, name: &Arc<str>) -> &mut Resource {
        let floor = self.version;
        self.resources.entry(name.clone()).or_insert_with(|| Resource {
            objects: BTreeMap::new(),
            recent: VecDeque::new(),
            floor,
            changed: watch::Sender::new(floor),
        })
    }

    fn index(&mut self, key: &Key, object: &Value) {
        self.uids.insert(object.uid().to_owned(), key.clone());
        for owner in object.owners() {
            if let Some(uid) = owner.get("uid").and_then(Value::as_str) {
                self.owned.entry(uid.to_owned()).or_default().insert(key.clone());
            }
        }
    }

    fn unindex(&mut self, key: &Key, object: &Value) {
        self.uids.remove(object.uid());
        for owner in object.owners() {
            let Some(uid) = owner.get("uid").and_then(Value::as_str) else {
                continue;
            };
            if let Some(keys) = self.owned.get_mut(uid) {
                keys.remove(key);
                if keys.is_empty() {
                    self.owned.remove(uid);
                }
            }
        }
    }

    fn note(&mut self, kind: ChangeKind, key: &Key, object: &Value, previous: Option<&Value>) {
        for owner in previous.into_iter().chain([object]).flat_map(Meta::owners) {
            if let Some(uid) = owner.get("uid").and_then(Value::as_str) {
                self.touched.owners.insert(uid.to_owned());
            }
        }
        if kind == ChangeKind::Deleted {
            self.departed.push(object.uid());
            self.touched.gone.insert(object.uid().to_owned());
        }
        self.touched.keys.insert(key.clone());
    }
}
