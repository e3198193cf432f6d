//! The status of a ProviderCluster on bare metal. Pure: hosts that were counted in, status out.

#[cfg(test)]
mod tests;

use jiff::Timestamp;
use resources::conditions::{Fact, Holds, conditions};
use resources::gantry::{
    ProviderCluster, ProviderClusterInitialization, ProviderClusterStatus, ProviderPool, ProviderPoolStatus,
    SelectorTerm,
};

use crate::hosts::{Counted, Pools};

/// The status that follows from these hosts.
pub(crate) fn status(object: &ProviderCluster, hosts: &Pools, now: Timestamp) -> ProviderClusterStatus {
    let pools = &object.spec.pools;
    let before = object.status.as_ref().map(|status| status.conditions.as_slice());
    let generation = object.metadata.generation;
    let rows = pools.iter().zip(&hosts.counted);
    ProviderClusterStatus {
        observed_generation: generation,
        // The machines of a cluster share nothing that had to be made.
        initialization: Some(ProviderClusterInitialization { provisioned: true }),
        conditions: conditions(
            before.unwrap_or_default(),
            &[ready(pools, hosts)],
            generation,
            now,
        ),
        pools: rows
            .map(|(pool, counted)| ProviderPoolStatus {
                name: pool.name.clone(),
                hosts: number(counted.hosts),
                free: number(counted.free),
                shared: number(counted.shared),
                shared_with: counted.shared_with.clone(),
                not_free: counted.not_free.clone(),
                capacity: counted.capacity,
            })
            .collect(),
    }
}

/// Whether the new status says something that somebody waits for; other changes of the counts can wait and be written
/// together.
pub(crate) fn is_urgent(before: Option<&ProviderClusterStatus>, after: &ProviderClusterStatus) -> bool {
    let urgent = |status: &ProviderClusterStatus| {
        let ready = status.ready();
        let ready = ready.map(|ready| (ready.status.clone(), ready.reason.clone()));
        let pools = status.pools.iter();
        let pools: Vec<_> = pools
            .map(|pool| (pool.name.clone(), pool.free > 0, pool.free > pool.shared))
            .collect();
        (status.observed_generation, ready, pools)
    };
    before.map(urgent) != Some(urgent(after))
}

fn ready(pools: &[ProviderPool], hosts: &Pools) -> Fact {
    let kind = "Ready";
    // Those that are cooling down are taken where there is no other.
    let mut problems = missing(pools, hosts, |counted| {
        counted.free.saturating_add(counted.cooling)
    });
    if !problems.is_empty() {
        problems.extend(overlaps(pools, hosts));
        return (kind, Holds::False, "NotEnoughHosts", problems.join("\n"));
    }
    let overlaps = overlaps(pools, hosts);
    if !overlaps.is_empty() {
        return (kind, Holds::False, "OverlappingSelectors", overlaps.join("\n"));
    }
    let mut text = "every machine that is wanted has a host, or finds a free one".to_owned();
    let scarce = missing(pools, hosts, |counted| counted.free);
    if !scarce.is_empty() {
        text.push_str(
            ", some of them only on hosts that are cooling down because an installation has failed there lately (kubectl get \
             providerclusters -o yaml names them)",
        );
    }
    (kind, Holds::True, "HostsAvailable", text)
}

/// For each choice of hardware, pools with equal ones added up: that there are too few hosts.
fn missing(pools: &[ProviderPool], hosts: &Pools, have: impl Fn(&Counted) -> usize) -> Vec<String> {
    let mut seen: Vec<&[SelectorTerm]> = Vec::new();
    let mut problems = Vec::new();
    for (pool, counted) in pools.iter().zip(&hosts.counted) {
        let selector = pool.selector();
        if seen.contains(&selector) {
            continue;
        }
        seen.push(selector);
        let equal = || {
            let rows = pools.iter().zip(&hosts.counted);
            rows.filter(|(other, _)| other.selector() == selector)
        };
        let names: Vec<&str> = equal().map(|(other, _)| other.name.as_str()).collect();
        let require: usize = equal()
            .map(|(other, counted)| wanted_of(other).saturating_sub(counted.hosts))
            .sum();
        if have(counted) >= require {
            continue;
        }
        let why = if counted.fit == 0 {
            "no hardware has these labels".to_owned()
        } else if counted.not_free.is_empty() {
            format!("{} in all", counted.fit)
        } else {
            format!("not free: {}", counted.not_free.join(", "))
        };
        problems.push(format!(
            "{}: minimum hardware count not met for selector {}: have {} free, require {require} ({why}); add rows with \
             these labels to hardware.csv, or lower the count",
            names.join(" and "),
            SelectorTerm::alternatives(selector),
            counted.free,
        ));
    }
    problems
}

/// Before the first machine is made: hosts that two different choices fit, so that nobody can say which pool gets them.
fn overlaps(pools: &[ProviderPool], hosts: &Pools) -> Vec<String> {
    if hosts.counted.iter().any(|counted| counted.hosts > 0) {
        return Vec::new();
    }
    let selector = |at: usize| {
        pools
            .get(at)
            .map(|pool| SelectorTerm::alternatives(pool.selector()))
            .unwrap_or_default()
    };
    let overlaps = hosts.overlaps.iter().map(|overlap| {
        format!(
            "hardware must only satisfy 1 selector: {} satisfies {} and {}; give each group labels of its own in \
             hardware.csv",
            overlap.hosts,
            selector(overlap.pools.0),
            selector(overlap.pools.1),
        )
    });
    overlaps.collect()
}

fn wanted_of(pool: &ProviderPool) -> usize {
    usize::try_from(pool.count).unwrap_or(usize::MAX)
}

fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}
