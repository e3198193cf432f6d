//! One pool against its machines: which stay, which go, how many are missing, and what is not replaced.

use std::cmp::Reverse;

use jiff::{SignedDuration, Timestamp};
use resources::gantry::MachineRole;

use super::rollout::RolloutLimits;
use super::seen::{ApiState, Founding, Member, NodeState, Seen, Stage};
use super::verdict::Verdict;
use super::wanted::{Pool, Wanted};

/// Limits that are not the cluster's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// How often a machine that failed is followed by another one before a person is waited for.
    pub replacements: u32,
    /// How long before their end certificates of a control plane are renewed; zero: only when a person asks for it.
    pub renew_before: SignedDuration,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            replacements: 2,
            renew_before: SignedDuration::from_hours(24 * 90),
        }
    }
}

/// The machines of one pool, sorted.
#[derive(Debug, Clone, Default)]
pub(crate) struct Balance<'a> {
    /// Those that stay.
    pub(crate) keep: Vec<&'a Member>,
    /// Those that go because they are broken or unwanted.
    pub(crate) broken: Vec<&'a Member>,
    /// Those that go because there are too many.
    pub(crate) surplus: Vec<&'a Member>,
    /// Those that are being given back already.
    pub(crate) leaving: Vec<&'a Member>,
    /// For each machine that is missing, how many failed ones it follows.
    pub(crate) missing: Vec<u32>,
    /// How many don't work and wait for a person.
    pub(crate) stuck: usize,
    /// How many may be exchanged at a time, when machines that work are.
    pub(crate) limits: Option<RolloutLimits>,
}

impl<'a> Balance<'a> {
    /// Those that work, and are of another revision than the pool's.
    pub(crate) fn outdated(&self, pool: &Pool) -> Vec<&'a Member> {
        let joined = self.keep.iter().filter(|member| member.has_joined());
        joined
            .filter(|member| member.is_outdated(pool))
            .copied()
            .collect()
    }

    /// How many machines above the wanted number stay because others are to take their places. While the rollout is paused
    /// these are no more than have come for it already; what is above that was scaled down.
    fn kept_above(&self, wanted: &Wanted, pool: &Pool, extra: usize) -> usize {
        let most = extra.min(self.outdated(pool).len());
        if wanted.paused.is_none() {
            return most;
        }
        let keep = self.keep.iter();
        let come = keep.filter(|member| !member.is_outdated(pool)).count();
        most.min(come).min(pool.rollout.surge)
    }

    /// The same with those of another revision among the ones that go, each followed by a new one.
    pub(crate) fn exchanged(&self, pool: &Pool) -> Self {
        let outdated = self.outdated(pool);
        let is_outdated = |member: &&Member| outdated.iter().any(|known| known.name == member.name);
        let keep: Vec<&Member> = self
            .keep
            .iter()
            .filter(|member| !is_outdated(member))
            .copied()
            .collect();
        let missing = pool.count.saturating_sub(keep.len());
        Self {
            missing: vec![0; missing],
            keep,
            broken: outdated,
            limits: Some(pool.rollout),
            ..Self::default()
        }
    }
}

/// Machines that don't work, before it is known how many are too many.
#[derive(Debug, Default)]
struct Faulty<'a> {
    /// Have failed too often to be followed by another one.
    failed: Vec<&'a Member>,
    /// Have joined, and their nodes are down for too long.
    dead: Vec<&'a Member>,
}

/// Sorts the machines of a pool.
///
/// Machines of another revision that have joined are kept: what replaces them is another matter. They may be more than are
/// wanted while their successors come.
pub(crate) fn balance<'a>(
    wanted: &Wanted,
    pool: &'a Pool,
    seen: &'a Seen,
    policy: Policy,
    now: Timestamp,
    verdict: &mut Verdict,
) -> Balance<'a> {
    // A node of the new version could not join yet, so one of the old version may as well.
    let too_early = pool.role == MachineRole::Worker && seen.older_than(wanted, pool).is_some();
    let mut sorted = Balance::default();
    let mut faulty = Faulty::default();
    let mut follow = Vec::new();
    for member in seen.of_pool(pool) {
        if member.is_leaving() {
            // What it leaves for is known: it was broken, or there were too many.
            sorted.leaving.push(member);
        } else if member.unwanted {
            sorted.broken.push(member);
            follow.push(0);
        } else if member.failure.is_some() {
            match next_replacement(member, pool, policy) {
                Some(number) => {
                    sorted.broken.push(member);
                    follow.push(number);
                }
                None => faulty.failed.push(member),
            }
        } else if is_replaced_early(member, pool, seen) && !too_early {
            sorted.broken.push(member);
            follow.push(0);
        } else if is_dead(member, pool, seen, now, verdict) {
            faulty.dead.push(member);
        } else {
            sorted.keep.push(member);
        }
    }
    let stuck = faulty.judge(pool, &mut sorted, &mut follow, verdict);
    sorted.keep.sort_by_key(|member| stays(member, pool, seen));
    let room = pool.count.saturating_sub(stuck);
    let extra = sorted.keep.len().saturating_sub(room);
    let exchanged = sorted.kept_above(wanted, pool, extra);
    if extra > exchanged {
        let mut surplus = sorted.keep.split_off(room.saturating_add(exchanged));
        // The last one to be kept is the first one to go.
        surplus.reverse();
        sorted.surplus.append(&mut surplus);
    }
    let missing = room.saturating_sub(sorted.keep.len());
    follow.sort_unstable_by_key(|number| Reverse(*number));
    follow.resize(missing, 0);
    sorted.missing = follow;
    sorted.stuck = stuck;
    sorted
}

impl<'a> Faulty<'a> {
    /// Those that are too many go before any that works. The dead ones are replaced unless they are too many at a time;
    /// what is left waits for a person. Returns how many do.
    fn judge(
        mut self,
        pool: &Pool,
        sorted: &mut Balance<'a>,
        follow: &mut Vec<u32>,
        verdict: &mut Verdict,
    ) -> usize {
        let all = [sorted.keep.len(), self.failed.len(), self.dead.len()];
        // A successor that has failed stays and says so: without it the exchange would begin again.
        let exchanged = sorted.outdated(pool).len();
        let most = pool.count.saturating_add(exchanged);
        let mut too_many = all.iter().sum::<usize>().saturating_sub(most);
        for group in [&mut self.failed, &mut self.dead] {
            let go = group.len().min(too_many);
            sorted.surplus.extend(group.drain(..go));
            too_many = too_many.saturating_sub(go);
        }
        for member in &self.failed {
            let failure = member.failure.as_deref().unwrap_or_default();
            verdict.block(&member.name, too_often(member, failure));
        }
        if self.dead.len() <= pool.health.most {
            follow.extend(self.dead.iter().map(|_| 0));
            sorted.broken.append(&mut self.dead);
            return self.failed.len();
        }
        let names: Vec<&str> = self.dead.iter().map(|member| member.name.as_str()).collect();
        verdict.block(
            &pool.name,
            format!(
                "{} of {} machines of {} are dead ({}), more than the {} that are replaced by themselves (maxUnhealthy); \
                 look for a common cause, or replace each: gantry replace machine NAME",
                self.dead.len(),
                pool.count,
                pool.name,
                names.join(", "),
                pool.health.most
            ),
        );
        self.failed.len().saturating_add(self.dead.len())
    }
}

/// Whether a machine of another revision goes before it has joined. The founder does not: it is the cluster. In a new one
/// that may be any that asks.
fn is_replaced_early(member: &Member, pool: &Pool, seen: &Seen) -> bool {
    let early = match member.stage {
        Stage::Installing => true,
        Stage::Asks => seen.founding == Founding::Done && seen.founder.as_ref() != Some(&member.name),
        Stage::Joined | Stage::Leaving => false,
    };
    early && member.is_outdated(pool)
}

/// How many failed machines the next one follows; `None` when that are too many. What has failed with something else
/// installed says nothing of what is wanted now.
fn next_replacement(member: &Member, pool: &Pool, policy: Policy) -> Option<u32> {
    if member.retry || member.is_outdated(pool) {
        return Some(0);
    }
    let next = member.replacement.saturating_add(1);
    (next <= policy.replacements).then_some(next)
}

fn too_often(member: &Member, failure: &str) -> String {
    let name = &member.name;
    let times = match member.replacement {
        0 => String::new(),
        1 => ", as the machine before it in its place did".to_owned(),
        many => format!(", as the {many} machines before it in its place did"),
    };
    format!(
        "{name} has failed{times}: {failure}; fix the cause, then let another one take its place: gantry retry machine \
         {name}"
    )
}

/// Whether the node of a machine that has joined, or its member of etcd, is down for too long.
fn is_dead(member: &Member, pool: &Pool, seen: &Seen, now: Timestamp, verdict: &mut Verdict) -> bool {
    let node = match member.node {
        NodeState::Down { since } => Some(since),
        _ => None,
    };
    let Some(since) = node.into_iter().chain(member.etcd_down).min() else {
        return false;
    };
    if !member.has_joined() || seen.api != ApiState::Answers {
        return false;
    }
    let limit = SignedDuration::from_secs(pool.health.unready_seconds);
    let at = since.saturating_add(limit).unwrap_or(Timestamp::MAX);
    if now < at {
        verdict.look_at(at);
        return false;
    }
    true
}

/// The order in which machines are kept: the one that may start the cluster at this moment, then joined and Ready ones,
/// then those of the wanted revision, then the older ones.
fn stays<'a>(member: &'a Member, pool: &Pool, seen: &Seen) -> impl Ord + use<'a> {
    let starts = seen.founding != Founding::Done && seen.founder.as_ref() == Some(&member.name);
    (
        !starts,
        member.first_out,
        Reverse(member.stage),
        matches!(member.node, NodeState::Down { .. }) || member.etcd_down.is_some(),
        member.is_outdated(pool),
        member.created,
        member.name.as_str(),
    )
}
