//! Rollouts with upgrade gates: they are run after each machine that has joined, and before another one goes.

use std::collections::BTreeMap;

use clusters::{
    GateState, Gates, Progress, Seen, Wanted, dropped, inherited_approval, is_rollout, needs_another,
};
use resources::gantry::{Plan, PlanClass, PlanPhase, PlanSpec, PlanStepKind, StepState};

use crate::cases::said;
use crate::graph::Graph;
use crate::samples::{answer, as_wanted, free, member, now, wanted};
use crate::upgrades::{only_workers, outdated};

struct Case {
    name: &'static str,
    there: (usize, usize),
    change: fn(&mut Wanted, &mut Seen),
    said: &'static [&'static str],
}

/// A worker of the wanted revision that has joined, and how far its gates are.
fn joined(wanted: &Wanted, seen: &mut Seen, gate: GateState) {
    let mut new = member("md-0-9", &wanted.pools[1]);
    new.gate = gate;
    seen.members.push(new);
}

fn failed() -> GateState {
    GateState::Failed("BackoffLimitExceeded: too often".to_owned())
}

const CASES: &[Case] = &[
    Case {
        name: "each member, and each worker, is followed by the gates before another one goes",
        there: (1, 2),
        change: |_, seen| {
            for pool in ["cp", "md-0"] {
                seen.free.insert(pool.to_owned(), free(1));
            }
        },
        said: &[
            "UpdateClusterConfig",
            "Provision new-1",
            "JoinControlPlane new-1",
            "RunGates new-1",
            "RemoveMember cp-0",
            "Drain cp-0",
            "RemoveMachine cp-0",
            "UpdateAddons",
            "JoinWorker new-2",
            "RunGates new-2",
            "Drain md-0-0",
            "RemoveMachine md-0-0",
            "JoinWorker new-3",
            "RunGates new-3",
            "Drain md-0-1",
            "RemoveMachine md-0-1",
            "UpdateAddons",
            "Finish",
        ],
    },
    Case {
        name: "the only member is installed anew, and the gates are run after it",
        there: (1, 0),
        change: |_, _| {},
        said: &[
            "UpdateClusterConfig",
            "Drain cp-0",
            "SaveEtcd cp-0",
            "RemoveMachine cp-0",
            "Provision new-1",
            "RestoreControlPlane new-1",
            "RunGates new-1",
            "UpdateAddons",
            "Finish",
        ],
    },
    Case {
        name: "those of one that has joined are run before the next one goes, whoever made the plan",
        there: (1, 2),
        change: |wanted, seen| {
            only_workers(seen);
            seen.members.pop();
            joined(wanted, seen, GateState::Pending);
        },
        said: &[
            "RunGates md-0-9",
            "Drain md-0-0",
            "RemoveMachine md-0-0",
            "JoinWorker new-1",
            "RunGates new-1",
            "Finish",
        ],
    },
    Case {
        name: "one that has passed is left alone",
        there: (1, 2),
        change: |wanted, seen| {
            only_workers(seen);
            seen.members.pop();
            joined(wanted, seen, GateState::NotNeeded);
        },
        said: &[
            "Drain md-0-0",
            "RemoveMachine md-0-0",
            "JoinWorker new-1",
            "RunGates new-1",
            "Finish",
        ],
    },
    Case {
        name: "nothing is exchanged after gates that have failed",
        there: (1, 2),
        change: |wanted, seen| {
            only_workers(seen);
            seen.members.pop();
            joined(wanted, seen, failed());
        },
        said: &["blocked md-0-9"],
    },
    Case {
        name: "gates that have failed do not keep what is missing away",
        there: (1, 2),
        change: |wanted, seen| {
            only_workers(seen);
            joined(wanted, seen, failed());
            wanted.pools[1].count = 4;
        },
        said: &["JoinWorker new-1", "Finish"],
    },
    Case {
        name: "those of the last machine are waited for when nothing else is left",
        there: (1, 0),
        change: |wanted, seen| {
            *seen = crate::samples::as_wanted(wanted);
            seen.members[0].gate = GateState::Pending;
        },
        said: &["RunGates cp-0", "Finish"],
    },
    Case {
        name: "machines that did not come for a rollout need none",
        there: (1, 2),
        change: |wanted, seen| *seen = crate::samples::as_wanted(wanted),
        said: &[],
    },
    Case {
        name: "nothing is exchanged while they can't be run",
        there: (1, 1),
        change: |_, seen| {
            seen.gates = Gates::Unusable("upgrade gate shop/check is not in the cluster".to_owned())
        },
        said: &["blocked cp"],
    },
];

#[test]
fn cases() {
    let failed: BTreeMap<&str, _> = CASES
        .iter()
        .filter_map(|case| {
            let (members, workers) = case.there;
            let workers: &[usize] = if workers == 0 { &[] } else { &[workers] };
            let mut wanted = wanted(members, workers);
            let mut seen = outdated(&wanted);
            (case.change)(&mut wanted, &mut seen);
            if seen.gates == Gates::None {
                seen.gates = Gates::Named;
            }
            let said = said(&answer(&wanted, &seen));
            (said != case.said).then_some((case.name, said))
        })
        .collect();
    assert!(failed.is_empty(), "{failed:#?}");
}

#[test]
fn who_waits_for_a_failed_gate_is_told_what_to_do() {
    let wanted = wanted(1, &[2]);
    let mut seen = outdated(&wanted);
    seen.gates = Gates::Named;
    only_workers(&mut seen);
    joined(&wanted, &mut seen, failed());
    let verdict = answer(&wanted, &seen);
    let reason = &verdict.blocked[0].reason;
    for text in [
        "after md-0-9 joined",
        "BackoffLimitExceeded",
        "gantry upgrade retry demo",
    ] {
        assert!(reason.contains(text), "{reason}");
    }
}

fn executing(spec: PlanSpec, done: &[PlanStepKind]) -> Plan {
    let mut plan = Plan::new(&format!("demo-plan-{}", spec.number), spec);
    let mut progress = Progress::of(&plan);
    progress.approve("alice".to_owned(), now());
    for step in &plan.spec.steps {
        if done.contains(&step.kind) {
            let mut record = progress.record(&step.id, now());
            record.state = StepState::Done;
            progress.set(&step.id, &record, now());
        }
    }
    plan.status = Some(progress.status().clone());
    plan
}

/// A plan from before the gates were named ends when they can't be run, unless the planner would take the same away.
#[test]
fn a_plan_without_gates_that_can_not_be_run_ends() {
    let wanted = wanted(1, &[1]);
    let mut seen = outdated(&wanted);
    only_workers(&mut seen);
    seen.free.insert("md-0".to_owned(), free(1));
    let plan = executing(answer(&wanted, &seen).plan.unwrap(), &[]);
    let ended = |plan: &Plan, seen: &Seen| {
        let verdict = answer(&wanted, seen);
        dropped(plan, seen, &wanted, &verdict, now()).map(|progress| progress.phase())
    };
    assert_eq!(ended(&plan, &seen), None);
    seen.gates = Gates::Unusable("upgrade gate shop/check is not in the cluster".to_owned());
    assert_eq!(ended(&plan, &seen), Some(PlanPhase::Superseded));

    let mut seen = as_wanted(&wanted);
    seen.addons_behind = true;
    seen.gates = Gates::Unusable("upgrade gate shop/check is not in the cluster".to_owned());
    let plan = executing(answer(&wanted, &seen).plan.unwrap(), &[]);
    assert_eq!(ended(&plan, &seen), None);
}

/// The plan goes on while the gates after the machine that has joined run; when it has failed the plan has ended, and its approval
/// holds for the one that goes on.
#[test]
fn a_plan_waits_for_its_gates() {
    let wanted = wanted(1, &[1]);
    let mut seen = outdated(&wanted);
    seen.gates = Gates::Named;
    only_workers(&mut seen);
    seen.free.insert("md-0".to_owned(), free(1));
    let spec = answer(&wanted, &seen).plan.unwrap();
    let joins = |step: &&resources::gantry::PlanStep| step.kind == PlanStepKind::JoinWorker;
    let name = spec.steps.iter().find(joins).unwrap().machine.clone().unwrap();
    let mut plan = executing(spec, &[PlanStepKind::JoinWorker]);

    let mut new = member(&name, &wanted.pools[1]);
    new.gate = GateState::Pending;
    seen.members.push(new);
    seen.free.insert("md-0".to_owned(), free(0));
    let verdict = answer(&wanted, &seen);
    assert!(!needs_another(Some(&plan), &verdict, now()), "{verdict:#?}");
    assert!(dropped(&plan, &seen, &wanted, &verdict, now()).is_none());

    seen.members.last_mut().unwrap().gate = failed();
    let verdict = answer(&wanted, &seen);
    assert_eq!(said(&verdict), [format!("blocked {name}")]);
    let mut ended = Progress::of(&plan);
    ended.enter(PlanPhase::Failed, None, now());
    plan.status = Some(ended.status().clone());
    assert!(!needs_another(Some(&plan), &verdict, now()));

    seen.members.last_mut().unwrap().gate = GateState::Pending;
    let mut next = answer(&wanted, &seen).plan.unwrap();
    next.number += 1;
    assert_eq!(next.steps[0].kind, PlanStepKind::RunGates);
    assert_eq!(
        inherited_approval([&plan].into_iter(), &next).as_deref(),
        Some("alice")
    );
}

#[test]
fn pools_of_workers_follow_one_after_the_other() {
    let wanted = wanted(1, &[1, 1]);
    let mut seen = outdated(&wanted);
    only_workers(&mut seen);
    seen.gates = Gates::Named;
    let verdict = answer(&wanted, &seen);
    let plan = verdict.plan.unwrap();
    let graph = Graph::new(&plan).unwrap();
    let gates: Vec<_> = graph.of(PlanStepKind::RunGates).collect();
    let drains: Vec<_> = graph.of(PlanStepKind::Drain).collect();
    assert_eq!((gates.len(), drains.len()), (2, 2));
    assert!(graph.is_before(gates[0], drains[1]));
    seen.gates = Gates::None;
    let plan = answer(&wanted, &seen).plan.unwrap();
    let graph = Graph::new(&plan).unwrap();
    let drains: Vec<_> = graph.of(PlanStepKind::Drain).collect();
    assert!(!graph.is_before(drains[0], drains[1]));
}

/// A plan that a gate has stopped ends when that holds up nothing any more; one that something else has stopped does not.
#[test]
fn a_plan_that_a_gate_has_stopped_ends_with_its_reason() {
    let wanted = wanted(1, &[1]);
    let mut seen = outdated(&wanted);
    seen.gates = Gates::Named;
    let spec = answer(&wanted, &seen).plan.unwrap();
    seen = as_wanted(&wanted);
    let ended = |kind: PlanStepKind, seen: &Seen| {
        let mut plan = executing(spec.clone(), &[]);
        let mut progress = Progress::of(&plan);
        let step = spec.steps.iter().find(|step| step.kind == kind).unwrap();
        let mut record = progress.record(&step.id, now());
        record.state = StepState::Failed;
        progress.set(&step.id, &record, now());
        progress.settle(now());
        assert_eq!(progress.phase(), PlanPhase::Failed);
        plan.status = Some(progress.status().clone());
        dropped(&plan, seen, &wanted, &answer(&wanted, seen), now()).map(|ended| ended.phase())
    };
    assert_eq!(ended(PlanStepKind::RunGates, &seen), Some(PlanPhase::Superseded));
    assert_eq!(ended(PlanStepKind::Finish, &seen), None);
    seen.gates = Gates::Named;
    seen.members[0].gate = failed();
    assert_eq!(ended(PlanStepKind::RunGates, &seen), None);
}

#[test]
fn what_is_made_while_a_rollout_is_not_done_is_made_for_it() {
    let wanted = wanted(1, &[1]);
    let seen = outdated(&wanted);
    let spec = answer(&wanted, &seen).plan.unwrap();
    let desired = wanted.digest();
    let plan = |class, phase| {
        let spec = PlanSpec {
            class,
            ..spec.clone()
        };
        let mut plan = executing(spec, &[]);
        if let Some(status) = &mut plan.status {
            status.phase = phase;
        }
        plan
    };
    let repair = plan(PlanClass::Remediate, PlanPhase::Executing);
    let cases = [
        (PlanPhase::Executing, true),
        (PlanPhase::Failed, true),
        (PlanPhase::Superseded, true),
        (PlanPhase::Done, false),
    ];
    for (phase, is_it) in cases {
        let rollout = plan(PlanClass::Upgrade, phase);
        assert_eq!(
            is_rollout([&rollout, &repair].into_iter(), desired),
            is_it,
            "{phase:?}"
        );
        let other = crate::samples::wanted(1, &[2]).digest();
        assert!(!is_rollout([&rollout].into_iter(), other));
    }
    assert!(!is_rollout([&repair].into_iter(), desired));
}
