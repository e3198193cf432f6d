//! Plans: golden steps, and which plan counts.

use clusters::{Desired, create, delete, next_plan, scale};
use resources::Digest;
use resources::gantry::{Plan, PlanClass, PlanPhase, PlanSpec, PlanStatus, ReleaseSpec};

use crate::fixture;

fn desired(workers: i32) -> Desired {
    let mut bundle = fixture::bundle();
    bundle.cluster.spec.worker_node_group_configurations[0].count = Some(workers);
    Desired::new(
        &bundle,
        &ReleaseSpec {
            patch_version: "v1.35.4".to_owned(),
            ..ReleaseSpec::default()
        },
    )
}

fn shown(plan: &PlanSpec) -> String {
    plan.steps
        .iter()
        .map(|step| {
            format!(
                "{} ({:?}, {} min): {}\n",
                step.id, step.kind, step.deadline_minutes, step.text
            )
        })
        .collect()
}

fn stored(number: u32, spec: PlanSpec, phase: PlanPhase) -> Plan {
    let mut plan = Plan::new(&format!("demo-plan-{number}"), spec);
    plan.status = Some(PlanStatus {
        phase,
        ..PlanStatus::default()
    });
    plan
}

fn names(list: &[&str]) -> Vec<String> {
    list.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn creation() {
    insta::assert_snapshot!(shown(&create(&desired(2))));
}

#[test]
fn deletion_takes_workers_first() {
    let plan = delete(
        "demo",
        Digest::new([0; 32]),
        &names(&["demo-md-0-0", "demo-md-0-1"]),
        &names(&["demo-cp-0"]),
    );
    insta::assert_snapshot!(shown(&plan));
}

#[test]
fn scaling_joins_and_removes() {
    let two = names(&["demo-cp-0", "demo-md-0-0", "demo-md-0-1"]);
    assert_eq!(scale(&desired(2), &two), None);
    let more = scale(&desired(3), &two).unwrap();
    assert_eq!(
        more.steps.iter().map(|step| step.id.as_str()).collect::<Vec<_>>(),
        ["install-cni", "join-worker-demo-md-0-2", "finish"]
    );
    let less = scale(&desired(0), &two).unwrap();
    let ids: Vec<&str> = less.steps.iter().map(|step| step.id.as_str()).collect();
    assert_eq!(
        ids,
        [
            "install-cni",
            "remove-demo-md-0-1",
            "remove-demo-md-0-0",
            "finish"
        ]
    );
}

#[test]
fn the_plan_that_counts() {
    let two = names(&["demo-cp-0", "demo-md-0-0", "demo-md-0-1"]);
    let wanted = desired(2);
    let first = next_plan(&wanted, &[], &[], false).unwrap();
    assert_eq!((first.0, first.1.class), (1, PlanClass::Create));
    let busy = [stored(1, create(&wanted), PlanPhase::Executing)];
    assert_eq!(
        next_plan(&wanted, &busy, &[], false),
        None,
        "a plan under way is carried on"
    );
    let failed = [stored(1, create(&wanted), PlanPhase::Failed)];
    assert_eq!(
        next_plan(&wanted, &failed, &two, false),
        None,
        "a failed plan is not repeated by itself"
    );
    let done = [stored(1, create(&wanted), PlanPhase::Done)];
    assert_eq!(next_plan(&wanted, &done, &two, true), None);
    let changed = next_plan(&desired(3), &busy, &two, false).unwrap();
    assert_eq!(
        (changed.0, changed.1.class),
        (2, PlanClass::Create),
        "the cluster is not there yet"
    );
    let more = next_plan(&desired(3), &done, &two, true).unwrap();
    assert_eq!((more.0, more.1.class), (2, PlanClass::Scale));
    let many = [
        stored(9, create(&wanted), PlanPhase::Superseded),
        stored(10, create(&desired(3)), PlanPhase::Executing),
    ];
    assert_eq!(
        next_plan(&desired(3), &many, &two, false),
        None,
        "10 counts, not 9"
    );
}

#[test]
fn a_lost_machine_is_planned_for_again() {
    let wanted = desired(2);
    let done = [stored(1, create(&wanted), PlanPhase::Done)];
    let (_, plan) = next_plan(&wanted, &done, &names(&["demo-cp-0", "demo-md-0-0"]), true).unwrap();
    assert_eq!(plan.steps[1].id, "join-worker-demo-md-0-1");
}

#[test]
fn without_workers_the_control_plane_has_no_taint() {
    let control = &desired(1).machines[0];
    assert_eq!(
        (control.name.as_str(), control.taints.as_ref()),
        ("demo-cp-0", None)
    );
    assert_eq!(desired(0).machines[0].taints.as_deref(), Some(&[][..]));
    assert_ne!(desired(1).digest(), desired(2).digest());
}
