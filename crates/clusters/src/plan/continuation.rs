//! Whether the plan that is being carried out still leads to what is wanted.

use resources::gantry::{PlanSpec, PlanStep, PlanStepKind, StepState};

use super::draft::is_removal;
use super::seen::Stage;

fn is_same(a: &PlanStep, b: &PlanStep) -> bool {
    a.kind == b.kind && a.machine == b.machine && a.pool == b.pool
}

/// Whether `current`, whose steps are in these states, does everything that `next` would do. A step that is done or has
/// failed does nothing any more.
pub(crate) fn covers(current: &PlanSpec, state: impl Fn(&str) -> StepState, next: &PlanSpec) -> bool {
    let is_open = |step: &&PlanStep| matches!(state(&step.id), StepState::Pending | StepState::Running);
    let covered = |wanted: &PlanStep| {
        current
            .steps
            .iter()
            .filter(is_open)
            .any(|step| is_same(step, wanted))
    };
    let approved = next.requires_approval.is_none() || current.requires_approval.is_some();
    current.desired == next.desired && approved && next.steps.iter().all(covered)
}

/// Whether `current` would still make a machine that is not wanted any more, or take one away that may stay: `next` does
/// not, or there is nothing to do at all. `stage` tells how far a machine is, if it is there.
pub(crate) fn goes_too_far(
    current: &PlanSpec,
    state: impl Fn(&str) -> StepState,
    next: Option<&PlanSpec>,
    stage: impl Fn(&str) -> Option<Stage>,
) -> bool {
    let is_open = |step: &&PlanStep| matches!(state(&step.id), StepState::Pending | StepState::Running);
    let planned =
        |step: &PlanStep| next.is_some_and(|next| next.steps.iter().any(|other| is_same(step, other)));
    let mut open = current.steps.iter().filter(is_open);
    open.any(|step| {
        let stage = step.machine.as_deref().and_then(&stage);
        let acts = match (step.kind, stage) {
            (PlanStepKind::RemoveMachine, Some(stage)) => stage != Stage::Leaving,
            (_, None) => step.pool.is_some(),
            (_, Some(_)) => false,
        };
        acts && !planned(step)
    })
}

/// Whether `next` takes nothing away that `current` would not have taken: then an approval of `current` holds for it.
pub(crate) fn disrupts_no_more(current: &PlanSpec, next: &PlanSpec) -> bool {
    let mut removals = next.steps.iter().filter(|step| is_removal(step.kind));
    removals.all(|step| current.steps.iter().any(|known| is_same(known, step)))
}
