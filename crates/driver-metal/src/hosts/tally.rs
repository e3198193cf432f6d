//! The servers that fit one choice of hardware, by what they are doing.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use resources::gantry::{HostCapacity, ProviderPool, SelectorTerm};

use super::follower::Follower;
use crate::availability::Obstacle;

/// Reasons that are named.
const REASONS: usize = 8;
/// Names that are given with a reason.
const NAMES: usize = 3;

/// A choice of hardware.
pub(super) type Selector = Vec<SelectorTerm>;

/// What a server that fits is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Standing {
    Free,
    /// Free, and passed over until then because an installation has failed on it.
    Cooling(Timestamp),
    Taken(Taken),
}

/// Why a server is not free.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Taken {
    /// A machine of this cluster has it.
    Cluster(String),
    /// Another reason, as text that follows a number.
    Other(String),
}

impl Standing {
    /// Of a Hardware whose Server is not made yet.
    pub(super) fn unknown() -> Self {
        Self::Taken(Taken::Other("not ready yet".to_owned()))
    }

    pub(super) fn of(obstacle: Option<Obstacle>, cools_until: Option<Timestamp>) -> Self {
        let Some(obstacle) = obstacle else {
            return cools_until.map_or(Self::Free, Self::Cooling);
        };
        Self::Taken(match obstacle {
            Obstacle::Claimed {
                cluster: Some(cluster),
                ..
            } => Taken::Cluster(cluster),
            Obstacle::Claimed { owner, .. } => Taken::Other(format!("claimed by {owner}")),
            Obstacle::Owned(owner) => Taken::Other(format!("owned by {owner}")),
            Obstacle::Deleted => Taken::Other("being deleted".to_owned()),
            Obstacle::Quarantined(_) => Taken::Other("quarantined".to_owned()),
            Obstacle::Restored => Taken::Other("known from a backup alone".to_owned()),
            Obstacle::Busy(state) => Taken::Other(state.to_owned()),
        })
    }
}

/// The servers that fit one choice.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// Who makes it.
    pub(super) users: BTreeSet<Follower>,
    /// Machines that have looked for a server and found none since a server became free last.
    pub(super) waiting: BTreeSet<String>,
    free: BTreeSet<String>,
    cooling: BTreeSet<(Timestamp, String)>,
    taken: BTreeMap<Taken, BTreeSet<String>>,
    /// All of them, with what they have.
    standings: BTreeMap<String, (Standing, Option<HostCapacity>)>,
    /// How many of them have so many processors.
    cpus: BTreeMap<u32, usize>,
    /// How many of them have so much memory.
    memory: BTreeMap<u64, usize>,
}

impl Tally {
    pub(super) fn enter(&mut self, host: &str, standing: &Standing, capacity: Option<HostCapacity>) {
        self.leave(host);
        match standing {
            Standing::Free => {
                self.free.insert(host.to_owned());
            }
            Standing::Cooling(until) => {
                self.cooling.insert((*until, host.to_owned()));
            }
            Standing::Taken(why) => {
                let hosts = self.taken.entry(why.clone()).or_default();
                hosts.insert(host.to_owned());
            }
        }
        if let Some(capacity) = capacity {
            more(&mut self.cpus, capacity.cpus);
            more(&mut self.memory, capacity.memory);
        }
        self.standings
            .insert(host.to_owned(), (standing.clone(), capacity));
    }

    pub(super) fn leave(&mut self, host: &str) {
        let Some((standing, capacity)) = self.standings.remove(host) else {
            return;
        };
        if let Some(capacity) = capacity {
            less(&mut self.cpus, capacity.cpus);
            less(&mut self.memory, capacity.memory);
        }
        match standing {
            Standing::Free => {
                self.free.remove(host);
            }
            Standing::Cooling(until) => {
                self.cooling.remove(&(until, host.to_owned()));
            }
            Standing::Taken(why) => {
                if let Some(hosts) = self.taken.get_mut(&why) {
                    hosts.remove(host);
                    if hosts.is_empty() {
                        self.taken.remove(&why);
                    }
                }
            }
        }
    }

    /// Whether one of them can be had, if need be one that cools down.
    pub(super) fn has_any(&self) -> bool {
        !self.free.is_empty() || !self.cooling.is_empty()
    }

    /// Whether this one can be had, if need be.
    pub(super) fn can_be_had(&self, host: &str) -> bool {
        let standing = self.standings.get(host).map(|(standing, _)| standing);
        matches!(standing, Some(Standing::Free | Standing::Cooling(_)))
    }

    /// Those that can be had, in the order in which they are taken.
    pub(super) fn candidates(&self) -> impl Iterator<Item = &String> {
        self.free.iter().chain(self.cooling.iter().map(|(_, host)| host))
    }

    /// Those that can't be had.
    pub(super) fn taken(&self) -> impl Iterator<Item = &String> {
        self.taken.values().flatten()
    }

    /// Counts those as free whose time is over.
    pub(super) fn ripen(&mut self, now: Timestamp) {
        while let Some((until, host)) = self.cooling.first().cloned()
            && until <= now
        {
            let capacity = self.standings.get(&host).and_then(|(_, capacity)| *capacity);
            self.enter(&host, &Standing::Free, capacity);
        }
    }

    /// What each of them has at least, as far as it is known.
    fn capacity(&self) -> Option<HostCapacity> {
        Some(HostCapacity {
            cpus: *self.cpus.first_key_value()?.0,
            memory: *self.memory.first_key_value()?.0,
        })
    }

    /// Why servers that fit are not free, those of a cluster apart; the most frequent reasons first.
    pub(super) fn not_free(&self, apart: Option<&str>) -> Vec<String> {
        let own = apart.map(|cluster| Taken::Cluster(cluster.to_owned()));
        let taken = self.taken.iter().filter(|(why, _)| Some(*why) != own.as_ref());
        let mut groups: Vec<(usize, Option<&Taken>)> =
            taken.map(|(why, hosts)| (hosts.len(), Some(why))).collect();
        if !self.cooling.is_empty() {
            groups.push((self.cooling.len(), None));
        }
        groups.sort_by_key(|(count, _)| Reverse(*count));
        let more: usize = groups.iter().skip(REASONS).map(|(count, _)| count).sum();
        let shown = groups.iter().take(REASONS);
        let mut reasons: Vec<String> = shown.map(|(count, why)| self.reason(*count, *why)).collect();
        if more > 0 {
            reasons.push(format!("{more} for other reasons"));
        }
        reasons
    }

    /// Why so many are not free; without a reason of their own they cool down.
    fn reason(&self, count: usize, why: Option<&Taken>) -> String {
        let Some(why) = why else {
            let until = self.cooling.first().map(|(until, _)| format!("{until:.0}"));
            let what = format!(
                "cooling down after a failed installation, until {}",
                until.unwrap_or_default()
            );
            return reason(count, &what, self.cooling.iter().map(|(_, host)| host));
        };
        let what = match why {
            Taken::Cluster(name) => format!("in use by cluster {name}"),
            Taken::Other(what) => what.clone(),
        };
        let hosts = self.taken.get(why).into_iter().flatten();
        reason(count, &what, hosts)
    }
}

fn more<K: Ord>(counts: &mut BTreeMap<K, usize>, key: K) {
    let count = counts.entry(key).or_default();
    *count = count.saturating_add(1);
}

fn less<K: Ord>(counts: &mut BTreeMap<K, usize>, key: K) {
    let Some(count) = counts.get_mut(&key) else {
        return;
    };
    *count = count.saturating_sub(1);
    if *count == 0 {
        counts.remove(&key);
    }
}

fn reason<'a>(count: usize, what: &str, hosts: impl Iterator<Item = &'a String>) -> String {
    format!("{count} {what} ({})", names(count, hosts.map(String::as_str)))
}

/// The first names of so many.
fn names<'a>(count: usize, hosts: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<&str> = hosts.take(NAMES).collect();
    let more = if count > names.len() { ", ..." } else { "" };
    format!("{}{more}", names.join(", "))
}

/// The hosts of all pools of one ProviderCluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pools {
    /// In the order of the pools.
    pub(crate) counted: Vec<Counted>,
    /// Free hosts that fit two different choices.
    pub(crate) overlaps: Vec<Overlap>,
    /// When time alone changes something.
    pub(crate) next: Option<Timestamp>,
}

/// The hosts of one pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Counted {
    /// Those that its machines have.
    pub(crate) hosts: usize,
    /// Those that fit, whatever they are doing.
    pub(crate) fit: usize,
    /// Those that can be had.
    pub(crate) free: usize,
    /// Those that are passed over as long as there is a free one.
    pub(crate) cooling: usize,
    /// Free ones that other pools count too.
    pub(crate) shared: usize,
    /// These pools.
    pub(crate) shared_with: Vec<String>,
    /// Why the others can't be had.
    pub(crate) not_free: Vec<String>,
    /// What each that fits has at least, as far as it is known.
    pub(crate) capacity: Option<HostCapacity>,
}

/// Free hosts that fit the different choices of two pools.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Overlap {
    /// Places of the pools.
    pub(crate) pools: (usize, usize),
    /// The first ones by name, for people.
    pub(crate) hosts: String,
}

/// Counts the pools of a cluster; `used` tells how many hosts the machines of a pool have.
pub(super) fn pools_of(
    cluster: &str,
    pools: &[ProviderPool],
    tallies: &BTreeMap<Selector, Tally>,
    used: impl Fn(&ProviderPool) -> usize,
) -> Pools {
    let none = Tally::default();
    let tally = |pool: &ProviderPool| tallies.get(pool.selector()).unwrap_or(&none);
    let mut overlaps = Vec::new();
    let mut counted = Vec::new();
    for (at, pool) in pools.iter().enumerate() {
        let own = tally(pool);
        let (mut shared, mut all, mut shared_with) = (BTreeSet::new(), false, Vec::new());
        for (other_at, other) in pools.iter().enumerate().filter(|(other_at, _)| *other_at != at) {
            let is_same = other.selector() == pool.selector();
            let common = if is_same {
                Vec::new()
            } else {
                common(&own.free, &tally(other).free)
            };
            all |= is_same;
            if !common.is_empty() || is_same && !own.free.is_empty() {
                shared_with.push(other.name.clone());
            }
            if !common.is_empty() && at < other_at {
                overlaps.push(Overlap {
                    pools: (at, other_at),
                    hosts: names(common.len(), common.iter().copied()),
                });
            }
            shared.extend(common);
        }
        counted.push(Counted {
            hosts: used(pool),
            fit: own.standings.len(),
            free: own.free.len(),
            cooling: own.cooling.len(),
            shared: if all { own.free.len() } else { shared.len() },
            shared_with,
            not_free: own.not_free(Some(cluster)),
            capacity: own.capacity(),
        });
    }
    let next = |pool: &ProviderPool| tally(pool).cooling.first().map(|(until, _)| *until);
    Pools {
        counted,
        overlaps,
        next: pools.iter().filter_map(next).min(),
    }
}

fn common<'a>(one: &'a BTreeSet<String>, other: &'a BTreeSet<String>) -> Vec<&'a str> {
    let (few, many) = if one.len() < other.len() {
        (one, other)
    } else {
        (other, one)
    };
    let common = few.iter().filter(|host| many.contains(*host));
    common.map(String::as_str).collect()
}
