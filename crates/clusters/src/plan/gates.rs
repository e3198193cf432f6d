//! Upgrade gates that come before anything else is exchanged: those of machines that have joined for the rollout.

use resources::gantry::PlanStepKind;

use super::balance::Balance;
use super::draft::Draft;
use super::seen::{ApiState, GateState, Gates, Member, Seen};
use super::verdict::Verdict;
use super::wanted::{Pool, Wanted};

/// The steps that run them. `None` when one has failed or none can be run, so that nothing is exchanged.
pub(crate) fn gates(
    draft: &mut Draft,
    wanted: &Wanted,
    seen: &Seen,
    sorted: &[(&Pool, Balance<'_>)],
    verdict: &mut Verdict,
) -> Option<Vec<String>> {
    let rolling = || {
        sorted
            .iter()
            .filter(|(pool, balance)| !balance.outdated(pool).is_empty())
    };
    match &seen.gates {
        Gates::None => return Some(Vec::new()),
        Gates::Named => {}
        Gates::Unusable(why) => {
            let Some((pool, _)) = rolling().next() else {
                return Some(Vec::new());
            };
            let reason = format!(
                "machines of {} are of another revision than is wanted, and stay for now: {why}",
                pool.name
            );
            verdict.block(&pool.name, reason);
            return None;
        }
    }
    draft.gated = true;
    if seen.api != ApiState::Answers {
        return Some(Vec::new());
    }
    // One that is to go itself is not waited for.
    let joined = |member: &&Member| {
        let pool = member.pool_in(wanted);
        member.has_joined() && pool.is_some_and(|pool| !member.is_outdated(pool))
    };
    let mut failed = false;
    for member in seen.members.iter().filter(joined) {
        if let GateState::Failed(why) = &member.gate {
            failed = true;
            verdict.block(&member.name, stopped(wanted, &member.name, why));
        }
    }
    if failed {
        return None;
    }
    let pending = seen.members.iter().filter(joined);
    let pending = pending.filter(|member| member.gate == GateState::Pending);
    let steps = pending.map(|member| draft.add(PlanStepKind::RunGates, Some(&member.name), Vec::new()));
    let steps: Vec<String> = steps.collect();
    draft.upgrades |= !steps.is_empty();
    Some(steps)
}

fn stopped(wanted: &Wanted, machine: &str, why: &str) -> String {
    let retry = to_retry(&wanted.name);
    format!("the rollout has stopped, because an upgrade gate failed after {machine} joined: {why}; {retry}")
}

/// What to do when an upgrade gate has failed.
pub(crate) fn to_retry(cluster: &str) -> String {
    format!(
        "put right what it tests, then run it once more: gantry upgrade retry {cluster}; or take the change of the documents \
         back"
    )
}
