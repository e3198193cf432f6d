//! Keeps the statuses of ProviderClusters current: two watches keep the hosts, a change of a host wakes those who count it,
//! and what they see is written.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use compare_and_set::Outcome;
use futures::channel::mpsc::{self, Sender};
use futures::{FutureExt as _, SinkExt as _, Stream, StreamExt as _};
use jiff::Timestamp;
use kube::api::Api;
use kube::core::PartialObjectMeta;
use kube::runtime::controller::{Action, Config, applier};
use kube::runtime::reflector::{self, ObjectRef};
use kube::runtime::watcher::Event;
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Client, Resource, ResourceExt as _};
use resources::gantry::{ProviderCluster, ProviderClusterStatus, Server};
use resources::tinkerbell::Hardware;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::driver::{PROVIDER, Settings};
use super::effects::WRITER;
use super::listed::Listed;
use crate::error::Error;
use crate::hosts::{Hosts, Place};
use crate::provider_cluster::{is_urgent, status};

/// Objects worked on at once.
const CONCURRENCY: u16 = 16;
/// Changes of hosts that may wait to wake who counts them.
const WAKES: usize = 1024;
/// Between two statuses that differ in numbers alone. While thousands of machines are claimed or imported, they change all
/// the time for everybody.
const PAUSE: Duration = Duration::from_secs(2);
/// After an error or a lost race, before the next try.
const AGAIN: Duration = Duration::from_secs(1);

/// Counts hosts for ProviderClusters.
struct Counter {
    client: Client,
    hosts: Mutex<Hosts>,
    /// Whether the first list of Servers, and that of Hardware, are complete.
    listed: watch::Sender<(bool, bool)>,
    /// When the status of each was written last.
    written: Mutex<HashMap<Place, Timestamp>>,
}

/// Hardware as far as it decides who can have it.
type Labels = PartialObjectMeta<Hardware>;
/// Takes an object in.
type Put<K> = fn(&mut Hosts, &K) -> BTreeSet<Place>;
/// Forgets an object by namespace and name.
type Drop = fn(&mut Hosts, &str, &str) -> BTreeSet<Place>;

/// One event of a watch.
enum Change {
    Server(Box<Event<Server>>),
    Hardware(Box<Event<Labels>>),
}

/// Keeps the statuses current until cancelled.
pub(super) async fn run(client: Client, settings: &Settings, cancel: CancellationToken) {
    let counter = Arc::new(Counter {
        client: client.clone(),
        hosts: Mutex::new(Hosts::new(settings.cooldown)),
        listed: watch::Sender::default(),
        written: Mutex::default(),
    });
    let (wakes, woken) = mpsc::channel(WAKES);
    let following = Arc::clone(&counter).follow(client.clone(), wakes);
    let (reader, writer) = reflector::store();
    let objects = watcher(Api::<ProviderCluster>::all(client), watcher::Config::default());
    let (store, forgetting) = (reader.clone(), Arc::clone(&counter));
    let objects = reflector::reflector(writer, objects.default_backoff())
        .touched_objects()
        .filter_map(|object| std::future::ready(object.ok()))
        .map(move |object| {
            let reference = ObjectRef::from_obj(&object);
            if store.get(&reference).is_none() {
                forgetting.forget(&object);
            }
            reference
        });
    let queue = futures::stream::select(objects, woken)
        .take_until(cancel.cancelled_owned())
        .map(Ok::<_, std::convert::Infallible>);
    let reconcile = |object, counter: Arc<Counter>| async move { counter.reconcile(object).await }.boxed();
    let config = Config::default().concurrency(CONCURRENCY);
    let controller =
        applier(reconcile, failed, counter, reader, queue, config).for_each(|_| std::future::ready(()));
    tokio::select! {
        () = following => {}
        () = controller => {}
    }
}

fn failed(object: Arc<ProviderCluster>, error: &Error, _: Arc<Counter>) -> Action {
    let cluster = object.name_any();
    tracing::warn!(
        cluster,
        error = causes::line(error),
        "the status of a ProviderCluster was not written"
    );
    Action::requeue(AGAIN)
}

impl Counter {
    /// Takes in every change of a host, and wakes those whose counts it changes.
    async fn follow(self: Arc<Self>, client: Client, mut wakes: Sender<ObjectRef<ProviderCluster>>) {
        let everything = watcher::Config::default;
        let servers = watcher(Api::<Server>::all(client.clone()), everything());
        let hardware = watcher(Api::<Labels>::all(client), everything());
        let servers = good(servers.default_backoff(), "Server").map(|event| Change::Server(Box::new(event)));
        let hardware =
            good(hardware.default_backoff(), "Hardware").map(|event| Change::Hardware(Box::new(event)));
        let mut changes = std::pin::pin!(futures::stream::select(servers, hardware));
        let (mut servers_listed, mut hardware_listed) = (Listed::default(), Listed::default());
        while let Some(change) = changes.next().await {
            let woken = match change {
                Change::Server(event) => {
                    let sides = (Hosts::put_server as Put<Server>, Hosts::drop_server as Drop);
                    self.take_in(*event, &mut servers_listed, sides, |listed| &mut listed.0)
                }
                Change::Hardware(event) => {
                    let sides = (Hosts::put_hardware as Put<Labels>, Hosts::drop_hardware as Drop);
                    self.take_in(*event, &mut hardware_listed, sides, |listed| &mut listed.1)
                }
            };
            for (namespace, name) in woken {
                // Without a receiver the driver has stopped.
                let _ = wakes.send(ObjectRef::new(&name).within(&namespace)).await;
            }
        }
    }

    /// Takes in one event. Returns the ProviderClusters whose counts that changes.
    fn take_in<K: Resource>(
        &self,
        event: Event<K>,
        listed: &mut Listed,
        (put, drop): (Put<K>, Drop),
        flag: fn(&mut (bool, bool)) -> &mut bool,
    ) -> BTreeSet<Place> {
        let complete = matches!(event, Event::InitDone);
        let (there, gone) = listed.take_in(event);
        let mut hosts = lock(&self.hosts);
        let mut woken = there.map(|object| put(&mut hosts, &object)).unwrap_or_default();
        for (namespace, name) in gone {
            woken.extend(drop(&mut hosts, &namespace, &name));
        }
        if complete {
            self.listed
                .send_if_modified(|all| !std::mem::replace(flag(all), true));
        }
        woken
    }

    async fn reconcile(&self, object: Arc<ProviderCluster>) -> Result<Action, Error> {
        if object.spec.provider != PROVIDER || object.metadata.deletion_timestamp.is_some() {
            return Ok(Action::await_change());
        }
        // The sender lives as long as this.
        let _ = self
            .listed
            .subscribe()
            .wait_for(|listed| *listed == (true, true))
            .await;
        let now = Timestamp::now();
        let place = (object.namespace().unwrap_or_default(), object.name_any());
        let hosts = lock(&self.hosts).count((&place.0, &place.1), &object.spec.pools, now);
        let look = hosts.next.map(|next| until(next, now));
        let action = look.map_or_else(Action::await_change, Action::requeue);
        let before = object.status.as_ref();
        let after = status(&object, &hosts, now);
        if before == Some(&after) {
            return Ok(action);
        }
        let last = lock(&self.written).get(&place).copied();
        let due = last
            .and_then(|last| last.checked_add(PAUSE).ok())
            .filter(|due| *due > now);
        if let Some(due) = due.filter(|_| !is_urgent(before, &after)) {
            let wait = until(due, now);
            return Ok(Action::requeue(look.map_or(wait, |look| look.min(wait))));
        }
        if !self.write(&object, &place.0, &after).await? {
            return Ok(Action::requeue(AGAIN));
        }
        lock(&self.written).insert(place, now);
        Ok(action)
    }

    /// Tells whether the object still was as it was read.
    async fn write(
        &self,
        object: &ProviderCluster,
        namespace: &str,
        status: &ProviderClusterStatus,
    ) -> Result<bool, Error> {
        let api: Api<ProviderCluster> = Api::namespaced(self.client.clone(), namespace);
        Ok(!matches!(
            WRITER.status(&api, object, status).await?,
            Outcome::Lost
        ))
    }

    fn forget(&self, object: &ProviderCluster) {
        let (namespace, name) = (object.namespace().unwrap_or_default(), object.name_any());
        lock(&self.hosts).forget(&namespace, &name);
        lock(&self.written).remove(&(namespace, name));
    }
}

/// The events of a watch without its interruptions.
fn good<K>(
    events: impl Stream<Item = watcher::Result<Event<K>>>,
    kind: &'static str,
) -> impl Stream<Item = Event<K>> {
    events.filter_map(move |event| {
        let event = event.inspect_err(|error| {
            tracing::warn!(kind, error = causes::line(error), "a watch was interrupted");
        });
        std::future::ready(event.ok())
    })
}

fn until(at: Timestamp, now: Timestamp) -> Duration {
    let left = Duration::try_from(at.duration_since(now)).unwrap_or_default();
    // Beyond that moment, so that it has passed for sure.
    left.saturating_add(Duration::from_millis(100))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
