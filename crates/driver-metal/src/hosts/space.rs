//! The servers of one namespace.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use jiff::Timestamp;
use resources::gantry::{HostCapacity, ProviderPool, SelectorTerm};

use super::follower::Follower;
use super::tally::{Pools, Selector, Standing, Tally, pools_of};
use crate::availability::Availability;
use crate::selection::matches;

/// Servers that a machine is told of at once: more than are claimed between two looks at the watches.
const CANDIDATES: usize = 128;

/// Servers that can't be had of which each is named with the reason.
const NAMED: usize = 8;

/// What there is for a machine that looks for a server.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Sought {
    /// Names of Servers that can be had, in the order in which they are taken.
    pub(crate) servers: Vec<String>,
    /// Why others that fit can't be had.
    pub(crate) not_free: Vec<String>,
}

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
    /// Choices by who makes them.
    followed: HashMap<Follower, BTreeSet<Selector>>,
    /// Servers that a machine is about to claim, by the machine: others look at the next one meanwhile.
    reserved: HashMap<String, String>,
    /// The machines that are about to claim one, by its name.
    reserved_by: HashMap<String, String>,
    /// How many servers the machines of a pool have, by cluster and pool.
    used: HashMap<(String, String), usize>,
}

impl Space {
    /// Changes a host. Returns the ProviderClusters whose counts that changes, and for each choice by which it can be had
    /// from now on one ProviderMachine that waits for that.
    pub(super) fn change(&mut self, name: &str, change: impl FnOnce(&mut Host)) -> BTreeSet<Follower> {
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
            woken.insert(Follower::Cluster(user.0.clone()));
        }
        self.use_less(before.2);
        self.use_more(after.2);
        let had = self.leave(name, before.0.as_ref(), &mut woken);
        self.enter(name, after.0.as_ref(), (&after.1, after.3), &mut woken);
        woken.retain(|follower| self.followed.contains_key(follower));
        for selector in self.fitting(after.0.as_ref()).difference(&had) {
            let tally = self.tallies.get_mut(selector);
            woken.extend(
                tally
                    .filter(|tally| tally.can_be_had(name))
                    .and_then(next_waiting),
            );
        }
        woken
    }

    /// Forgets a server.
    pub(super) fn drop_server(&mut self, name: &str) -> BTreeSet<Follower> {
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

    /// Returns the choices by which the host could be had.
    fn leave(
        &mut self,
        host: &str,
        labels: Option<&BTreeMap<String, String>>,
        woken: &mut BTreeSet<Follower>,
    ) -> BTreeSet<Selector> {
        let mut had = BTreeSet::new();
        for selector in self.fitting(labels) {
            if let Some(tally) = self.tallies.get_mut(&selector) {
                let could = tally.can_be_had(host);
                tally.leave(host);
                woken.extend(clusters(tally));
                if could {
                    had.insert(selector);
                }
            }
        }
        had
    }

    fn enter(
        &mut self,
        host: &str,
        labels: Option<&BTreeMap<String, String>>,
        (standing, capacity): (&Standing, Option<HostCapacity>),
        woken: &mut BTreeSet<Follower>,
    ) {
        for selector in self.fitting(labels) {
            if let Some(tally) = self.tallies.get_mut(&selector) {
                tally.enter(host, standing, capacity);
                woken.extend(clusters(tally));
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

    /// Counts for these choices of a follower, and for no others of it.
    pub(super) fn follow(&mut self, follower: &Follower, wanted: BTreeSet<Selector>) {
        let before = self.followed.remove(follower).unwrap_or_default();
        for gone in before.difference(&wanted) {
            let Some(tally) = self.tallies.get_mut(gone) else {
                continue;
            };
            tally.users.remove(follower);
            if let Follower::Machine(name) = follower {
                tally.waiting.remove(name);
            }
            if tally.users.is_empty() {
                self.tallies.remove(gone);
                for label in entries(gone) {
                    if let Some(known) = self.by_label.get_mut(&label) {
                        known.remove(gone);
                        if known.is_empty() {
                            self.by_label.remove(&label);
                        }
                    }
                }
            }
        }
        for selector in wanted.difference(&before) {
            if !self.tallies.contains_key(selector) {
                self.begin(selector);
            }
            if let Some(tally) = self.tallies.get_mut(selector) {
                tally.users.insert(follower.clone());
            }
        }
        if !wanted.is_empty() {
            self.followed.insert(follower.clone(), wanted);
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

    /// Notes that a ProviderMachine looks for a server, and returns the first ones that can be had, as they are taken.
    /// Unless it is said that it has found one, it is woken when one can be had that could not before.
    pub(super) fn seek(&mut self, machine: &str, selector: &[SelectorTerm], now: Timestamp) -> Sought {
        let selector = selector.to_vec();
        let follower = Follower::Machine(machine.to_owned());
        self.follow(&follower, [selector.clone()].into());
        let Some(tally) = self.tallies.get_mut(&selector) else {
            return Sought::default();
        };
        tally.ripen(now);
        tally.waiting.insert(machine.to_owned());
        let server = |host: &String| self.hosts.get(host)?.server.as_ref();
        let candidates = tally
            .candidates()
            .filter_map(|host| Some(server(host)?.0.clone()));
        let candidates = candidates.filter(|server| {
            let by = self.reserved_by.get(server);
            by.is_none_or(|by| by == machine)
        });
        Sought {
            servers: candidates.take(CANDIDATES).collect(),
            not_free: self.not_free(&selector),
        }
    }

    /// Why servers that fit can't be had: of each where there are few, else their numbers.
    fn not_free(&self, selector: &Selector) -> Vec<String> {
        let Some(tally) = self.tallies.get(selector) else {
            return Vec::new();
        };
        let taken: BTreeSet<&String> = tally.taken().take(NAMED.saturating_add(1)).collect();
        if taken.len() > NAMED {
            return tally.not_free(None);
        }
        let why = |name: &&String| {
            let host = self.hosts.get(*name)?;
            let Some((server, availability)) = &host.server else {
                return Some(format!("{name} is not ready yet"));
            };
            let obstacle = availability.obstacle(host.labels.as_ref())?;
            Some(format!("{server} {obstacle}"))
        };
        taken.iter().filter_map(why).collect()
    }

    /// Keeps a server for a machine that is about to claim it; false when it is kept for another one.
    pub(super) fn reserve(&mut self, machine: &str, server: &str) -> bool {
        if self.reserved_by.get(server).is_some_and(|by| by != machine) {
            return false;
        }
        if let Some(before) = self.reserved.insert(machine.to_owned(), server.to_owned()) {
            self.reserved_by.remove(&before);
        }
        self.reserved_by.insert(server.to_owned(), machine.to_owned());
        true
    }

    /// Keeps nothing for a machine any more; false when there was nothing.
    pub(super) fn unreserve(&mut self, machine: &str) -> bool {
        let server = self.reserved.remove(machine);
        server.is_some_and(|server| self.reserved_by.remove(&server).is_some())
    }

    /// The same, for a machine that looks again. Returns another one that waits, which may take what was kept.
    pub(super) fn release(&mut self, machine: &str) -> BTreeSet<Follower> {
        if !self.unreserve(machine) {
            return BTreeSet::new();
        }
        let tally = self.sought_by(machine);
        tally
            .and_then(|tally| {
                tally.waiting.remove(machine);
                next_waiting(tally)
            })
            .into_iter()
            .collect()
    }

    /// A ProviderMachine has found a server that can be had, and waits for none.
    pub(super) fn found(&mut self, machine: &str) {
        if let Some(tally) = self.sought_by(machine) {
            tally.waiting.remove(machine);
        }
    }

    /// A ProviderMachine looks for a server no longer. Returns another one that waits, where there is one to be had.
    pub(super) fn end_search(&mut self, machine: &str) -> BTreeSet<Follower> {
        let follower = Follower::Machine(machine.to_owned());
        let mut next = BTreeSet::new();
        self.unreserve(machine);
        if let Some(tally) = self.sought_by(machine) {
            tally.waiting.remove(machine);
            if tally.has_any() {
                next.extend(next_waiting(tally));
            }
        }
        self.follow(&follower, BTreeSet::new());
        next
    }

    fn sought_by(&mut self, machine: &str) -> Option<&mut Tally> {
        let selectors = self.followed.get(&Follower::Machine(machine.to_owned()))?;
        self.tallies.get_mut(selectors.first()?)
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

fn clusters(tally: &Tally) -> impl Iterator<Item = Follower> {
    // They come before the machines, of which there may be many.
    let users = tally.users.iter();
    users
        .take_while(|user| matches!(user, Follower::Cluster(_)))
        .cloned()
}

/// One of those that wait for a server, which is to look again.
fn next_waiting(tally: &mut Tally) -> Option<Follower> {
    tally.waiting.pop_first().map(Follower::Machine)
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
