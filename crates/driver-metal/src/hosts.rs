//! Every server as far as it decides who can have it, and for each choice of hardware that a cluster makes: which servers
//! fit, which of them are free, and why the others are not. A change of one server touches the choices that it fits and
//! no others, so that counting costs the same with ten servers and with ten thousand.

mod space;
mod tally;

use std::collections::{BTreeSet, HashMap};

use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt as _;
use kube::core::PartialObjectMeta;
use resources::gantry::{ProviderPool, Server};
use resources::tinkerbell::Hardware;

use crate::availability::Availability;
use space::Space;
pub(crate) use tally::{Counted, Pools};

/// A ProviderCluster by namespace and name.
pub(crate) type Place = (String, String);

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

    /// Takes in a server as it is now. Returns the ProviderClusters whose counts that changes.
    pub(crate) fn put_server(&mut self, server: &Server) -> BTreeSet<Place> {
        let availability = Availability::of(server, self.cooldown);
        let (namespace, hardware) = (server.namespace().unwrap_or_default(), &server.spec.hardware);
        let woken = self.space(&namespace).change(hardware, |host| {
            host.server = Some((server.name_any(), availability));
        });
        places(&namespace, woken)
    }

    /// Forgets a server.
    pub(crate) fn drop_server(&mut self, namespace: &str, name: &str) -> BTreeSet<Place> {
        let woken = self.space(namespace).drop_server(name);
        places(namespace, woken)
    }

    /// Takes in the labels of a Hardware.
    pub(crate) fn put_hardware(&mut self, hardware: &PartialObjectMeta<Hardware>) -> BTreeSet<Place> {
        let namespace = hardware.namespace().unwrap_or_default();
        let woken = self.space(&namespace).change(&hardware.name_any(), |host| {
            host.labels = Some(hardware.labels().clone());
        });
        places(&namespace, woken)
    }

    /// Forgets a Hardware.
    pub(crate) fn drop_hardware(&mut self, namespace: &str, name: &str) -> BTreeSet<Place> {
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
        space.follow(name, pools);
        space.count(name, pools, now)
    }

    /// Forgets a ProviderCluster.
    pub(crate) fn forget(&mut self, namespace: &str, name: &str) {
        self.space(namespace).follow(name, &[]);
    }

    fn space(&mut self, namespace: &str) -> &mut Space {
        self.spaces.entry(namespace.to_owned()).or_default()
    }
}

fn places(namespace: &str, names: BTreeSet<String>) -> BTreeSet<Place> {
    names
        .into_iter()
        .map(|name| (namespace.to_owned(), name))
        .collect()
}
