//! A watch of the objects that a controller reconciles.

use std::fmt::Debug;

use futures::stream::BoxStream;
use futures::{Stream, StreamExt as _};
use kube::api::Api;
use kube::runtime::reflector::{self, ObjectRef, Store};
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Client, Resource};
use serde::de::DeserializeOwned;

/// The objects of a kind in all namespaces.
pub(super) struct Watched<K: Resource<DynamicType = ()> + 'static> {
    /// Those that there are, as long as `changes` is polled.
    pub(super) store: Store<K>,
    /// Those that came, changed or went.
    pub(super) changes: BoxStream<'static, ObjectRef<K>>,
}

impl<K> Watched<K>
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + Sync + 'static,
{
    /// `gone` hears of each object that is no longer there.
    pub(super) fn new(client: &Client, gone: impl Fn(&K) + Send + 'static) -> Self {
        let (store, writer) = reflector::store();
        let objects = watcher(Api::<K>::all(client.clone()), watcher::Config::default());
        let known = store.clone();
        let changes = reflector::reflector(writer, objects.default_backoff())
            .touched_objects()
            .filter_map(|object| std::future::ready(object.ok()))
            .map(move |object| {
                let reference = ObjectRef::from_obj(&object);
                if known.get(&reference).is_none() {
                    gone(&object);
                }
                reference
            });
        Self {
            store,
            changes: changes.boxed(),
        }
    }
}

/// Whom changes of the objects of another kind concern.
pub(super) fn concerned<K, O, I, F>(
    client: &Client,
    concerns: F,
) -> impl Stream<Item = ObjectRef<K>> + Send + use<K, O, I, F>
where
    K: Resource<DynamicType = ()> + 'static,
    O: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + 'static,
    I: IntoIterator<Item = ObjectRef<K>>,
    I::IntoIter: Send,
    F: Fn(&O) -> I + Send + 'static,
{
    watcher(Api::<O>::all(client.clone()), watcher::Config::default())
        .default_backoff()
        .touched_objects()
        .filter_map(|object| std::future::ready(object.ok()))
        .flat_map(move |object| futures::stream::iter(concerns(&object)))
}
