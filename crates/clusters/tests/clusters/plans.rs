//! Plans: golden steps, and which plan counts.

use clusters::{Desired, Founding, Members, create, delete, next_plan, scale};
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

/// Machines that exist and have joined.
fn members(list: &[&str]) -> Members {
    Members {
        existing: names(list),
        joined: names(list),
    }
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
    let two = members(&["demo-cp-0", "demo-md-0-0", "demo-md-0-1"]);
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
    let two = members(&["demo-cp-0", "demo-md-0-0", "demo-md-0-1"]);
    let wanted = desired(2);
    let first = next_plan(&wanted, &[], &Members::default(), Founding::NotYet).unwrap();
    assert_eq!((first.0, first.1.class), (1, PlanClass::Create));
    let busy = [stored(1, create(&wanted), PlanPhase::Executing)];
    assert_eq!(
        next_plan(&wanted, &busy, &Members::default(), Founding::NotYet),
        None,
        "a plan under way is carried on"
    );
    let failed = [stored(1, create(&wanted), PlanPhase::Failed)];
    assert_eq!(
        next_plan(&wanted, &failed, &two, Founding::UnderWay),
        None,
        "a failed plan is not repeated by itself"
    );
    let done = [stored(1, create(&wanted), PlanPhase::Done)];
    assert_eq!(next_plan(&wanted, &done, &two, Founding::Done), None);
    let changed = next_plan(&desired(3), &busy, &two, Founding::UnderWay).unwrap();
    assert_eq!(
        (changed.0, changed.1.class),
        (2, PlanClass::Create),
        "the cluster is not there yet"
    );
    let more = next_plan(&desired(3), &done, &two, Founding::Done).unwrap();
    assert_eq!((more.0, more.1.class), (2, PlanClass::Scale));
    let given_up = [
        stored(1, create(&wanted), PlanPhase::Done),
        stored(2, more.1.clone(), PlanPhase::Failed),
    ];
    let settled = next_plan(&wanted, &given_up, &two, Founding::Done).unwrap();
    assert_eq!(
        (settled.0, ids(&settled.1)),
        (3, vec!["install-cni", "finish"]),
        "a plan that led elsewhere does not stay the one that counts"
    );
    let many = [
        stored(9, create(&wanted), PlanPhase::Superseded),
        stored(10, create(&desired(3)), PlanPhase::Executing),
    ];
    assert_eq!(
        next_plan(&desired(3), &many, &two, Founding::UnderWay),
        None,
        "10 counts, not 9"
    );
}

#[test]
fn a_lost_machine_is_planned_for_again() {
    let wanted = desired(2);
    let done = [stored(1, create(&wanted), PlanPhase::Done)];
    let left = members(&["demo-cp-0", "demo-md-0-0"]);
    let (_, plan) = next_plan(&wanted, &done, &left, Founding::Done).unwrap();
    assert_eq!(plan.steps[1].id, "join-worker-demo-md-0-1");
}

#[test]
fn a_machine_that_an_earlier_plan_left_is_joined_by_the_next_one() {
    let wanted = desired(2);
    let done = [stored(1, create(&wanted), PlanPhase::Superseded)];
    let left = Members {
        existing: names(&["demo-cp-0", "demo-md-0-0", "demo-md-0-1"]),
        joined: names(&["demo-cp-0", "demo-md-0-1"]),
    };
    let (_, plan) = next_plan(&wanted, &done, &left, Founding::Done).unwrap();
    assert_eq!(ids(&plan), ["install-cni", "join-worker-demo-md-0-0", "finish"]);
}

fn ids(plan: &PlanSpec) -> Vec<&str> {
    plan.steps.iter().map(|step| step.id.as_str()).collect()
}

#[test]
fn a_lower_control_plane_count_removes_no_member() {
    let three = members(&["demo-cp-0", "demo-cp-1", "demo-cp-2", "demo-md-0-0"]);
    assert_eq!(scale(&desired(1), &three), None);
    // A worker group may have a name that begins like it.
    let other = members(&["demo-cp-0", "demo-cp-x-0", "demo-md-0-0"]);
    let plan = scale(&desired(1), &other).unwrap();
    assert_eq!(ids(&plan), ["install-cni", "remove-demo-cp-x-0", "finish"]);
}

#[test]
fn a_cluster_whose_plans_are_lost_is_not_started_a_second_time() {
    let mut bundle = fixture::bundle();
    bundle.cluster.spec.control_plane_configuration.count = 3;
    let wanted = Desired::new(&bundle, &ReleaseSpec::default());
    let left = members(&["demo-cp-1", "demo-cp-2", "demo-md-0-0"]);
    let (number, plan) = next_plan(&wanted, &[], &left, Founding::Done).unwrap();
    assert_eq!((number, plan.class), (1, PlanClass::Scale));
    assert_eq!(
        ids(&plan),
        ["install-cni", "join-control-plane-demo-cp-0", "finish"]
    );
    let all = members(&["demo-cp-0", "demo-cp-1", "demo-cp-2", "demo-md-0-0"]);
    let (_, plan) = next_plan(&wanted, &[], &all, Founding::Done).unwrap();
    assert_eq!(ids(&plan), ["install-cni", "finish"]);
    // Its first member is still being started: that goes on.
    let (_, plan) = next_plan(&wanted, &[], &all, Founding::UnderWay).unwrap();
    assert_eq!(plan.class, PlanClass::Create);
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
