//! A rollout that is paused: nothing that works is exchanged, what has begun goes to its end, and everything else goes on.

use std::collections::BTreeMap;

use clusters::{Progress, Seen, Stage, Wanted, dropped, inherited_approval, needs_another};
use resources::gantry::{Plan, PlanClass, PlanPhase, PlanSpec};

use crate::cases::{dies, said};
use crate::samples::{answer, free, member, now, wanted};
use crate::upgrades::{only_workers, outdated, saved};

struct Case {
    name: &'static str,
    /// Members of the control plane and workers, as they are.
    there: (usize, usize),
    change: fn(&mut Wanted, &mut Seen),
    said: &'static [&'static str],
    /// How far it is; nothing where there is nothing to exchange.
    at: Option<&'static str>,
}

/// A worker of the wanted revision beside those that are there.
fn successor(wanted: &Wanted, seen: &mut Seen, stage: Stage) {
    let mut new = member("md-0-9", &wanted.pools[1]);
    new.stage = stage;
    seen.members.push(new);
}

const CASES: &[Case] = &[
    Case {
        name: "nothing begins",
        there: (3, 2),
        change: |_, seen| {
            for pool in ["cp", "md-0"] {
                seen.free.insert(pool.to_owned(), free(2));
            }
        },
        said: &[],
        at: Some("0 of 5"),
    },
    Case {
        name: "the add-ons stay",
        there: (1, 0),
        change: |wanted, seen| {
            *seen = crate::samples::as_wanted(wanted);
            seen.addons_behind = true;
        },
        said: &[],
        at: Some("1 of 1"),
    },
    Case {
        name: "a successor that is made joins, and nothing goes for it",
        there: (1, 2),
        change: |wanted, seen| {
            only_workers(seen);
            successor(wanted, seen, Stage::Installing);
        },
        said: &["JoinWorker md-0-9", "Finish"],
        at: Some("1 of 3"),
    },
    Case {
        name: "nothing goes for a successor that has joined",
        there: (1, 2),
        change: |wanted, seen| {
            only_workers(seen);
            successor(wanted, seen, Stage::Joined);
        },
        said: &[],
        at: Some("2 of 4"),
    },
    Case {
        name: "a member of the control plane that has joined for it is kept beside the others",
        there: (3, 0),
        change: |wanted, seen| {
            seen.members.push(member("cp-9", &wanted.pools[0]));
            crate::cases::etcd(seen).push(crate::samples::voter(9, Some("cp-9")));
            seen.joins_with = Some(wanted.pools[0].revision.clone());
        },
        said: &[],
        at: Some("1 of 4"),
    },
    Case {
        name: "a removal that has begun goes on, and another one comes in its place",
        there: (1, 2),
        change: |_, seen| {
            only_workers(seen);
            seen.members[1].unwanted = true;
        },
        said: &[
            "Drain md-0-0",
            "RemoveMachine md-0-0",
            "JoinWorker new-1",
            "Finish",
        ],
        at: Some("1 of 3"),
    },
    Case {
        name: "a dead machine is replaced",
        there: (1, 2),
        change: |_, seen| {
            only_workers(seen);
            dies(seen, 1);
        },
        said: &["RemoveMachine md-0-0", "JoinWorker new-1", "Finish"],
        at: Some("1 of 3"),
    },
    Case {
        name: "workers are added",
        there: (1, 2),
        change: |wanted, seen| {
            only_workers(seen);
            wanted.pools[1].count = 3;
        },
        said: &["JoinWorker new-1", "Finish"],
        at: Some("1 of 3"),
    },
    Case {
        name: "workers are removed",
        there: (1, 3),
        change: |wanted, seen| {
            only_workers(seen);
            wanted.pools[1].count = 1;
        },
        said: &[
            "Drain md-0-2",
            "RemoveMachine md-0-2",
            "Drain md-0-1",
            "RemoveMachine md-0-1",
            "Finish",
        ],
        at: Some("1 of 4"),
    },
    Case {
        name: "workers are removed, but for the one whose successor has come",
        there: (1, 3),
        change: |wanted, seen| {
            only_workers(seen);
            successor(wanted, seen, Stage::Joined);
            wanted.pools[1].count = 2;
        },
        said: &["Drain md-0-2", "RemoveMachine md-0-2", "Finish"],
        at: Some("2 of 5"),
    },
    Case {
        name: "workers wait for a control plane that is paused between two versions",
        there: (1, 1),
        change: |_, seen| {
            dies(seen, 1);
        },
        said: &["RemoveMachine md-0-0", "Finish", "blocked md-0"],
        at: Some("0 of 2"),
    },
    Case {
        name: "the only member goes once its data are saved",
        there: (1, 1),
        change: |_, seen| saved(seen, true, true),
        said: &[
            "RemoveMachine cp-0",
            "Provision new-1",
            "RestoreControlPlane new-1",
            "Finish",
        ],
        at: None,
    },
];

fn paused(wanted: &mut Wanted) {
    wanted.paused = Some("the rollout is paused by alice".to_owned());
}

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
            paused(&mut wanted);
            let verdict = answer(&wanted, &seen);
            let said = said(&verdict);
            let at = case.at.map(|at| {
                format!(
                    "the rollout is paused by alice at {at} machines; to go on: gantry upgrade resume demo"
                )
            });
            (said != case.said || verdict.paused != at).then_some((case.name, (said, verdict.paused)))
        })
        .collect();
    assert!(failed.is_empty(), "{failed:#?}");
}

#[test]
fn who_waits_for_a_paused_rollout_is_told_what_to_do() {
    let mut wanted = wanted(1, &[1]);
    let mut seen = outdated(&wanted);
    dies(&mut seen, 1);
    paused(&mut wanted);
    let reason = &answer(&wanted, &seen).blocked[0].reason;
    assert!(
        reason.contains("paused by alice; to go on: gantry upgrade resume demo"),
        "{reason}"
    );
}

/// A plan of which this is known.
fn plan(spec: PlanSpec, by: &str) -> Plan {
    let mut plan = Plan::new(&format!("demo-plan-{}", spec.number), spec);
    let mut progress = Progress::of(&plan);
    progress.approve(by.to_owned(), now());
    plan.status = Some(progress.status().clone());
    plan
}

#[test]
fn a_plan_ends_when_it_is_paused_and_goes_on_with_its_approval() {
    let mut wanted = wanted(1, &[2]);
    let mut seen = outdated(&wanted);
    only_workers(&mut seen);
    seen.free.insert("md-0".to_owned(), free(1));
    let mut first = plan(answer(&wanted, &seen).plan.unwrap(), "alice");
    assert_eq!(first.spec.class, PlanClass::Upgrade);
    let resumed = wanted.clone();
    paused(&mut wanted);
    assert_eq!(wanted.digest(), resumed.digest());
    let verdict = answer(&wanted, &seen);
    let ended = dropped(&first, &seen, &wanted, &verdict, now()).unwrap();
    assert_eq!(ended.phase(), PlanPhase::Superseded);
    first.status = Some(ended.status().clone());
    assert!(!needs_another(Some(&first), &verdict, now()));

    let mut spec = answer(&resumed, &seen).plan.unwrap();
    spec.number += 1;
    assert_eq!(
        inherited_approval([&first].into_iter(), &spec).as_deref(),
        Some("alice")
    );

    // While the data of an only member are on their way it goes on.
    saved(&mut seen, true, true);
    let verdict = answer(&wanted, &seen);
    first.status = plan(first.spec.clone(), "alice").status;
    assert!(dropped(&first, &seen, &wanted, &verdict, now()).is_none());
}
