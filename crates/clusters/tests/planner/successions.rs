//! When a plan that is carried out ends before it is done.

use clusters::{EtcdMember, NodeState, Progress, Seen, Wanted, dropped, needs_another};
use resources::gantry::{Plan, PlanPhase, PlanSpec, PlanStepKind, StepState};

use crate::cases::{dies, etcd, failed_too_often, said, silent};
use crate::samples::{answer, as_wanted, now, voter, wanted};

/// A plan that is carried out.
fn executing(spec: PlanSpec) -> Plan {
    let mut plan = Plan::new("demo-plan-7", spec);
    let mut progress = Progress::of(&plan);
    progress.approve("policy".to_owned(), now());
    plan.status = Some(progress.status().clone());
    plan
}

fn is_dropped(plan: &Plan, wanted: &Wanted, seen: &Seen) -> bool {
    let verdict = answer(wanted, seen);
    let progress = dropped(plan, seen, wanted, &verdict, now());
    progress.is_some_and(|progress| progress.phase() == PlanPhase::Superseded)
}

#[test]
fn a_plan_that_goes_too_far_ends_whatever_else_is_blocked() {
    let wanted = wanted(1, &[2, 1]);
    let mut seen = as_wanted(&wanted);
    dies(&mut seen, 1);
    let plan = executing(answer(&wanted, &seen).plan.unwrap());
    assert!(!is_dropped(&plan, &wanted, &seen));

    // The machine works again, and one of another pool waits for a person.
    seen.members[1].node = NodeState::Ready;
    failed_too_often(&mut seen, 3);
    assert!(is_dropped(&plan, &wanted, &seen));

    // It is only out of sight: it may go in a moment.
    let mut seen = as_wanted(&wanted);
    seen.members[1].unwanted = true;
    silent(&mut seen);
    assert!(!is_dropped(&plan, &wanted, &seen));
}

#[test]
fn a_plan_ends_when_too_many_machines_are_dead() {
    let mut wanted = wanted(1, &[4]);
    wanted.pools[1].health.most = 1;
    let mut seen = as_wanted(&wanted);
    dies(&mut seen, 1);
    let plan = executing(answer(&wanted, &seen).plan.unwrap());
    dies(&mut seen, 2);
    assert_eq!(said(&answer(&wanted, &seen)), ["blocked md-0"]);
    assert!(is_dropped(&plan, &wanted, &seen));
}

#[test]
fn a_member_of_etcd_that_lives_again_is_not_taken_out() {
    let wanted = wanted(3, &[]);
    let mut seen = as_wanted(&wanted);
    etcd(&mut seen).push(EtcdMember {
        healthy: false,
        ..voter(30, None)
    });
    let plan = executing(answer(&wanted, &seen).plan.unwrap());
    assert!(!is_dropped(&plan, &wanted, &seen));
    etcd(&mut seen)[3].healthy = true;
    assert!(is_dropped(&plan, &wanted, &seen));
}

/// A plan that a person approved was restored while a later one had changed the cluster: its steps are held back, so one
/// that knows of that has to take its place.
#[test]
fn an_approval_of_before_a_restore_does_not_hold() {
    let wanted = wanted(1, &[]);
    let mut seen = as_wanted(&crate::samples::wanted(3, &[]));
    let plan = executing(answer(&wanted, &seen).plan.unwrap());
    assert!(plan.spec.requires_approval.is_some());
    assert!(!needs_another(Some(&plan), &answer(&wanted, &seen), now()));
    seen.unknown_plan = Some(9);
    assert!(needs_another(Some(&plan), &answer(&wanted, &seen), now()));
    let next = executing(answer(&wanted, &seen).plan.unwrap());
    assert!(!needs_another(Some(&next), &answer(&wanted, &seen), now()));
}

/// The next look at a node that was drained still says that it is Ready.
#[test]
fn a_node_is_drained_once() {
    let wanted = wanted(1, &[2]);
    let mut seen = as_wanted(&wanted);
    seen.members[1].unwanted = true;
    let mut plan = executing(answer(&wanted, &seen).plan.unwrap());
    let next = answer(&wanted, &seen);
    assert!(!needs_another(Some(&plan), &next, now()));
    let mut progress = Progress::of(&plan);
    for (kind, needs) in [(PlanStepKind::Drain, false), (PlanStepKind::RemoveMachine, true)] {
        let step = plan.spec.steps.iter().find(|step| step.kind == kind).unwrap();
        let mut record = progress.record(&step.id, now());
        record.state = StepState::Done;
        progress.set(&step.id, &record, now());
        plan.status = Some(progress.status().clone());
        assert_eq!(
            needs_another(Some(&plan), &next, now()),
            needs,
            "{kind:?} is done"
        );
    }
}
