//! One round of a plan: approval, the steps that are ready, and what a failed step leaves behind.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use kube::ResourceExt as _;
use resources::gantry::{FailurePolicy, PlanPhase, PlanStep, ProviderMachinePhase};
use steps::{Transition, run};

use super::disruption::give_back;
use super::progress::Progress;
use super::step_run::StepRun;
use super::succession::inherited_approval;
use super::work::Work;
use crate::error::Error;
use crate::observe::BY_POLICY;

/// What a round led to.
#[derive(Debug, Default)]
pub(crate) struct Round {
    /// Something was done: look again at once.
    pub(crate) acted: bool,
    /// Transitions of steps, with the step's text.
    pub(crate) transitions: Vec<(String, Transition)>,
}

/// Takes the plan one round further.
pub(crate) async fn carry_on(work: &Work<'_>, progress: &mut Progress) -> Result<Round, Error> {
    let mut round = Round::default();
    if progress.phase() == PlanPhase::Pending {
        match approved_by(work) {
            Some(by) => progress.approve(by, work.now),
            None => progress.wait(asks_for_approval(work)),
        }
    }
    if progress.phase() != PlanPhase::Executing {
        if matches!(progress.phase(), PlanPhase::Done | PlanPhase::Failed) {
            round.acted = give_back(work, progress).await?;
        }
        return Ok(round);
    }
    let shared = Mutex::new(progress.clone());
    let (acted, transitions) = (Mutex::new(false), Mutex::new(Vec::new()));
    let mut decided = HashSet::new();
    let mut ready = progress.ready();
    while !ready.is_empty() {
        for step in &ready {
            let step_run = StepRun {
                work,
                step,
                progress: &shared,
                acted: &acted,
                transitions: &transitions,
            };
            run(&step_run, || work.now).await?;
            decided.insert(step.id.clone());
        }
        if *lock(&acted) {
            break;
        }
        // What became possible by the steps that are done now is decided from the same snapshot.
        ready = lock(&shared).ready();
        ready.retain(|step| !decided.contains(&step.id));
    }
    *progress = shared.into_inner().unwrap_or_else(PoisonError::into_inner);
    round.acted = acted.into_inner().unwrap_or_else(PoisonError::into_inner);
    round.transitions = transitions.into_inner().unwrap_or_else(PoisonError::into_inner);
    for step in progress.failed() {
        if step.on_failure == FailurePolicy::Replace {
            round.acted |= give_up(work, progress, step).await?;
        }
    }
    progress.settle(work.now);
    round.acted |= give_back(work, progress).await?;
    Ok(round)
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Who approves the plan, if somebody does.
fn approved_by(work: &Work<'_>) -> Option<String> {
    let plan = work.plan;
    let (name, digest) = (plan.name_any(), plan.spec.digest());
    let fits = |approval: &&std::sync::Arc<resources::gantry::PlanApproval>| {
        approval.spec.plan == name && approval.spec.digest == digest
    };
    if let Some(approval) = work.snapshot.approvals.iter().find(fits) {
        let by = approval.spec.approver.clone();
        return Some(by.unwrap_or_else(|| format!("PlanApproval {}", approval.name_any())));
    }
    let before = work.snapshot.plans.values().map(AsRef::as_ref);
    if let Some(by) = inherited_approval(before, &plan.spec) {
        return Some(by);
    }
    let policy = work.options.self_approved.contains(&plan.spec.class);
    (policy && plan.spec.requires_approval.is_none()).then(|| BY_POLICY.to_owned())
}

fn asks_for_approval(work: &Work<'_>) -> String {
    let plan = work.plan;
    let name = plan.name_any();
    let why = plan
        .spec
        .requires_approval
        .as_ref()
        .map(|why| format!(", because {why}"));
    format!(
        "plan {name} waits for approval{}: gantry approve {name}",
        why.unwrap_or_default()
    )
}

/// Writes into the machine of a failed step why it is given up, unless its driver has given it up. The planner answers.
async fn give_up(work: &Work<'_>, progress: &Progress, step: &PlanStep) -> Result<bool, Error> {
    let machine = step.machine.as_deref().unwrap_or_default();
    let Some(provider) = work.snapshot.provider_machines.get(machine) else {
        return Ok(false);
    };
    let by_driver = provider
        .status
        .as_ref()
        .is_some_and(|status| status.phase == ProviderMachinePhase::Failed);
    let leaving = provider.metadata.deletion_timestamp.is_some();
    if by_driver || leaving || provider.spec.given_up.is_some() {
        return Ok(false);
    }
    let mut rows = progress.status().steps.iter();
    let reason = rows
        .find(|row| row.id == step.id)
        .and_then(|row| row.reason.clone());
    let reason = reason.unwrap_or_else(|| "its step failed".to_owned());
    work.access
        .set(&**provider, &["spec", "givenUp"], &reason)
        .await?;
    Ok(true)
}
