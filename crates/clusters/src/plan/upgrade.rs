//! Machines that work and are of another revision are exchanged: the members of the control plane one after the other, then
//! DNS, kube-proxy and the CNI, then the workers.
//!
//! A new member joins before an old one goes where a host is free for it. Where none is, the old one goes first, and the new
//! one is installed on its host; a control plane of one member starts anew with its data.
//!
//! Where the Cluster names upgrade gates, these are run after each machine that has joined, and nothing goes before they have
//! succeeded; the pools of workers follow one after the other then.

use resources::gantry::{MachineRole, PlanStepKind};

use super::balance::Balance;
use super::cluster_config::config_step;
use super::draft::Draft;
use super::gates::gates;
use super::names::Names;
use super::only_member::install_anew;
use super::removal::{Gone, remove_member};
use super::seen::{ApiState, EtcdState, Member, NodeState, Seen};
use super::verdict::Verdict;
use super::wanted::{Pool, Wanted};
use super::workers::workers;

/// Plans the exchange in a cluster that lacks nothing else.
pub(crate) fn upgrade(
    wanted: &Wanted,
    seen: &Seen,
    names: &mut Names<'_>,
    sorted: &[(&Pool, Balance<'_>)],
    verdict: &mut Verdict,
) -> Draft {
    let mut draft = Draft::new(seen);
    let Some(mut last) = gates(&mut draft, wanted, seen, sorted, verdict) else {
        return Draft::new(seen);
    };
    // Workers and add-ons may not be newer than the API servers.
    let mut follows = seen.behind(wanted).is_none();
    let of_role = |role: MachineRole| sorted.iter().filter(move |(pool, _)| pool.role == role);
    for (pool, balance) in of_role(MachineRole::ControlPlane) {
        if balance.outdated(pool).is_empty() {
            continue;
        }
        match voters(seen, pool, balance) {
            Ok(voters) => {
                let exchange = (*pool, balance, last);
                let (steps, all) = members(&mut draft, verdict, seen, names, exchange, voters);
                last = steps;
                follows |= all;
            }
            Err(reason) => verdict.block(&pool.name, reason),
        }
    }
    if !follows {
        return draft;
    }
    let addons = seen.addons_behind || seen.behind(wanted).is_some();
    if addons {
        last = vec![draft.add(PlanStepKind::UpdateAddons, None, last)];
    }
    let mut exchanged = false;
    for (pool, balance) in of_role(MachineRole::Worker) {
        let waits = !balance.missing.is_empty() && seen.older_than(wanted, pool).is_some();
        if balance.outdated(pool).is_empty() && !waits {
            continue;
        }
        match may_exchange(&draft, seen, pool, balance) {
            Ok(()) => {
                exchanged = true;
                workers(
                    &mut draft,
                    verdict,
                    seen,
                    names,
                    pool,
                    &balance.exchanged(pool),
                    &last,
                );
                if draft.gated {
                    last = draft.last();
                }
            }
            Err(reason) => verdict.block(&pool.name, reason),
        }
    }
    if addons && exchanged {
        let last = draft.last();
        draft.add(PlanStepKind::UpdateAddons, None, last);
    }
    draft
}

/// Why nothing that works is taken away from a pool now.
fn is_unsettled(seen: &Seen, pool: &Pool, balance: &Balance<'_>) -> Option<String> {
    let why = if seen.api != ApiState::Answers {
        "the cluster's API does not answer".to_owned()
    } else if balance.stuck > 0 {
        "one of them has failed".to_owned()
    } else if let Some(member) = balance.leaving.first() {
        format!("{} is being given back", member.name)
    } else if let Some(member) = balance.broken.iter().chain(&balance.surplus).next() {
        // Something keeps it for now. When it goes in the middle of the exchange that is another one than was approved.
        format!("{} is to go first", member.name)
    } else {
        let is_down = |member: &&&Member| matches!(member.node, NodeState::Down { .. });
        let member = balance.keep.iter().find(is_down)?;
        format!("the node of {} is not Ready", member.name)
    };
    Some(format!(
        "machines of {} are of another revision than is wanted, and stay for now: {why}",
        pool.name
    ))
}

/// Whether workers of a pool may be exchanged.
fn may_exchange(draft: &Draft, seen: &Seen, pool: &Pool, balance: &Balance<'_>) -> Result<(), String> {
    if let Some(reason) = is_unsettled(seen, pool, balance) {
        return Err(reason);
    }
    if balance.outdated(pool).is_empty() {
        return Ok(());
    }
    // Where another one has come already, as before a pause, one of another revision can go without a host that is free.
    let has_come = balance.keep.len() > pool.count;
    match draft.spares.left(&pool.name) {
        None => Err(unknown_hosts(pool)),
        Some(free)
            if pool.rollout.unavailable == Some(0) && !has_come && (free == 0 || pool.rollout.surge == 0) =>
        {
            Err(no_host(pool))
        }
        Some(_) => Ok(()),
    }
}

fn unknown_hosts(pool: &Pool) -> String {
    format!(
        "machines of {} are of another revision than is wanted, and stay until their driver says which hosts are free",
        pool.name
    )
}

fn no_host(pool: &Pool) -> String {
    format!(
        "machines of {} are of another revision than is wanted, no host is free for another one, and maxUnavailable is 0: \
         add a host that the pool selects, or allow one machine to be missing (upgradeRolloutStrategy)",
        pool.name
    )
}

/// Why a member does not go before another one is there: nobody knows yet whether a host is free for that, or it is the only one
/// and was made by a plugin driver, whose machines can't start with the data of another.
fn cannot_go_first(draft: &Draft, pool: &Pool, voters: usize) -> Option<String> {
    match draft.spares.left(&pool.name) {
        None => Some(unknown_hosts(pool)),
        Some(_) if pool.plugin.is_some() && voters == 1 => Some(no_host(pool)),
        Some(_) => None,
    }
}

/// How many members etcd has, when each of them is a healthy voter on a machine that stays.
fn voters(seen: &Seen, pool: &Pool, balance: &Balance<'_>) -> Result<usize, String> {
    if let Some(reason) = is_unsettled(seen, pool, balance) {
        return Err(reason);
    }
    let wait = |what: &str| {
        format!("members of the control plane are of another revision than is wanted, and stay until {what}")
    };
    let EtcdState::Members(etcd) = &seen.etcd else {
        return Err(wait("etcd says who its members are"));
    };
    let is_whole = |member: &super::seen::EtcdMember| {
        let mut kept = balance.keep.iter();
        let machine = member.machine.as_ref();
        member.voting && member.healthy && kept.any(|kept| machine == Some(&kept.name))
    };
    if etcd.len() != balance.keep.len() || !etcd.iter().all(is_whole) {
        return Err(wait(
            "each of them is a healthy voting member of etcd, and nobody else is",
        ));
    }
    Ok(etcd.len())
}

/// Exchanges members of the control plane. Returns the last steps, and whether none is left out.
fn members(
    draft: &mut Draft,
    verdict: &mut Verdict,
    seen: &Seen,
    names: &mut Names<'_>,
    (pool, balance, mut last): (&Pool, &Balance<'_>, Vec<String>),
    mut voters: usize,
) -> (Vec<String>, bool) {
    let outdated = balance.outdated(pool);
    let current = balance.keep.len().saturating_sub(outdated.len());
    let mut needed = pool.count.saturating_sub(current);
    let mut extra = balance.keep.len().saturating_sub(pool.count);
    let surge = pool.rollout.surge > 0;
    // The steps after which a host is free for one machine more.
    let mut host = (surge && draft.spares.take(&pool.name)).then(Vec::new);
    for target in outdated {
        if extra > 0 || needed == 0 {
            extra = extra.saturating_sub(1);
            voters = voters.saturating_sub(1);
            let Gone { last: gone, .. } = remove_member(draft, target, last);
            host = surge.then(|| vec![gone.clone()]);
            last = vec![gone];
            draft.upgrades = true;
            continue;
        }
        if host.is_none() && pool.rollout.unavailable == Some(0) {
            verdict.block(&pool.name, no_host(pool));
            return (last, false);
        }
        if host.is_none()
            && let Some(why) = cannot_go_first(draft, pool, voters)
        {
            verdict.block(&pool.name, why);
            return (last, false);
        }
        draft.upgrades = true;
        if host.is_none() && voters == 1 {
            let restored = install_anew(draft, seen, names, pool, (target, None), last);
            last = vec![draft.gate(restored)];
            continue;
        }
        needed = needed.saturating_sub(1);
        let config = config_step(draft, seen, pool);
        let name = names.next(&pool.name);
        let (provision, join) = (PlanStepKind::Provision, PlanStepKind::JoinControlPlane);
        if let Some(after) = host.take() {
            let made = draft.make(provision, &name, &pool.name, 0, after);
            let after = [made].into_iter().chain(config).chain(last).collect();
            let joined = draft.add(join, Some(&name), after);
            let joined = draft.gate(joined);
            let Gone { last: gone, .. } = remove_member(draft, target, vec![joined]);
            host = Some(vec![gone.clone()]);
            last = vec![gone];
        } else {
            if voters == 3 {
                draft.requires_approval.get_or_insert_with(|| {
                    "two voting members of etcd are left while each of the three is replaced, and none of them may fail"
                        .to_owned()
                });
            }
            let Gone { last: gone, .. } = remove_member(draft, target, last);
            let made = draft.make(provision, &name, &pool.name, 0, vec![gone]);
            let after = [made].into_iter().chain(config).collect();
            let joined = draft.add(join, Some(&name), after);
            last = vec![draft.gate(joined)];
        }
    }
    (last, true)
}
