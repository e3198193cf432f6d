//! Workers of one pool: those that are missing are made, those that are broken or too many go.
//!
//! A machine that works and is to be replaced goes when another one has joined in its place, as long as there is a free
//! host for that one; then its own host is free for the next. Where there is none it goes first, one after the other.
//! While nobody knows which hosts are free, nothing waits for anything: a machine without a host waits for one by itself.

use std::collections::VecDeque;

use resources::gantry::PlanStepKind;

use super::balance::Balance;
use super::draft::Draft;
use super::names::Names;
use super::removal::{may_go, remove};
use super::seen::{Member, NodeState, Seen};
use super::successor::Successor;
use super::verdict::Verdict;
use super::wanted::Pool;

/// Adds the steps of a pool. `after` are the steps that come before a machine is made.
pub(crate) fn workers(
    draft: &mut Draft,
    verdict: &mut Verdict,
    seen: &Seen,
    names: &mut Names<'_>,
    pool: &Pool,
    balance: &Balance<'_>,
    after: &[String],
) {
    let go = || balance.broken.iter().chain(&balance.surplus).copied();
    // The place of one that can't go yet is not free yet.
    let stay = go().filter(|member| !may_go(seen, member)).count();
    let room = balance.missing.len().saturating_sub(stay);
    let made = balance.keep.iter().filter(|member| !member.has_joined());
    let mut successors: Vec<Successor> = made
        .map(|member| Successor::made(member, draft.spares.has_host(member)))
        .collect();
    let surge = balance.limits.map_or(usize::MAX, |limits| limits.surge);
    for replacement in balance.missing.iter().take(room) {
        let has_host = successors.len() < surge && draft.spares.take(&pool.name);
        successors.push(Successor::new(*replacement, has_host));
    }
    match balance.limits {
        Some(_) => draft.upgrades = true,
        None => draft.remediates |= !balance.broken.is_empty(),
    }
    let knows = draft.spares.left(&pool.name).is_some();
    let (coming, waiting) = successors.into_iter().partition(|one| one.has_host || !knows);
    let is_replaced = |member: &&Member| knows && works(member) && may_go(seen, member);
    let replaced: VecDeque<&Member> = balance.broken.iter().copied().filter(is_replaced).collect();
    let others = go().filter(|member| !replaced.iter().any(|known| known.name == member.name));
    let mut exchange = Exchange {
        draft,
        names,
        pool,
        after,
        joined: VecDeque::new(),
        freed: VecDeque::new(),
    };
    for successor in coming {
        exchange.join(successor, None);
    }
    for member in others.chain(balance.leaving.iter().copied()) {
        let gone = remove(exchange.draft, verdict, seen, member, Vec::new());
        if member.has_host || member.has_joined() {
            exchange.freed.extend(gone);
        }
    }
    let early = balance.limits.and_then(|limits| limits.unavailable).unwrap_or(0);
    exchange.carry_out(replaced, waiting, early, |draft, member, after| {
        remove(draft, verdict, seen, member, after)
    });
}

/// Whether pods run on a machine.
fn works(member: &Member) -> bool {
    member.has_joined() && !matches!(member.node, NodeState::Down { .. })
}

/// Machines that take each other's places.
struct Exchange<'a, 'b> {
    draft: &'a mut Draft,
    names: &'a mut Names<'b>,
    pool: &'a Pool,
    after: &'a [String],
    /// Steps by which a machine joins, for whose joining none goes yet.
    joined: VecDeque<String>,
    /// Steps that free a host, on which none is installed yet.
    freed: VecDeque<String>,
}

impl Exchange<'_, '_> {
    /// Those that wait for a host get those that are freed; each that works goes when another one has joined, except for the
    /// first ones, of which so many go `early`.
    fn carry_out(
        &mut self,
        mut replaced: VecDeque<&Member>,
        waiting: Vec<Successor>,
        early: usize,
        mut remove: impl FnMut(&mut Draft, &Member, Vec<String>) -> Option<String>,
    ) {
        let mut waiting = VecDeque::from(waiting);
        for member in replaced.drain(..early.min(replaced.len())) {
            let gone = remove(self.draft, member, self.after.to_vec());
            self.freed.extend(gone);
        }
        loop {
            while !waiting.is_empty()
                && let Some(freed) = self.freed.pop_front()
                && let Some(successor) = waiting.pop_front()
            {
                self.join(successor, Some(freed));
            }
            let Some(member) = replaced.pop_front() else {
                break;
            };
            let mut after = match self.joined.pop_front() {
                Some(joined) => vec![joined],
                None => self.after.to_vec(),
            };
            // The gates of one that joins beside that one hold this up as well.
            if self.draft.gated {
                after.extend(self.joined.iter().cloned());
            }
            let gone = remove(self.draft, member, after);
            self.freed.extend(gone);
        }
        // Nothing that goes frees a host for these: they are waited for, and their driver says what for.
        for successor in waiting {
            self.join(successor, None);
        }
    }

    fn join(&mut self, successor: Successor, freed: Option<String>) {
        let pool = &self.pool.name;
        let name = successor.name.unwrap_or_else(|| self.names.next(pool));
        let after = self.after.iter().cloned().chain(freed).collect();
        let (kind, number) = (PlanStepKind::JoinWorker, successor.replacement);
        let joined = self.draft.make(kind, &name, pool, number, after);
        let step = self.draft.gate(joined);
        self.joined.push_back(step);
    }
}
