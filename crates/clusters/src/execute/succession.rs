//! Which plan follows which: when another one is needed, when one is dropped, and whether an approval holds for the next.
//! Pure.

use std::collections::HashMap;

use jiff::{SignedDuration, Timestamp};
use resources::gantry::{Plan, PlanClass, PlanPhase, PlanSpec, PlanStepKind, StepState};

use super::progress::Progress;
use crate::observe::BY_POLICY;
use crate::plan::{Gates, Seen, Verdict, Wanted, covers, disrupts_no_more, goes_too_far, takes_more};

/// How long a plan that failed stands before it is tried anew.
pub(crate) const REST: SignedDuration = SignedDuration::from_secs(60);

fn state(states: &HashMap<&str, StepState>, id: &str) -> StepState {
    states.get(id).copied().unwrap_or_default()
}

/// Whether the plan that counts, if there is one, does not do what the planner says has to be done.
#[must_use]
pub fn needs_another(current: Option<&Plan>, verdict: &Verdict, now: Timestamp) -> bool {
    let Some(next) = &verdict.plan else {
        return false;
    };
    let Some(current) = current else {
        return true;
    };
    let progress = Progress::of(current);
    // It would wait for an approval of what needs none any more.
    let waits_in_vain = current.spec.requires_approval.is_some() && next.requires_approval.is_none();
    match progress.phase() {
        PlanPhase::Pending if waits_in_vain => true,
        PlanPhase::Pending | PlanPhase::Executing => {
            let states = progress.states();
            !covers(&current.spec, |id| state(&states, id), next)
        }
        PlanPhase::Failed => {
            let since = progress.status().since.as_ref().map_or(now, |since| since.0);
            let rested = steps::later(since, REST) <= now || !progress.is_to_be_retried();
            rested || current.spec.desired != next.desired
        }
        PlanPhase::Done | PlanPhase::Superseded => true,
    }
}

/// The end of a plan under way that nothing is to be done of any more: it goes further than what is `wanted` now, or there is
/// nothing that could become of it, or it exchanges machines and that is paused, or without upgrade gates that can't be run; what
/// it has begun another plan goes on with, and so it is while the data of an only member are on their way. Also that of a plan that has failed because of an upgrade gate
/// which holds up nothing any more. `None` when it goes on.
#[must_use]
pub fn dropped(
    current: &Plan,
    seen: &Seen,
    wanted: &Wanted,
    verdict: &Verdict,
    now: Timestamp,
) -> Option<Progress> {
    let mut progress = Progress::of(current);
    if is_stopped_in_vain(&progress, verdict) {
        let reason = "the upgrade gate that had failed is not wanted any more".to_owned();
        progress.enter(PlanPhase::Superseded, Some(reason), now);
        return Some(progress);
    }
    if !progress.is_under_way() {
        return None;
    }
    let next = verdict.plan.as_ref();
    let before = progress.clone();
    let states = before.states();
    let state = |id: &str| state(&states, id);
    if verdict.hopeless {
        if next.is_some_and(|next| covers(&current.spec, state, next)) {
            return None;
        }
        let reason = verdict.blocked.first().map(|block| block.reason.clone());
        progress.enter(PlanPhase::Failed, reason, now);
        return Some(progress);
    }
    let is_paused = wanted.paused.is_some() && seen.saved.is_none();
    if is_paused && current.spec.class == PlanClass::Upgrade {
        progress.enter(PlanPhase::Superseded, wanted.paused.clone(), now);
        return Some(progress);
    }
    if let Some(reason) = needs_no_repair(&progress, next) {
        progress.enter(PlanPhase::Superseded, Some(reason), now);
        return Some(progress);
    }
    if let Some(reason) = is_ungated(&current.spec, state, next, seen) {
        progress.enter(PlanPhase::Superseded, Some(reason.to_owned()), now);
        return Some(progress);
    }
    let wish_taken_back = next.is_none() && current.spec.desired != wanted.digest();
    let too_far = goes_too_far(&current.spec, state, verdict, (wanted, seen));
    if !wish_taken_back && !too_far {
        return None;
    }
    let reason = "what it would do is not wanted any more".to_owned();
    progress.enter(PlanPhase::Superseded, Some(reason), now);
    Some(progress)
}

/// Why a plan ends that waits for somebody who approves that machines restart into the installer: no certificates are seen any
/// more that have ended, or the cluster's API answers.
fn needs_no_repair(progress: &Progress, next: Option<&PlanSpec>) -> Option<String> {
    let repairs = |plan: &PlanSpec| {
        let mut steps = plan.steps.iter();
        steps.any(|step| step.kind == PlanStepKind::RepairCertificates)
    };
    let waits = progress.phase() == PlanPhase::Pending && repairs(progress.spec());
    (waits && !next.is_some_and(repairs))
        .then(|| "no certificates have to be renewed in the installer any more".to_owned())
}

/// Why a plan that would still take machines away for a rollout ends: there are upgrade gates now that it does not run, and
/// `next` takes none of them away before. The data of an only member that are on their way are waited for.
fn is_ungated<'a>(
    current: &PlanSpec,
    state: impl Fn(&str) -> StepState,
    next: Option<&PlanSpec>,
    seen: &'a Seen,
) -> Option<&'a str> {
    let reason = match &seen.gates {
        Gates::None => return None,
        Gates::Named => "there are upgrade gates now that it does not run",
        Gates::Unusable(why) => why,
    };
    let runs_them = || {
        let mut steps = current.steps.iter();
        steps.any(|step| step.kind == PlanStepKind::RunGates)
    };
    let ends = current.class == PlanClass::Upgrade
        && seen.saved.is_none()
        && !runs_them()
        && takes_more(current, state, next);
    ends.then_some(reason)
}

/// Whether a plan has failed because of an upgrade gate, and nothing is left to be done or to be said of it.
fn is_stopped_in_vain(progress: &Progress, verdict: &Verdict) -> bool {
    let of_gates = || {
        let mut failed = progress.failed().into_iter();
        failed.any(|step| step.kind == PlanStepKind::RunGates)
    };
    let rests = verdict.plan.is_none() && verdict.blocked.is_empty() && verdict.paused.is_none();
    progress.phase() == PlanPhase::Failed && rests && of_gates()
}

/// The status of a plan under way that `by` takes the place of; `None` when it is over already.
#[must_use]
pub fn superseded(current: &Plan, by: &PlanSpec, now: Timestamp) -> Option<Progress> {
    let mut progress = Progress::of(current);
    if !progress.is_under_way() {
        return None;
    }
    let reason = format!("{}-plan-{} took its place", by.cluster, by.number);
    progress.enter(PlanPhase::Superseded, Some(reason), now);
    Some(progress)
}

/// Who approved one of the plans `before` in a way that holds for `next` too: a person did, for the same wish, and `next` takes
/// nothing away that it would not have taken. Plans that policy approved in between, such as a repair, change nothing about it.
#[must_use]
pub fn inherited_approval<'a>(
    before: impl DoubleEndedIterator<Item = &'a Plan>,
    next: &PlanSpec,
) -> Option<String> {
    for plan in before.rev().filter(|plan| plan.spec.number < next.number) {
        let status = plan.status.as_ref()?;
        let by = status.approved_by.clone()?;
        if plan.spec.desired != next.desired {
            return None;
        }
        // It was given without knowledge of what a plan that is not known here has changed.
        if plan.spec.unknown_plan < next.unknown_plan {
            return None;
        }
        let over = matches!(status.phase, PlanPhase::Superseded | PlanPhase::Failed);
        if by != BY_POLICY && over && disrupts_no_more(&plan.spec, next) {
            return Some(by);
        }
    }
    None
}
