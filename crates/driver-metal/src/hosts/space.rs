//! The servers of one namespace.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use jiff::Timestamp;
use resources::gantry::{HostCapacity, ProviderPool, SelectorTerm};

use super::tally::{Pools, Selector, Standing, Tally, pools_of};
use crate::availability::Availability;
use crate::selection::matches;

/// One host: a Hardware and its Server, of which either may come first.
#[derive(Debug, Default)]
pub(super) struct Host {
    /// Labels of its Hardware.
    pub(super) labels: Option<BTreeMap<String, String>>,
    /// Name of its Server, and what of it decides who can have it.
    pub(super) server: Option<(String, Availability)>,
}

impl Host {
    fn standing(&self) -> Standing {
        let Some((_, server)) = &self.server else {
            return Standing::unknown();
        };
        Standing::of(server.obstacle(self.labels.as_ref()), server.cools_until)
    }

    fn capacity(&self) -> Option<HostCapacity> {
        self.server.as_ref()?.1.capacity
    }

    /// Cluster and pool of the machine that has it.
    fn user(&self) -> Option<(String, String)> {
        let claim = self.server.as_ref()?.1.claim.as_ref()?;
        Some((claim.cluster.clone()?, claim.pool.clone()?))
    }
}

/// The servers of one namespace, and who counts them.
#[derive(Debug, Default)]
pub(super) struct Space {
    /// By name of the Hardware.
    hosts: HashMap<String, Host>,
    /// Names of Hardware by names of Servers.
    servers: HashMap<String, String>,
    tallies: BTreeMap<Selector, Tally>,
    /// Choices by one label of each of their terms. A term without labels fits every server; it stands under none.
    by_label: HashMap<Option<(String, String)>, BTreeSet<Selector>>,
    /// Choices by the ProviderCluster that makes them.
    followed: HashMap<String, BTreeSet<Selector>>,
    /// How many servers the machines of a pool have, by cluster and pool.
    used: HashMap<(String, String), usize>,
}

impl Space {
    /// Changes a host. Returns the names of the ProviderClusters whose counts that changes.
    pub(super) fn change(&mut self, name: &str, change: impl FnOnce(&mut Host)) -> BTreeSet<String> {
        let host = self.hosts.entry(name.to_owned()).or_default();
        let before = (host.labels.clone(), host.standing(), host.user(), host.capacity());
        let server_before = host.server.as_ref().map(|(server, _)| server.clone());
        change(host);
        let after = (host.labels.clone(), host.standing(), host.user(), host.capacity());
        let server = host.server.as_ref().map(|(server, _)| server.clone());
        if host.labels.is_none() && host.server.is_none() {
            self.hosts.remove(name);
        }
        if server_before != server {
            self.servers
                .extend(server.map(|server| (server, name.to_owned())));
            if let Some(gone) = server_before {
                self.servers.remove(&gone);
            }
        }
        if before == after {
            return BTreeSet::new();
        }
        let mut woken = BTreeSet::new();
        for user in [before.2.as_ref(), after.2.as_ref()].into_iter().flatten() {
            woken.insert(user.0.clone());
        }
        self.use_less(before.2);
        self.use_more(after.2);
        self.leave(name, before.0.as_ref(), &mut woken);
        self.enter(name, after.0.as_ref(), (&after.1, after.3), &mut woken);
        woken.retain(|name| self.followed.contains_key(name));
        woken
    }

    /// Forgets a server.
    pub(super) fn drop_server(&mut self, name: &str) -> BTreeSet<String> {
        let Some(hardware) = self.servers.remove(name) else {
            return BTreeSet::new();
        };
        self.change(&hardware, |host| host.server = None)
    }

    fn use_more(&mut self, user: Option<(String, String)>) {
        if let Some(user) = user {
            let count = self.used.entry(user).or_default();
            *count = count.saturating_add(1);
        }
    }

    fn use_less(&mut self, user: Option<(String, String)>) {
        let Some(user) = user else { return };
        let left = self.used.get(&user).copied().unwrap_or(0).saturating_sub(1);
        if left == 0 {
            self.used.remove(&user);
        } else {
            self.used.insert(user, left);
        }
    }

    fn leave(&mut self, host: &str, labels: Option<&BTreeMap<String, String>>, woken: &mut BTreeSet<String>) {
        for selector in self.fitting(labels) {
            if let Some(tally) = self.tallies.get_mut(&selector) {
                tally.leave(host);
                woken.extend(tally.users.iter().cloned());
            }
        }
    }

    fn enter(
        &mut self,
        host: &str,
        labels: Option<&BTreeMap<String, String>>,
        (standing, capacity): (&Standing, Option<HostCapacity>),
        woken: &mut BTreeSet<String>,
    ) {
        for selector in self.fitting(labels) {
            if let Some(tally) = self.tallies.get_mut(&selector) {
                tally.enter(host, standing, capacity);
                woken.extend(tally.users.iter().cloned());
            }
        }
    }

    /// The choices that a host with these labels fits. One without Hardware fits none.
    fn fitting(&self, labels: Option<&BTreeMap<String, String>>) -> BTreeSet<Selector> {
        let Some(labels) = labels else {
            return BTreeSet::new();
        };
        let pairs = labels
            .iter()
            .map(|(key, value)| Some((key.clone(), value.clone())));
        let near = pairs.chain([None]).filter_map(|pair| self.by_label.get(&pair));
        near.flatten()
            .filter(|selector| matches(selector, labels))
            .cloned()
            .collect()
    }

    /// Counts for these pools of a ProviderCluster, and for no others of it.
    pub(super) fn follow(&mut self, name: &str, pools: &[ProviderPool]) {
        let wanted: BTreeSet<Selector> = pools.iter().map(|pool| pool.selector().to_vec()).collect();
        let before = self.followed.remove(name).unwrap_or_default();
        for gone in before.difference(&wanted) {
            let Some(tally) = self.tallies.get_mut(gone) else {
                continue;
            };
            tally.users.remove(name);
            if tally.users.is_empty() {
                self.tallies.remove(gone);
                for label in entries(gone) {
                    if let Some(known) = self.by_label.get_mut(&label) {
                        known.remove(gone);
                    }
                }
                self.by_label.retain(|_, known| !known.is_empty());
            }
        }
        for selector in wanted.difference(&before) {
            if !self.tallies.contains_key(selector) {
                self.begin(selector);
            }
            if let Some(tally) = self.tallies.get_mut(selector) {
                tally.users.insert(name.to_owned());
            }
        }
        if !wanted.is_empty() {
            self.followed.insert(name.to_owned(), wanted);
        }
    }

    fn begin(&mut self, selector: &Selector) {
        let mut tally = Tally::default();
        for (name, host) in &self.hosts {
            if host
                .labels
                .as_ref()
                .is_some_and(|labels| matches(selector, labels))
            {
                tally.enter(name, &host.standing(), host.capacity());
            }
        }
        self.tallies.insert(selector.clone(), tally);
        for label in entries(selector) {
            self.by_label.entry(label).or_default().insert(selector.clone());
        }
    }

    /// The hosts of the pools of a ProviderCluster that is followed.
    pub(super) fn count(&mut self, cluster: &str, pools: &[ProviderPool], now: Timestamp) -> Pools {
        for pool in pools {
            if let Some(tally) = self.tallies.get_mut(pool.selector()) {
                tally.ripen(now);
            }
        }
        let used = |pool: &ProviderPool| {
            let user = (cluster.to_owned(), pool.name.clone());
            self.used.get(&user).copied().unwrap_or(0)
        };
        pools_of(cluster, pools, &self.tallies, used)
    }
}

/// Where a choice stands in the index: under one label of each term.
fn entries(selector: &Selector) -> BTreeSet<Option<(String, String)>> {
    if selector.is_empty() {
        return [None].into();
    }
    let first = |term: &SelectorTerm| {
        let (key, value) = term.match_labels.first_key_value()?;
        Some((key.clone(), value.clone()))
    };
    selector.iter().map(first).collect()
}
