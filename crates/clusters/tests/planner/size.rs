//! A Plan of a thousand machines fits into an object, and grows as the cluster does.

use clusters::{Progress, Seen};
use resources::gantry::{Plan, PlanSpec, StepState};

use crate::samples::{answer, as_wanted, now, wanted};

/// Most bytes of a Plan.
const MOST: usize = 256 * 1024;

fn created(workers: usize) -> PlanSpec {
    answer(&wanted(5, &[workers]), &Seen::nothing()).plan.unwrap()
}

/// What carrying a plan out has to look at: its steps and what each comes after.
fn work(plan: &PlanSpec) -> usize {
    plan.steps.iter().map(|step| 1 + step.after.len()).sum()
}

#[test]
fn a_plan_of_a_thousand_workers_is_small() {
    let mut seen = as_wanted(&wanted(5, &[1000]));
    for (at, member) in seen.members.iter_mut().enumerate() {
        member.name = format!("demo-{}-{at:05}", member.pool);
    }
    let removal = answer(&wanted(5, &[0]), &seen).plan.unwrap();
    let bytes = serde_json::to_vec(&removal).unwrap().len();
    assert!(bytes < MOST, "removal: {bytes} bytes");
    let mut plan = Plan::new("demo-plan-7", created(1000));
    let mut progress = Progress::of(&plan);
    for step in progress.ready() {
        let mut record = progress.record(&step.id, now());
        record.state = StepState::Done;
        progress.set(&step.id, &record, now());
    }
    let running = progress.ready();
    assert!(running.len() > 1000, "{}", running.len());
    for step in running {
        let mut record = progress.record(&step.id, now());
        record.state = StepState::Running;
        record.deadline = Some(now());
        record.reason = Some(format!(
            "{}: the workflow runs, action 4 of 9",
            step.machine.unwrap_or_default()
        ));
        progress.set(&step.id, &record, now());
    }
    progress.settle(now());
    plan.status = Some(progress.status().clone());
    let bytes = serde_json::to_vec(&plan).unwrap().len();
    assert!(bytes < MOST, "creation: {bytes} bytes");
}

#[test]
fn twice_the_machines_are_twice_the_work() {
    let empty = work(&created(0));
    let of = |workers: usize| work(&created(workers)) - empty;
    assert_eq!((of(1000), of(2000)), (of(500) * 2, of(500) * 4));
    let removal = |workers: usize| {
        work(
            &answer(&wanted(5, &[0]), &as_wanted(&wanted(5, &[workers])))
                .plan
                .unwrap(),
        )
    };
    // One step more in each: the last one.
    assert_eq!(removal(2000) - 1, (removal(1000) - 1) * 2);
}
