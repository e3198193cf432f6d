//! One pool against its machines: which stay, which go, how many are missing, and what is not replaced.

use std::cmp::Reverse;

use jiff::{SignedDuration, Timestamp};

use super::seen::{ApiState, Founding, Member, NodeState, Seen};
use super::verdict::Verdict;
use super::wanted::Pool;

/// Limits that are not the cluster's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// How often a machine that failed is followed by another one before a person is waited for.
    pub replacements: u32,
}

impl Default for Policy {
    fn default() -> Self {
        Self { replacements: 2 }
    }
}

/// The machines of one pool, sorted.
#[derive(Debug, Default)]
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
pub(crate) fn balance<'a>(
    pool: &'a Pool,
    seen: &'a Seen,
    policy: Policy,
    now: Timestamp,
    verdict: &mut Verdict,
) -> Balance<'a> {
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
            match next_replacement(member, policy) {
                Some(number) => {
                    sorted.broken.push(member);
                    follow.push(number);
                }
                None => faulty.failed.push(member),
            }
        } else if is_dead(member, pool, seen, now, verdict) {
            faulty.dead.push(member);
        } else {
            sorted.keep.push(member);
        }
    }
    let stuck = faulty.judge(pool, &mut sorted, &mut follow, verdict);
    sorted.keep.sort_by_key(|member| stays(member, seen));
    let room = pool.count.saturating_sub(stuck);
    if sorted.keep.len() > room {
        let mut surplus = sorted.keep.split_off(room);
        // The last one to be kept is the first one to go.
        surplus.reverse();
        sorted.surplus.append(&mut surplus);
    }
    let missing = room.saturating_sub(sorted.keep.len());
    follow.sort_unstable_by_key(|number| Reverse(*number));
    follow.resize(missing, 0);
    sorted.missing = follow;
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
        let mut too_many = all.iter().sum::<usize>().saturating_sub(pool.count);
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

/// How many failed machines the next one follows; `None` when that are too many.
fn next_replacement(member: &Member, policy: Policy) -> Option<u32> {
    if member.retry {
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
/// then the older ones.
fn stays<'a>(member: &'a Member, seen: &Seen) -> impl Ord + use<'a> {
    let starts = seen.founding != Founding::Done && seen.founder.as_ref() == Some(&member.name);
    (
        !starts,
        member.first_out,
        Reverse(member.stage),
        matches!(member.node, NodeState::Down { .. }) || member.etcd_down.is_some(),
        member.created,
        member.name.as_str(),
    )
}
