//! The hosts as two watches show them, for who counts them and for machines that look for one, and who is woken when they
//! change.

use std::sync::{Mutex, MutexGuard, PoisonError};

use futures::channel::mpsc::{self, Receiver, Sender};
use futures::{SinkExt as _, Stream, StreamExt as _};
use jiff::{SignedDuration, Timestamp};
use kube::api::Api;
use kube::core::PartialObjectMeta;
use kube::runtime::reflector::ObjectRef;
use kube::runtime::watcher::Event;
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Client, Resource};
use resources::gantry::{ProviderCluster, ProviderMachine, ProviderPool, SelectorTerm, Server};
use resources::tinkerbell::Hardware;
use tokio::sync::watch;

use super::listed::Listed;
use super::wakes::Wakes;
use crate::hosts::{Follower, Hosts, Pools, Sought, Woken};

/// Wakes that may wait until their queue takes them.
const WAKES: usize = 1024;

/// Hardware as far as it decides who can have it.
type Labels = PartialObjectMeta<Hardware>;
/// Takes an object in.
type Put<K> = fn(&mut Hosts, &K) -> Woken;
/// Forgets an object by namespace and name.
type Drop = fn(&mut Hosts, &str, &str) -> Woken;

/// The hosts.
pub(super) struct HostIndex {
    hosts: Mutex<Hosts>,
    /// Whether the first list of Servers, and that of Hardware, are complete.
    listed: watch::Sender<(bool, bool)>,
    clusters: Sender<ObjectRef<ProviderCluster>>,
    machines: Sender<ObjectRef<ProviderMachine>>,
}

/// Who is to be looked at because hosts have changed.
pub(super) struct Queues {
    pub(super) clusters: Receiver<ObjectRef<ProviderCluster>>,
    pub(super) machines: Receiver<ObjectRef<ProviderMachine>>,
}

/// One event of a watch.
enum Change {
    Server(Box<Event<Server>>),
    Hardware(Box<Event<Labels>>),
}

impl HostIndex {
    /// An empty one; failures of installations count for so long.
    pub(super) fn new(cooldown: SignedDuration) -> (Self, Queues) {
        let (clusters, woken_clusters) = mpsc::channel(WAKES);
        let (machines, woken_machines) = mpsc::channel(WAKES);
        let index = Self {
            hosts: Mutex::new(Hosts::new(cooldown)),
            listed: watch::Sender::default(),
            clusters,
            machines,
        };
        let queues = Queues {
            clusters: woken_clusters,
            machines: woken_machines,
        };
        (index, queues)
    }

    /// Takes in every change of a host, and wakes whom it concerns. Never ends.
    pub(super) async fn follow(&self, client: &Client, wakes: &Wakes) {
        let everything = watcher::Config::default;
        let servers = watcher(Api::<Server>::all(client.clone()), everything());
        let hardware = watcher(Api::<Labels>::all(client.clone()), everything());
        let servers = good(servers.default_backoff(), "Server").map(|event| Change::Server(Box::new(event)));
        let hardware =
            good(hardware.default_backoff(), "Hardware").map(|event| Change::Hardware(Box::new(event)));
        let mut changes = std::pin::pin!(futures::stream::select(servers, hardware));
        let (mut servers_listed, mut hardware_listed) = (Listed::default(), Listed::default());
        while let Some(change) = changes.next().await {
            let (woken, owners) = match change {
                Change::Server(event) => {
                    let owners = object(&event).map(|server| wakes.of_server(server));
                    let sides = (Hosts::put_server as Put<Server>, Hosts::drop_server as Drop);
                    let woken = self.take_in(*event, &mut servers_listed, sides, |listed| &mut listed.0);
                    (woken, owners.unwrap_or_default())
                }
                Change::Hardware(event) => {
                    let sides = (Hosts::put_hardware as Put<Labels>, Hosts::drop_hardware as Drop);
                    let woken = self.take_in(*event, &mut hardware_listed, sides, |listed| &mut listed.1);
                    (woken, Vec::new())
                }
            };
            self.wake(woken).await;
            for owner in owners {
                // Without a receiver the driver has stopped.
                let _ = self.machines.clone().send(owner).await;
            }
        }
    }

    /// Takes in one event. Returns whom it concerns.
    fn take_in<K: Resource>(
        &self,
        event: Event<K>,
        listed: &mut Listed,
        (put, drop): (Put<K>, Drop),
        flag: fn(&mut (bool, bool)) -> &mut bool,
    ) -> Woken {
        let complete = matches!(event, Event::InitDone);
        let (there, gone) = listed.take_in(event);
        let mut hosts = self.lock();
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

    async fn wake(&self, woken: Woken) {
        for (namespace, follower) in woken {
            // Without a receiver the driver has stopped.
            let _ = match follower {
                Follower::Cluster(name) => {
                    let cluster = ObjectRef::new(&name).within(&namespace);
                    self.clusters.clone().send(cluster).await
                }
                Follower::Machine(name) => {
                    let machine = ObjectRef::new(&name).within(&namespace);
                    self.machines.clone().send(machine).await
                }
            };
        }
    }

    /// The hosts of the pools of a ProviderCluster, which is woken from now on when they change.
    pub(super) async fn count(&self, cluster: (&str, &str), pools: &[ProviderPool], now: Timestamp) -> Pools {
        self.known().await;
        self.lock().count(cluster, pools, now)
    }

    /// Forgets a ProviderCluster.
    pub(super) fn forget(&self, namespace: &str, name: &str) {
        self.lock().forget(namespace, name);
    }

    /// Servers for a ProviderMachine as the watches have shown them, which may have changed since. From now on it is woken
    /// when one can be had that could not before.
    pub(super) async fn seek(
        &self,
        machine: (&str, &str),
        selector: &[SelectorTerm],
        now: Timestamp,
    ) -> Sought {
        self.known().await;
        let woken = self.lock().release(machine.0, machine.1);
        self.wake(woken).await;
        self.lock().seek(machine, selector, now)
    }

    /// Keeps a server for a ProviderMachine that is about to claim it, until that looks again or ends its search; false when
    /// it is kept for another one.
    pub(super) fn reserve(&self, machine: (&str, &str), server: &str) -> bool {
        self.lock().reserve(machine, server)
    }

    /// Keeps nothing for a ProviderMachine, because what was kept can't be had as it is now.
    pub(super) fn unreserve(&self, namespace: &str, name: &str) {
        self.lock().unreserve(namespace, name);
    }

    /// A ProviderMachine has found a server that can be had as it is now.
    pub(super) fn found(&self, namespace: &str, name: &str) {
        self.lock().found(namespace, name);
    }

    /// A ProviderMachine no longer looks for a server; another one that waits is woken where there is one to be had.
    pub(super) async fn end_search(&self, namespace: &str, name: &str) {
        let woken = self.lock().end_search(namespace, name);
        self.wake(woken).await;
    }

    /// Returns when all hosts were listed once.
    async fn known(&self) {
        let mut listed = self.listed.subscribe();
        // The sender lives as long as this.
        let _ = listed.wait_for(|listed| *listed == (true, true)).await;
    }

    fn lock(&self) -> MutexGuard<'_, Hosts> {
        self.hosts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The object that an event tells of.
fn object<K>(event: &Event<K>) -> Option<&K> {
    match event {
        Event::Apply(object) | Event::InitApply(object) | Event::Delete(object) => Some(object),
        Event::Init | Event::InitDone => None,
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
