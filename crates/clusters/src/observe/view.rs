//! Every object of one kind, kept current by one watch and found by name and by cluster.
//!
//! Invariant: who has written an object and waits with [`View::settle`] sees it afterwards.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use futures::StreamExt as _;
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, Event};
use kube::{Resource, ResourceExt as _};
use tokio::sync::watch;

use crate::access::version;

/// Longest wait for a write to show.
const SETTLED: Duration = Duration::from_secs(10);

/// Namespace and name of an object, or of a cluster.
pub(crate) type Key = (String, String);

/// Objects of one kind.
#[derive(Debug)]
pub(crate) struct View<K> {
    inner: RwLock<Inner<K>>,
    changes: watch::Sender<u64>,
    /// Clusters that have looked for an object, by the object, which need not be there.
    users: Mutex<HashMap<Key, HashSet<String>>>,
}

#[derive(Debug)]
struct Inner<K> {
    /// Whether the first list is complete.
    complete: bool,
    /// The highest resource version that was seen.
    version: u64,
    objects: HashMap<Key, Arc<K>>,
    /// By namespace, cluster and name: one map, since a map for each cluster would take more than most objects.
    clusters: BTreeMap<(String, String, String), Arc<K>>,
    /// Keys that a list under way has not named yet.
    unlisted: HashSet<Key>,
}

/// Which cluster of its namespace an object belongs to.
pub(crate) type ClusterOf<K> = fn(&K) -> Option<String>;

impl<K> Default for View<K> {
    fn default() -> Self {
        Self {
            inner: RwLock::new(Inner {
                complete: false,
                version: 0,
                objects: HashMap::new(),
                clusters: BTreeMap::new(),
                unlisted: HashSet::new(),
            }),
            changes: watch::Sender::new(0),
            users: Mutex::default(),
        }
    }
}

impl<K: Resource<DynamicType = ()> + Clone + Send + Sync + 'static> View<K> {
    /// Applies the events of a watch until it ends, and hands each object on to `changed` afterwards.
    pub(crate) async fn follow<C>(
        &self,
        events: impl futures::Stream<Item = watcher::Result<Event<K>>> + Send,
        cluster_of: ClusterOf<K>,
        changed: impl Fn(Arc<K>) -> C + Send + Sync,
    ) where
        C: Future<Output = ()> + Send,
    {
        let mut events = std::pin::pin!(events.default_backoff());
        while let Some(event) = events.next().await {
            let Ok(event) = event.inspect_err(|error| {
                tracing::warn!(kind = %K::kind(&()), error = causes::line(error), "a watch was interrupted");
            }) else {
                continue;
            };
            let object = self.apply(event, cluster_of);
            self.changes.send_modify(|count| *count = count.wrapping_add(1));
            if let Some(object) = object {
                changed(object).await;
            }
        }
    }

    fn apply(&self, event: Event<K>, cluster_of: ClusterOf<K>) -> Option<Arc<K>> {
        let mut inner = self.inner.write().unwrap_or_else(PoisonError::into_inner);
        match event {
            Event::Init => {
                inner.unlisted = inner.objects.keys().cloned().collect();
                None
            }
            Event::InitApply(object) => {
                let key = key(&object);
                inner.unlisted.remove(&key);
                Some(inner.put(object, cluster_of))
            }
            Event::InitDone => {
                for key in std::mem::take(&mut inner.unlisted) {
                    inner.take(&key, cluster_of);
                }
                inner.complete = true;
                None
            }
            Event::Apply(object) => Some(inner.put(object, cluster_of)),
            Event::Delete(object) => {
                inner.take(&key(&object), cluster_of);
                inner.note_version(&object);
                Some(Arc::new(object))
            }
        }
    }

    /// An object by namespace and name.
    pub(crate) fn get(&self, namespace: &str, name: &str) -> Option<Arc<K>> {
        let inner = self.inner.read().unwrap_or_else(PoisonError::into_inner);
        inner
            .objects
            .get(&(namespace.to_owned(), name.to_owned()))
            .cloned()
    }

    /// An object by namespace and name for a cluster of that namespace, which is one of its users from now on.
    pub(crate) fn get_for(&self, cluster: &str, namespace: &str, name: &str) -> Option<Arc<K>> {
        let key = (namespace.to_owned(), name.to_owned());
        let mut users = self.users.lock().unwrap_or_else(PoisonError::into_inner);
        let users = users.entry(key).or_default();
        if !users.contains(cluster) {
            users.insert(cluster.to_owned());
        }
        self.get(namespace, name)
    }

    /// Clusters that have looked for an object.
    pub(crate) fn users_of(&self, namespace: &str, name: &str) -> Vec<String> {
        let users = self.users.lock().unwrap_or_else(PoisonError::into_inner);
        let found = users.get(&(namespace.to_owned(), name.to_owned()));
        found.into_iter().flatten().cloned().collect()
    }

    /// The objects of a cluster by name.
    pub(crate) fn of_cluster(&self, namespace: &str, cluster: &str) -> BTreeMap<String, Arc<K>> {
        let inner = self.inner.read().unwrap_or_else(PoisonError::into_inner);
        let first = (namespace.to_owned(), cluster.to_owned(), String::new());
        let objects = inner.clusters.range(first..);
        let of_cluster =
            objects.take_while(|((in_namespace, of, _), _)| in_namespace == namespace && of == cluster);
        of_cluster
            .map(|((_, _, name), object)| (name.clone(), Arc::clone(object)))
            .collect()
    }

    /// Every object.
    pub(crate) fn all(&self) -> Vec<Arc<K>> {
        let inner = self.inner.read().unwrap_or_else(PoisonError::into_inner);
        inner.objects.values().cloned().collect()
    }

    /// Waits until the first list is complete.
    pub(crate) async fn complete(&self) {
        let is_complete = |_: &u64| {
            let inner = self.inner.read().unwrap_or_else(PoisonError::into_inner);
            inner.complete
        };
        // The sender lives as long as the view.
        let _ = self.changes.subscribe().wait_for(is_complete).await;
    }

    /// Waits until the view has seen this resource version, and no longer has these objects unless they are being
    /// deleted. Tells whether it has.
    pub(crate) async fn settle(&self, version: u64, gone: &[Key]) -> bool {
        let is_settled = |_: &u64| {
            let inner = self.inner.read().unwrap_or_else(PoisonError::into_inner);
            let stays = |key: &Key| {
                let found = inner.objects.get(key);
                found.is_some_and(|object| object.meta().deletion_timestamp.is_none())
            };
            inner.version >= version && !gone.iter().any(stays)
        };
        let mut changes = self.changes.subscribe();
        let settled = changes.wait_for(is_settled);
        tokio::time::timeout(SETTLED, settled).await.is_ok()
    }
}

impl<K: Resource<DynamicType = ()> + Clone> Inner<K> {
    fn put(&mut self, object: K, cluster_of: ClusterOf<K>) -> Arc<K> {
        let key = key(&object);
        self.note_version(&object);
        self.take(&key, cluster_of);
        let object = Arc::new(object);
        if let Some(cluster) = cluster_of(&object) {
            let key = (key.0.clone(), cluster, key.1.clone());
            self.clusters.insert(key, Arc::clone(&object));
        }
        self.objects.insert(key, Arc::clone(&object));
        object
    }

    fn take(&mut self, key: &Key, cluster_of: ClusterOf<K>) {
        let Some(object) = self.objects.remove(key) else {
            return;
        };
        if let Some(cluster) = cluster_of(&object) {
            self.clusters.remove(&(key.0.clone(), cluster, key.1.clone()));
        }
    }

    fn note_version(&mut self, object: &K) {
        self.version = self.version.max(version(object));
    }
}

fn key(object: &impl Resource) -> Key {
    (object.namespace().unwrap_or_default(), object.name_any())
}
