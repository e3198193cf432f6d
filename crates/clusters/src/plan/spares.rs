//! Free hosts while a plan is being made: each is given to one machine.

use std::collections::{BTreeMap, BTreeSet};

use super::seen::{FreeHosts, Member, Seen, Stage};

/// What is left of the free hosts.
#[derive(Debug, Default)]
pub(crate) struct Spares {
    free: BTreeMap<String, FreeHosts>,
    /// Machines that are there without a host, for which there is one.
    granted: BTreeSet<String>,
}

impl Spares {
    /// What is left when the machines that are there have chosen.
    pub(crate) fn new(seen: &Seen) -> Self {
        let mut spares = Self {
            free: seen.free.clone(),
            granted: BTreeSet::new(),
        };
        let chooses = |member: &&Member| {
            member.stage == Stage::Installing && !member.has_host && member.failure.is_none()
        };
        for member in seen.members.iter().filter(chooses) {
            if spares.take(&member.pool) {
                spares.granted.insert(member.name.clone());
            }
        }
        spares
    }

    /// How many are left for a pool; `None` when nobody knows.
    pub(crate) fn left(&self, pool: &str) -> Option<usize> {
        self.free.get(pool).map(|hosts| hosts.count)
    }

    /// Takes one for a machine of the pool. Tells whether there was one for sure. Those that no other pool counts go first.
    pub(crate) fn take(&mut self, pool: &str) -> bool {
        let Some(hosts) = self.free.get_mut(pool).filter(|hosts| hosts.count > 0) else {
            return false;
        };
        let is_shared = hosts.shared >= hosts.count;
        hosts.count = hosts.count.saturating_sub(1);
        if !is_shared {
            return true;
        }
        hosts.shared = hosts.shared.saturating_sub(1);
        for other in hosts.with.clone() {
            if let Some(hosts) = self.free.get_mut(&other) {
                hosts.count = hosts.count.saturating_sub(1);
                hosts.shared = hosts.shared.saturating_sub(1);
            }
        }
        true
    }

    /// Whether a machine has a host, or there is one for it.
    pub(crate) fn has_host(&self, member: &Member) -> bool {
        member.has_host || member.stage != Stage::Installing || self.granted.contains(&member.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn free(pools: &[(&str, usize, usize, &str)]) -> Spares {
        let hosts = |(name, count, shared, with): &(&str, usize, usize, &str)| {
            let with = with.split_whitespace().map(str::to_owned).collect();
            let (count, shared) = (*count, *shared);
            ((*name).to_owned(), FreeHosts { count, shared, with })
        };
        Spares {
            free: pools.iter().map(hosts).collect(),
            granted: BTreeSet::new(),
        }
    }

    #[test]
    fn a_host_that_two_pools_count_is_given_once() {
        let mut spares = free(&[("cp", 2, 1, "md"), ("md", 1, 1, "cp")]);
        assert!(spares.take("cp"), "the one that is its own");
        assert_eq!((spares.left("cp"), spares.left("md")), (Some(1), Some(1)));
        assert!(spares.take("cp"));
        assert_eq!((spares.left("cp"), spares.left("md")), (Some(0), Some(0)));
        assert!(!spares.take("md") && !spares.take("unknown"));
        assert_eq!(spares.left("unknown"), None);
    }
}
