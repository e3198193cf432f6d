//! Workers of one pool: those that are missing are made, those that are broken or too many go.

use resources::gantry::PlanStepKind;

use super::balance::Balance;
use super::draft::Draft;
use super::names::Names;
use super::removal::{may_go, remove};
use super::seen::Seen;
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
    for member in balance.keep.iter().filter(|member| !member.has_joined()) {
        let (name, replacement) = (&member.name, member.replacement);
        draft.make(
            PlanStepKind::JoinWorker,
            name,
            &pool.name,
            replacement,
            after.to_vec(),
        );
    }
    let go = || balance.broken.iter().chain(&balance.surplus);
    // The place of one that can't go yet is not free yet.
    let stay = go().filter(|member| !may_go(seen, member)).count();
    let room = balance.missing.len().saturating_sub(stay);
    for replacement in balance.missing.iter().take(room) {
        let name = names.next(&pool.name);
        draft.make(
            PlanStepKind::JoinWorker,
            &name,
            &pool.name,
            *replacement,
            after.to_vec(),
        );
    }
    draft.remediates |= !balance.broken.is_empty();
    for member in go().chain(&balance.leaving) {
        remove(draft, verdict, seen, member, Vec::new());
    }
}
