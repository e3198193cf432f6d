//! Every server as far as it decides who can have it, and for each choice of hardware that a cluster makes: which servers
//! fit, which of them are free, and why the others are not. A change of one server touches the choices that it fits and
//! no others, so that counting costs the same with ten servers and with ten thousand.

mod follower;
mod space;
mod tally;
#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, HashMap};

use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt as _;
use kube::core::PartialObjectMeta;
use resources::gantry::{ProviderPool, SelectorTerm, Server};
use resources::tinkerbell::Hardware;

use crate::availability::Availability;
pub(crate) use follower::Follower;
pub(crate) use space::Sought;
use space::Space;
pub(crate) use tally::{Counted, Pools};

/// An object by namespace and name.
pub(crate) type Place = (String, String);
/// Whom a change concerns, by namespace.
pub(crate) type Woken = BTreeSet<(String, Follower)>;

/// All servers, by namespace.
#[derive(Debug)]
pub(crate) struct Hosts {
    cooldown: SignedDuration,
    spaces: HashMap<String, Space>,
}

impl Hosts {
    /// None yet; failures of installations count for so long.
    pub(crate) fn new(cooldown: SignedDuration) -> Self {
        Self {
            cooldown,
            spaces: HashMap::new(),
        }
    }

    /// Takes in a server as it is now. Returns whom that concerns.
    pub(crate) fn put_server(&mut self, server: &Server) -> Woken {
        let availability = Availability::of(server, self.cooldown);
        let (namespace, hardware) = (server.namespace().unwrap_or_default(), &server.spec.hardware);
        let woken = self.space(&namespace).change(hardware, |host| {
            host.server = Some((server.name_any(), availability));
        });
        places(&namespace, woken)
    }

    /// Forgets a server.
    pub(crate) fn drop_server(&mut self, namespace: &str, name: &str) -> Woken {
        let woken = self.space(namespace).drop_server(name);
        places(namespace, woken)
    }

    /// Takes in the labels of a Hardware.
    pub(crate) fn put_hardware(&mut self, hardware: &PartialObjectMeta<Hardware>) -> Woken {
        let namespace = hardware.namespace().unwrap_or_default();
        let woken = self.space(&namespace).change(&hardware.name_any(), |host| {
            host.labels = Some(hardware.labels().clone());
        });
        places(&namespace, woken)
    }

    /// Forgets a Hardware.
    pub(crate) fn drop_hardware(&mut self, namespace: &str, name: &str) -> Woken {
        let woken = self.space(namespace).change(name, |host| host.labels = None);
        places(namespace, woken)
    }

    /// The hosts of the pools of a ProviderCluster. From now on its name is returned when they change.
    pub(crate) fn count(
        &mut self,
        (namespace, name): (&str, &str),
        pools: &[ProviderPool],
        now: Timestamp,
    ) -> Pools {
        let space = self.space(namespace);
        let wanted = pools.iter().map(|pool| pool.selector().to_vec());
        space.follow(&Follower::Cluster(name.to_owned()), wanted.collect());
        space.count(name, pools, now)
    }

    /// Forgets a ProviderCluster.
    pub(crate) fn forget(&mut self, namespace: &str, name: &str) {
        let follower = Follower::Cluster(name.to_owned());
        self.space(namespace).follow(&follower, BTreeSet::new());
    }

    /// Servers for a ProviderMachine that looks for one, and why others can't be had. It is woken when one can be had that
    /// could not before, until [`Hosts::found`] or [`Hosts::end_search`].
    pub(crate) fn seek(
        &mut self,
        (namespace, name): (&str, &str),
        selector: &[SelectorTerm],
        now: Timestamp,
    ) -> Sought {
        self.space(namespace).seek(name, selector, now)
    }

    /// Keeps a server for a ProviderMachine that is about to claim it, so that others look at the next one meanwhile; false
    /// when it is kept for another one.
    pub(crate) fn reserve(&mut self, (namespace, name): (&str, &str), server: &str) -> bool {
        self.space(namespace).reserve(name, server)
    }

    /// Keeps nothing for a ProviderMachine any more: what was kept can't be had.
    pub(crate) fn unreserve(&mut self, namespace: &str, name: &str) {
        self.space(namespace).unreserve(name);
    }

    /// Keeps nothing for a ProviderMachine that looks again. Returns whom that concerns: another one that waits.
    pub(crate) fn release(&mut self, namespace: &str, name: &str) -> Woken {
        let woken = self.space(namespace).release(name);
        places(namespace, woken)
    }

    /// A ProviderMachine has found a server that it can have.
    pub(crate) fn found(&mut self, namespace: &str, name: &str) {
        self.space(namespace).found(name);
    }

    /// A ProviderMachine no longer looks for a server. Returns whom that concerns: another one that waits.
    pub(crate) fn end_search(&mut self, namespace: &str, name: &str) -> Woken {
        let woken = self.space(namespace).end_search(name);
        places(namespace, woken)
    }

    fn space(&mut self, namespace: &str) -> &mut Space {
        self.spaces.entry(namespace.to_owned()).or_default()
    }
}

fn places(namespace: &str, followers: BTreeSet<Follower>) -> Woken {
    followers
        .into_iter()
        .map(|follower| (namespace.to_owned(), follower))
        .collect()
}
