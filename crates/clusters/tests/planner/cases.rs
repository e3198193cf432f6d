//! Named cases: what went wrong once, here or in other projects.

use clusters::{ApiState, Block, EtcdMember, EtcdState, NodeState, Seen, Stage, Verdict};

use crate::samples::{ago, answer, as_wanted, free, voter, wanted};

/// Steps as `Kind machine`, machines that are made as `new-1`, `new-2`; then who is blocked.
pub(crate) fn said(verdict: &Verdict) -> Vec<String> {
    let mut new: Vec<&str> = Vec::new();
    let steps = verdict.plan.iter().flat_map(|plan| &plan.steps);
    let mut lines: Vec<String> = steps
        .map(|step| {
            let machine = step.machine.as_deref().unwrap_or_default();
            if !machine.starts_with("demo-") {
                return format!("{:?} {machine}", step.kind).trim_end().to_owned();
            }
            let at = new.iter().position(|known| *known == machine).unwrap_or_else(|| {
                new.push(machine);
                new.len() - 1
            });
            format!("{:?} new-{}", step.kind, at + 1)
        })
        .collect();
    lines.extend(
        verdict
            .blocked
            .iter()
            .map(|block| format!("blocked {}", block.subject)),
    );
    lines
}

/// One case: a change of a cluster that is as it is wanted, and what is said of it.
struct Case {
    name: &'static str,
    /// Members of the control plane and workers, as they are wanted.
    wanted: (usize, usize),
    /// As they are, before the change.
    there: (usize, usize),
    change: fn(&mut Seen),
    said: &'static [&'static str],
}

pub(crate) fn etcd(seen: &mut Seen) -> &mut Vec<EtcdMember> {
    match &mut seen.etcd {
        EtcdState::Members(members) => members,
        EtcdState::Unknown => panic!("no members"),
    }
}

pub(crate) fn failed_too_often(seen: &mut Seen, at: usize) {
    seen.members[at].failure = Some("the disk does not take the data".to_owned());
    seen.members[at].replacement = 2;
}

pub(crate) fn dies(seen: &mut Seen, at: usize) {
    seen.members[at].node = NodeState::Down { since: ago(10) };
    let name = Some(seen.members[at].name.clone());
    let voters = etcd(seen).iter_mut().filter(|voter| voter.machine == name);
    voters.for_each(|voter| voter.healthy = false);
}

pub(crate) fn silent(seen: &mut Seen) {
    seen.api = ApiState::Silent;
    seen.etcd = EtcdState::Unknown;
    seen.members
        .iter_mut()
        .for_each(|member| member.node = NodeState::Unknown);
}

const CASES: &[Case] = &[
    Case {
        name: "a machine that failed too often goes before one that works",
        wanted: (1, 2),
        there: (1, 3),
        change: |seen| failed_too_often(seen, 3),
        said: &["Drain md-0-2", "RemoveMachine md-0-2", "Finish"],
    },
    Case {
        name: "a dead machine goes before one that works, and is not replaced",
        wanted: (1, 2),
        there: (1, 3),
        change: |seen| dies(seen, 1),
        said: &["RemoveMachine md-0-0", "Finish"],
    },
    Case {
        name: "a member of the control plane whose label is lost still counts",
        wanted: (3, 0),
        there: (3, 0),
        change: |seen| seen.members[1].pool.clear(),
        said: &[],
    },
    Case {
        name: "a worker whose label is lost is left alone",
        wanted: (1, 1),
        there: (1, 2),
        change: |seen| seen.members[2].pool.clear(),
        said: &["blocked md-0-1"],
    },
    Case {
        name: "what is not installed stays too while the cluster does not answer",
        wanted: (1, 0),
        there: (1, 1),
        change: |seen| {
            silent(seen);
            seen.members[1].stage = Stage::Installing;
        },
        said: &["blocked md-0-0"],
    },
    Case {
        name: "nothing is made while the cluster does not answer",
        wanted: (3, 2),
        there: (1, 1),
        change: silent,
        said: &["blocked cp", "blocked md-0"],
    },
    Case {
        name: "a dead member goes before a healthy one that is unwanted",
        wanted: (3, 0),
        there: (3, 0),
        change: |seen| {
            seen.members[0].unwanted = true;
            dies(seen, 2);
        },
        said: &[
            "RemoveMember cp-2",
            "RemoveMachine cp-2",
            "Provision new-1",
            "JoinControlPlane new-1",
            "Finish",
        ],
    },
    Case {
        name: "a healthy member goes when its successor has joined",
        wanted: (3, 0),
        there: (3, 0),
        change: |seen| {
            seen.members[0].unwanted = true;
            seen.free.insert("cp".to_owned(), free(1));
        },
        said: &[
            "Provision new-1",
            "JoinControlPlane new-1",
            "RemoveMember cp-0",
            "Drain cp-0",
            "RemoveMachine cp-0",
            "Finish",
        ],
    },
    Case {
        name: "a healthy member stays while another one does not answer",
        wanted: (3, 0),
        there: (3, 0),
        change: |seen| {
            seen.members[0].unwanted = true;
            etcd(seen)[1].healthy = false;
        },
        said: &["blocked cp-0"],
    },
    Case {
        name: "the only member is installed anew on its host where there is no other one",
        wanted: (1, 0),
        there: (1, 0),
        change: |seen| {
            seen.members[0].unwanted = true;
            seen.free.insert("cp".to_owned(), free(0));
        },
        said: &[
            "Drain cp-0",
            "SaveEtcd cp-0",
            "RemoveMachine cp-0",
            "Provision new-1",
            "RestoreControlPlane new-1",
            "Finish",
        ],
    },
    Case {
        name: "a member that counts as dead stays while another one joins",
        wanted: (3, 0),
        there: (3, 0),
        change: |seen| {
            seen.members[0].node = NodeState::Down { since: ago(10) };
            seen.members[2].stage = Stage::Asks;
            seen.members[2].node = NodeState::Unknown;
            seen.members[2].joining = true;
        },
        said: &["JoinControlPlane cp-2", "Finish", "blocked cp-0"],
    },
    Case {
        name: "the place of a member that can't go is not free",
        wanted: (1, 0),
        there: (1, 0),
        change: |seen| {
            seen.members[0].unwanted = true;
            seen.free.clear();
            etcd(seen)[0].healthy = false;
        },
        said: &["blocked cp-0"],
    },
    Case {
        name: "each member that is to go and can't be judged is named",
        wanted: (1, 0),
        there: (3, 0),
        change: |seen| {
            seen.etcd = EtcdState::Unknown;
            seen.members[1].stage = Stage::Asks;
        },
        said: &["blocked cp-1", "blocked cp-2"],
    },
    Case {
        name: "two of five members die at once: one after the other goes, and no healthy one",
        wanted: (5, 0),
        there: (5, 0),
        change: |seen| {
            dies(seen, 1);
            dies(seen, 3);
        },
        said: &[
            "RemoveMember cp-1",
            "RemoveMachine cp-1",
            "Provision new-1",
            "JoinControlPlane new-1",
            "Finish",
        ],
    },
    Case {
        name: "two of three members die at once: nothing goes",
        wanted: (3, 0),
        there: (3, 0),
        change: |seen| {
            dies(seen, 1);
            dies(seen, 2);
            silent(seen);
        },
        said: &[],
    },
    Case {
        name: "a dead stray member is taken out before another one joins",
        wanted: (5, 0),
        there: (3, 0),
        change: |seen| {
            etcd(seen).push(EtcdMember {
                healthy: false,
                ..voter(30, None)
            })
        },
        said: &[
            "RemoveMember stray-30",
            "Provision new-1",
            "JoinControlPlane new-1",
            "Provision new-2",
            "JoinControlPlane new-2",
            "Finish",
        ],
    },
    Case {
        name: "a living stray member is left alone",
        wanted: (3, 0),
        there: (3, 0),
        change: |seen| etcd(seen).push(voter(30, None)),
        said: &["blocked stray-30"],
    },
    Case {
        name: "a dead stray member that holds the quorum up is named",
        wanted: (1, 0),
        there: (1, 0),
        change: |seen| {
            etcd(seen).push(EtcdMember {
                healthy: false,
                ..voter(30, None)
            })
        },
        said: &["blocked stray-30"],
    },
    Case {
        name: "a member whose etcd is dead is replaced though its node is Ready",
        wanted: (3, 0),
        there: (3, 0),
        change: |seen| {
            etcd(seen)[1].healthy = false;
            seen.members[1].etcd_down = Some(ago(10));
        },
        said: &[
            "RemoveMember cp-1",
            "Drain cp-1",
            "RemoveMachine cp-1",
            "Provision new-1",
            "JoinControlPlane new-1",
            "Finish",
        ],
    },
    Case {
        name: "a member that etcd does not know any more is replaced",
        wanted: (3, 0),
        there: (3, 0),
        change: |seen| {
            etcd(seen).remove(1);
            seen.members[1].etcd_down = Some(ago(10));
        },
        said: &[
            "Drain cp-1",
            "RemoveMachine cp-1",
            "Provision new-1",
            "JoinControlPlane new-1",
            "Finish",
        ],
    },
    Case {
        name: "a machine that its driver does not give back is named once, without another plan",
        wanted: (1, 1),
        there: (1, 2),
        change: |seen| {
            seen.members[2].stage = Stage::Leaving;
            seen.members[2].overdue = Some("its power does not go off".to_owned());
        },
        said: &["blocked md-0-1"],
    },
    Case {
        name: "a machine that joins etcd at this moment does not go",
        wanted: (3, 0),
        there: (3, 0),
        change: |seen| {
            etcd(seen).remove(2);
            seen.members[2].stage = Stage::Asks;
            seen.members[2].joining = true;
            seen.members[2].unwanted = true;
        },
        said: &["blocked cp-2"],
    },
    Case {
        name: "a machine whose join has failed goes",
        wanted: (3, 0),
        there: (3, 0),
        change: |seen| {
            etcd(seen).remove(2);
            seen.members[2].stage = Stage::Asks;
            seen.members[2].joining = true;
            seen.members[2].failure = Some("kubeadm join failed".to_owned());
        },
        said: &[
            "RemoveMachine cp-2",
            "Provision new-1",
            "JoinControlPlane new-1",
            "Finish",
        ],
    },
    Case {
        name: "a machine that is being given back leaves etcd at once",
        wanted: (3, 0),
        there: (3, 0),
        change: |seen| {
            seen.members[2].stage = Stage::Leaving;
            etcd(seen)[2].healthy = false;
        },
        said: &[
            "RemoveMachine cp-2",
            "RemoveMember cp-2",
            "Provision new-1",
            "JoinControlPlane new-1",
            "Finish",
        ],
    },
    Case {
        name: "a cluster answers of whose control plane nothing is known",
        wanted: (1, 0),
        there: (1, 0),
        change: |seen| {
            seen.members[0].stage = Stage::Asks;
            seen.founder = None;
        },
        said: &["blocked cp"],
    },
];

#[test]
fn of_clusters_that_exist() {
    for case in CASES {
        let (control_planes, workers) = case.wanted;
        let mut seen = as_wanted(&wanted(case.there.0, &[case.there.1]));
        (case.change)(&mut seen);
        let verdict = answer(&wanted(control_planes, &[workers]), &seen);
        assert_eq!(said(&verdict), case.said, "{}: {verdict:#?}", case.name);
    }
}

/// A node that becomes a machine takes the place of one that would be made.
#[test]
fn no_machine_is_made_for_a_node_that_is_adopted() {
    for (workers, made) in [(1, 0), (2, 0), (3, 1)] {
        let mut seen = as_wanted(&wanted(1, &[1]));
        seen.adopting.insert("md-0".to_owned(), 1);
        let verdict = answer(&wanted(1, &[workers]), &seen);
        let joins = said(&verdict);
        let joins = joins.iter().filter(|line| line.starts_with("JoinWorker"));
        assert_eq!((joins.count(), verdict.blocked.len()), (made, 0), "{verdict:#?}");
    }
}

#[test]
fn a_machine_that_was_adopted_goes_with_approval_unless_it_was_asked_for() {
    let reason = |change: fn(&mut Seen)| {
        let mut seen = as_wanted(&wanted(1, &[2]));
        seen.members[2].adopted = true;
        change(&mut seen);
        answer(&wanted(1, &[1]), &seen).plan.unwrap().requires_approval
    };
    let surplus = reason(|seen| seen.members[2].first_out = true);
    assert!(
        surplus.is_some_and(|why| why.starts_with("md-0-1 was adopted")),
        "scaled down"
    );
    assert_eq!(
        reason(|seen| seen.members[1].first_out = true),
        None,
        "another one goes"
    );
    assert_eq!(reason(|seen| seen.members[2].unwanted = true), None);
    let outdated = reason(|seen| {
        seen.members.remove(1);
        seen.members[1].revision = "adopted".to_owned();
        seen.free.insert("md-0".to_owned(), free(1));
    });
    assert!(outdated.is_some());
}

/// cluster-api#5957, #3770: objects restored from a backup lacked what the cluster had become since, and healthy workers
/// were deleted. Here a restored cluster that is larger than its documents, or smaller, waits for a person.
#[test]
fn older_records_take_nothing_away_and_make_nothing_by_themselves() {
    for (there, workers) in [(3, 1), (1, 3)] {
        let wanted = wanted(1, &[workers]);
        let mut seen = as_wanted(&crate::samples::wanted(1, &[there]));
        seen.unknown_plan = Some(9);
        let plan = answer(&wanted, &seen).plan.unwrap();
        assert!(plan.requires_approval.is_some(), "{plan:#?}");
        silent(&mut seen);
        seen.unknown_plan = None;
        assert_eq!(answer(&wanted, &seen).plan, None);
    }
}

#[test]
fn blocks_of_a_cluster_that_does_not_answer_say_why() {
    let mut seen = as_wanted(&wanted(1, &[1]));
    silent(&mut seen);
    let verdict = answer(&wanted(1, &[2]), &seen);
    let Block { subject, reason } = &verdict.blocked[0];
    assert_eq!(subject, "md-0");
    assert!(
        reason.starts_with("1 of 2 machines of md-0 are missing"),
        "{reason}"
    );
}
