//! Upgrades: machines of another revision, with and without free hosts, and what keeps them from being exchanged.

use std::collections::BTreeMap;

use clusters::{ApiState, EtcdState, NodeState, SavedData, Seen, Stage, Wanted};
use resources::gantry::PlanClass;

use crate::cases::{etcd, failed_too_often, said, silent};
use crate::samples::{ago, answer, as_wanted, free, member, wanted};

/// A cluster of the version before, as many machines as are wanted, and no free host.
pub(crate) fn outdated(wanted: &Wanted) -> Seen {
    let mut seen = as_wanted(wanted);
    for known in &mut seen.members {
        known.revision = "fedcba987654".to_owned();
        known.version = "v1.34.9".to_owned();
    }
    let pools = wanted.pools.iter();
    seen.free = pools.map(|pool| (pool.name.clone(), free(0))).collect();
    seen
}

struct Case {
    name: &'static str,
    wanted: (usize, usize),
    change: fn(&mut Wanted, &mut Seen),
    said: &'static [&'static str],
}

fn spare(seen: &mut Seen, pool: &str, count: usize) {
    seen.free.insert(pool.to_owned(), free(count));
}

/// The data of `cp-0` are about to be saved, or are: nobody answers.
pub(crate) fn saved(seen: &mut Seen, is_whole: bool, is_stopped: bool) {
    seen.api = ApiState::Silent;
    if !is_stopped {
        seen.etcd = EtcdState::Unknown;
    }
    for known in &mut seen.members {
        known.node = NodeState::Unknown;
    }
    seen.saved = Some(SavedData {
        machine: "cp-0".to_owned(),
        given_up: Default::default(),
        is_whole,
        is_stopped,
    });
}

pub(crate) fn only_workers(seen: &mut Seen) {
    for known in seen.members.iter_mut().filter(|known| known.pool == "cp") {
        known.revision = "0123456789ab".to_owned();
        known.version = crate::samples::VERSION.to_owned();
    }
}

const CASES: &[Case] = &[
    Case {
        name: "the only member stays while another machine is to go that may become a member of etcd",
        wanted: (1, 0),
        change: |wanted, seen| {
            let mut left = crate::samples::member("cp-9", &wanted.pools[0]);
            (left.stage, left.unwanted, left.joining) = (Stage::Asks, true, true);
            seen.members.push(left);
        },
        said: &["blocked cp-9", "blocked cp"],
    },
    Case {
        name: "a worker goes when another one has joined on the free host",
        wanted: (1, 2),
        change: |_, seen| {
            only_workers(seen);
            spare(seen, "md-0", 1);
        },
        said: &[
            "JoinWorker new-1",
            "Drain md-0-0",
            "RemoveMachine md-0-0",
            "JoinWorker new-2",
            "Drain md-0-1",
            "RemoveMachine md-0-1",
            "Finish",
        ],
    },
    Case {
        name: "without a free host one worker after the other goes first",
        wanted: (1, 2),
        change: |_, seen| only_workers(seen),
        said: &[
            "Drain md-0-0",
            "RemoveMachine md-0-0",
            "JoinWorker new-1",
            "Drain md-0-1",
            "RemoveMachine md-0-1",
            "JoinWorker new-2",
            "Finish",
        ],
    },
    Case {
        name: "no worker goes first where none may be missing",
        wanted: (1, 2),
        change: |wanted, seen| {
            only_workers(seen);
            wanted.pools[1].rollout.unavailable = Some(0);
        },
        said: &["blocked md-0"],
    },
    Case {
        name: "nothing goes while nobody says which hosts are free",
        wanted: (1, 1),
        change: |_, seen| {
            only_workers(seen);
            seen.free.clear();
        },
        said: &["blocked md-0"],
    },
    Case {
        name: "the only member of the control plane is installed anew without a free host, then the workers",
        wanted: (1, 1),
        change: |_, _| {},
        said: &[
            "UpdateClusterConfig",
            "Drain cp-0",
            "SaveEtcd cp-0",
            "RemoveMachine cp-0",
            "Provision new-1",
            "RestoreControlPlane new-1",
            "UpdateAddons",
            "Drain md-0-0",
            "RemoveMachine md-0-0",
            "JoinWorker new-2",
            "UpdateAddons",
            "Finish",
        ],
    },
    Case {
        name: "the only member is not stopped while nobody says which hosts are free",
        wanted: (1, 1),
        change: |_, seen| seen.free.clear(),
        said: &["blocked cp"],
    },
    Case {
        name: "the only member stays where none may be missing",
        wanted: (1, 0),
        change: |wanted, _| wanted.pools[0].rollout.unavailable = Some(0),
        said: &["blocked cp"],
    },
    Case {
        name: "the only member goes once its data are saved, whatever is wanted meanwhile",
        wanted: (1, 1),
        change: |_, seen| saved(seen, true, true),
        said: &[
            "RemoveMachine cp-0",
            "Provision new-1",
            "RestoreControlPlane new-1",
            "Finish",
        ],
    },
    Case {
        name: "the only member stays while its etcd does not say that it is stopped",
        wanted: (1, 1),
        change: |_, seen| saved(seen, true, false),
        said: &["blocked cp-0"],
    },
    Case {
        name: "a person lets it go",
        wanted: (1, 1),
        change: |_, seen| {
            saved(seen, true, false);
            seen.members[0].retry = true;
        },
        said: &[
            "RemoveMachine cp-0",
            "Provision new-1",
            "RestoreControlPlane new-1",
            "Finish",
        ],
    },
    Case {
        name: "the only member whose data are about to be saved",
        wanted: (1, 1),
        change: |_, seen| saved(seen, false, true),
        said: &[
            "SaveEtcd cp-0",
            "RemoveMachine cp-0",
            "Provision new-1",
            "RestoreControlPlane new-1",
            "Finish",
        ],
    },
    Case {
        name: "what is being given back while the data are saved is not waited for",
        wanted: (1, 1),
        change: |wanted, seen| {
            saved(seen, false, true);
            let mut gone = member("cp-9", &wanted.pools[0]);
            gone.stage = Stage::Leaving;
            seen.members.push(gone);
        },
        said: &[
            "SaveEtcd cp-0",
            "RemoveMachine cp-0",
            "Provision new-1",
            "RestoreControlPlane new-1",
            "Finish",
        ],
    },
    Case {
        name: "the next member starts with the saved data",
        wanted: (1, 1),
        change: |wanted, seen| {
            saved(seen, true, false);
            seen.members[0].stage = Stage::Leaving;
            let mut next = member("cp-9", &wanted.pools[0]);
            (next.stage, next.node) = (Stage::Asks, NodeState::Unknown);
            seen.members.push(next);
        },
        said: &["RemoveMachine cp-0", "RestoreControlPlane cp-9", "Finish"],
    },
    Case {
        name: "the next member has failed",
        wanted: (1, 1),
        change: |_, seen| {
            saved(seen, true, false);
            seen.members[0].name = "cp-9".to_owned();
            seen.members[0].stage = Stage::Asks;
            seen.members[0].failure = Some("etcdutl: the snapshot is damaged".to_owned());
        },
        said: &[
            "RemoveMachine cp-9",
            "Provision new-1",
            "RestoreControlPlane new-1",
            "Finish",
        ],
    },
    Case {
        name: "the only member goes when another one votes",
        wanted: (1, 0),
        change: |_, seen| spare(seen, "cp", 1),
        said: &[
            "UpdateClusterConfig",
            "Provision new-1",
            "JoinControlPlane new-1",
            "RemoveMember cp-0",
            "Drain cp-0",
            "RemoveMachine cp-0",
            "UpdateAddons",
            "Finish",
        ],
    },
    Case {
        name: "no member goes while one of etcd does not answer",
        wanted: (3, 0),
        change: |_, seen| etcd(seen)[1].healthy = false,
        said: &["blocked cp"],
    },
    Case {
        name: "nothing goes while the node of another machine is not Ready",
        wanted: (1, 2),
        change: |_, seen| {
            only_workers(seen);
            spare(seen, "md-0", 1);
            seen.members[1].node = NodeState::Down { since: ago(1) };
        },
        said: &["blocked md-0"],
    },
    Case {
        name: "nothing goes behind a successor that has failed",
        wanted: (1, 2),
        change: |wanted, seen| {
            only_workers(seen);
            spare(seen, "md-0", 1);
            let mut new = member("md-0-9", &wanted.pools[1]);
            new.stage = Stage::Installing;
            seen.members.push(new);
            failed_too_often(seen, 3);
        },
        said: &["blocked md-0-9", "blocked md-0"],
    },
    Case {
        name: "a successor that has failed goes at once when something else is wanted",
        wanted: (1, 2),
        change: |wanted, seen| {
            only_workers(seen);
            let mut new = member("md-0-9", &wanted.pools[1]);
            new.stage = Stage::Installing;
            new.revision = "aaaaaaaaaaaa".to_owned();
            seen.members.push(new);
            failed_too_often(seen, 3);
        },
        said: &["RemoveMachine md-0-9", "Finish"],
    },
    Case {
        name: "nothing goes while the API is silent",
        wanted: (1, 1),
        change: |_, seen| silent(seen),
        said: &["blocked cp"],
    },
    Case {
        name: "an upgrade that was begun goes on with the member that it has made",
        wanted: (1, 0),
        change: |wanted, seen| {
            let mut new = member("cp-9", &wanted.pools[0]);
            new.stage = Stage::Installing;
            seen.members.push(new);
            seen.joins_with = Some(wanted.pools[0].revision.clone());
        },
        said: &["Provision cp-9", "JoinControlPlane cp-9", "Finish"],
    },
    Case {
        name: "the add-ons follow when the machines have been exchanged",
        wanted: (1, 1),
        change: |wanted, seen| {
            *seen = as_wanted(wanted);
            seen.addons_behind = true;
        },
        said: &["UpdateAddons", "Finish"],
    },
];

#[test]
fn cases() {
    let failed: BTreeMap<&str, _> = CASES
        .iter()
        .filter_map(|case| {
            let (members, workers) = case.wanted;
            let mut wanted = wanted(
                members,
                if workers == 0 {
                    &[]
                } else {
                    std::slice::from_ref(&case.wanted.1)
                },
            );
            let mut seen = outdated(&wanted);
            (case.change)(&mut wanted, &mut seen);
            let said = said(&answer(&wanted, &seen));
            (said != case.said).then_some((case.name, said))
        })
        .collect();
    assert!(failed.is_empty(), "{failed:#?}");
}

/// Something that is broken is repaired without the approval that the upgrade waits for.
#[test]
fn a_repair_does_not_wait_for_an_upgrade() {
    let wanted = wanted(3, &[2]);
    let mut seen = outdated(&wanted);
    spare(&mut seen, "cp", 1);
    assert_eq!(answer(&wanted, &seen).plan.unwrap().class, PlanClass::Upgrade);
    crate::cases::dies(&mut seen, 0);
    let plan = answer(&wanted, &seen).plan.unwrap();
    assert_eq!(plan.class, PlanClass::Remediate);
    assert!(
        plan.steps
            .iter()
            .all(|step| step.machine.as_deref() != Some("cp-1"))
    );
}

/// A worker of the new version would be newer than the API servers.
#[test]
fn a_missing_worker_comes_with_the_upgrade_of_the_control_plane() {
    let wanted = wanted(1, &[2]);
    let mut seen = outdated(&wanted);
    spare(&mut seen, "cp", 1);
    spare(&mut seen, "md-0", 2);
    seen.members.pop();
    let verdict = answer(&wanted, &seen);
    let plan = verdict.plan.as_ref().unwrap();
    assert_eq!(plan.class, PlanClass::Upgrade);
    assert!(
        verdict
            .blocked
            .iter()
            .any(|block| block.reason.contains("cp-0 has v1.34.9")),
        "{verdict:#?}"
    );
    let said = said(&verdict);
    let at = |what: &str| said.iter().position(|line| line == what);
    assert!(
        at("RemoveMachine cp-0").unwrap()
            < said
                .iter()
                .position(|line| line.starts_with("JoinWorker"))
                .unwrap()
    );
}
