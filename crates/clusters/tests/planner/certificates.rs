//! Certificates of a control plane: when they are renewed, and what goes before that.

use std::sync::atomic::{AtomicUsize, Ordering};

use clusters::{ApiState, CertificateState, EtcdState, MemberCertificates, NodeState, Seen, Stage, Verdict};
use jiff::SignedDuration;
use node_config::AddressHolder;
use resources::gantry::{MachineRole, PlanClass, PlanStepKind};

use crate::cases::{dies, etcd, said};
use crate::graph::Graph;
use crate::samples::{ago, answer, as_wanted, free, member, now, wanted};
use crate::tape::{Tape, for_tapes};
use crate::upgrades::outdated;

fn days(days: i64) -> SignedDuration {
    SignedDuration::from_hours(24 * days)
}

/// Certificates that were made so many days before their end, and end in so many days.
const fn certificates(life: i64, left: i64) -> (i64, i64) {
    (life, left)
}

/// Gives each member of the control plane certificates.
fn with_certificates(seen: &mut Seen, (life, left): (i64, i64)) {
    let members = seen.members.iter();
    let members =
        members.filter(|member| member.role == MachineRole::ControlPlane && member.stage == Stage::Joined);
    let ends = now() + days(left);
    let known = MemberCertificates {
        issued: ends - days(life),
        ends: Some(ends),
    };
    seen.certificates = CertificateState {
        members: members.map(|member| (member.name.clone(), known)).collect(),
        ..CertificateState::default()
    };
}

struct Case {
    name: &'static str,
    members: usize,
    certificates: (i64, i64),
    change: fn(&mut Seen),
    said: &'static [&'static str],
}

const ALL: &[&str] = &[
    "RenewCertificates cp-0",
    "RenewCertificates cp-1",
    "RenewCertificates cp-2",
];
const ENDS_SOON: (i64, i64) = certificates(365, 10);
const DUE: (i64, i64) = certificates(365, 89);
const GOOD: (i64, i64) = certificates(365, 200);

const CASES: &[Case] = &[
    Case {
        name: "those that count for long are left alone",
        members: 3,
        certificates: certificates(365, 100),
        change: |_| {},
        said: &[],
    },
    Case {
        name: "all members are renewed in one plan",
        members: 3,
        certificates: DUE,
        change: |_| {},
        said: ALL,
    },
    Case {
        name: "one whose turn comes within a week goes along",
        members: 3,
        certificates: certificates(365, 95),
        change: |seen| ends(seen, "cp-1", 89),
        said: ALL,
    },
    Case {
        name: "one alone",
        members: 3,
        certificates: GOOD,
        change: |seen| ends(seen, "cp-1", 80),
        said: &["RenewCertificates cp-1"],
    },
    Case {
        name: "certificates of a month are renewed in its last third",
        members: 1,
        certificates: certificates(30, 11),
        change: |_| {},
        said: &[],
    },
    Case {
        name: "certificates of a month in its last third",
        members: 1,
        certificates: certificates(30, 9),
        change: |_| {},
        said: &["RenewCertificates cp-0"],
    },
    Case {
        name: "those that have ended",
        members: 1,
        certificates: certificates(365, -1),
        change: |_| {},
        said: &["RenewCertificates cp-0"],
    },
    Case {
        name: "a person asks for new ones",
        members: 3,
        certificates: GOOD,
        change: |seen| seen.certificates.requested_at = Some(now()),
        said: ALL,
    },
    Case {
        name: "what a person asked for is done of one member",
        members: 3,
        certificates: GOOD,
        change: |seen| {
            seen.certificates.requested_at = Some(ago(10));
            known(seen, "cp-1").issued = ago(5);
        },
        said: &["RenewCertificates cp-0", "RenewCertificates cp-2"],
    },
    Case {
        name: "of those that nobody has seen nothing is known",
        members: 1,
        certificates: DUE,
        change: |seen| known(seen, "cp-0").ends = None,
        said: &[],
    },
    Case {
        name: "a dead member is replaced first",
        members: 3,
        certificates: DUE,
        change: |seen| dies(seen, 1),
        said: &[
            "RemoveMember cp-1",
            "RemoveMachine cp-1",
            "Provision new-1",
            "JoinControlPlane new-1",
            "Finish",
        ],
    },
    Case {
        name: "a dead worker waits for certificates that end soon",
        members: 3,
        certificates: ENDS_SOON,
        change: |seen| dies(seen, 3),
        said: ALL,
    },
    Case {
        name: "an upgrade that nobody has approved waits for certificates that end soon",
        members: 3,
        certificates: ENDS_SOON,
        change: |seen| {
            seen.members
                .iter_mut()
                .for_each(|known| known.revision = "fedcba987654".to_owned())
        },
        said: &[
            "RenewCertificates cp-0",
            "RenewCertificates cp-1",
            "RenewCertificates cp-2",
            "blocked cp",
            "blocked md-0",
        ],
    },
    Case {
        name: "without another healthy member none is restarted",
        members: 3,
        certificates: ENDS_SOON,
        change: |seen| etcd(seen)[2].healthy = false,
        said: &["blocked cp-0"],
    },
    Case {
        name: "five members bear a dead one",
        members: 5,
        certificates: ENDS_SOON,
        change: |seen| {
            etcd(seen)[4].healthy = false;
            seen.certificates.members.retain(|name, _| name == "cp-0");
        },
        said: &["RenewCertificates cp-0"],
    },
    Case {
        name: "a member whose node is not Ready can't run the Pod",
        members: 1,
        certificates: ENDS_SOON,
        change: |seen| seen.members[0].node = NodeState::Down { since: ago(1) },
        said: &["blocked cp-0"],
    },
    Case {
        name: "while a member joins none is restarted",
        members: 3,
        certificates: ENDS_SOON,
        change: |seen| {
            seen.members[2].stage = Stage::Asks;
            seen.members[2].joining = true;
            etcd(seen).remove(2);
            seen.certificates.members.remove("cp-2");
        },
        said: &["JoinControlPlane cp-2", "Finish", "blocked cp-0"],
    },
    Case {
        name: "silence hides whether somebody else is there",
        members: 1,
        certificates: ENDS_SOON,
        change: |seen| {
            seen.api = ApiState::Silent;
            seen.etcd = EtcdState::Unknown;
        },
        said: &["blocked cp-0"],
    },
    Case {
        name: "a renewal that has begun goes on in the silence that it makes",
        members: 1,
        certificates: GOOD,
        change: |seen| {
            seen.api = ApiState::Silent;
            seen.etcd = EtcdState::Unknown;
            seen.certificates.under_way = Some("cp-0".to_owned());
        },
        said: &["RenewCertificates cp-0"],
    },
    Case {
        name: "the one that has begun is the first",
        members: 3,
        certificates: DUE,
        change: |seen| {
            etcd(seen)[1].healthy = false;
            seen.certificates.under_way = Some("cp-1".to_owned());
        },
        said: &[
            "RenewCertificates cp-1",
            "RenewCertificates cp-0",
            "RenewCertificates cp-2",
        ],
    },
    Case {
        name: "after a failure others have their turn",
        members: 3,
        certificates: DUE,
        change: |seen| seen.certificates.again_at = Some(now() + days(1)),
        said: &[],
    },
    Case {
        name: "a failure is stated when certificates end soon",
        members: 3,
        certificates: ENDS_SOON,
        change: |seen| seen.certificates.again_at = Some(now() + days(1)),
        said: &["blocked cp-0"],
    },
    Case {
        name: "after the pause it is tried again",
        members: 1,
        certificates: DUE,
        change: |seen| seen.certificates.again_at = Some(now()),
        said: &["RenewCertificates cp-0"],
    },
];

fn known<'a>(seen: &'a mut Seen, machine: &str) -> &'a mut MemberCertificates {
    seen.certificates.members.get_mut(machine).unwrap()
}

fn ends(seen: &mut Seen, machine: &str, left: i64) {
    known(seen, machine).ends = Some(now() + days(left));
}

#[test]
fn named_cases() {
    for case in CASES {
        let wanted = wanted(case.members, &[1]);
        let mut seen = as_wanted(&wanted);
        with_certificates(&mut seen, case.certificates);
        (case.change)(&mut seen);
        let verdict = answer(&wanted, &seen);
        assert_eq!(said(&verdict), case.said, "{}: {verdict:#?}", case.name);
        if let Some(again) = seen.certificates.again_at.filter(|again| *again > now()) {
            assert_eq!(verdict.look_again, Some(again), "{}", case.name);
        }
    }
}

#[test]
fn a_plan_of_renewals_approves_itself_and_states_its_gap() {
    for (members, gap) in [(1, 360), (3, 60), (5, 60)] {
        let wanted = wanted(members, &[1]);
        let mut seen = as_wanted(&wanted);
        with_certificates(&mut seen, DUE);
        let plan = answer(&wanted, &seen).plan.unwrap();
        assert_eq!(plan.class, PlanClass::Maintain);
        assert_eq!(
            (plan.requires_approval, plan.api_gap_seconds),
            (None, Some(gap)),
            "{members}"
        );
        assert!(clusters::Options::default().self_approved.contains(&plan.class));
    }
}

/// kube-vip is restarted too, and when a load balancer of the user's goes elsewhere, only its user knows.
#[test]
fn the_gap_of_a_plan_is_that_of_what_holds_the_address() {
    let kube_vip = AddressHolder::KubeVip {
        image: "ghcr.io/kube-vip/kube-vip:v1.2.0".to_owned(),
    };
    for (holder, gaps) in [
        (kube_vip, [Some(540), Some(60)]),
        (AddressHolder::LoadBalancer, [Some(360), None]),
    ] {
        for (members, gap) in [1, 3].into_iter().zip(gaps) {
            let mut wanted = wanted(members, &[1]);
            wanted.address_holder = holder.clone();
            let mut seen = as_wanted(&wanted);
            with_certificates(&mut seen, DUE);
            let plan = answer(&wanted, &seen).plan.unwrap();
            assert_eq!(plan.api_gap_seconds, gap, "{holder:?} {members}");
        }
    }
}

#[test]
fn a_policy_of_no_days_renews_what_a_person_asks_for() {
    let wanted = wanted(1, &[]);
    let mut seen = as_wanted(&wanted);
    with_certificates(&mut seen, certificates(365, 1));
    let policy = clusters::Policy {
        renew_before: SignedDuration::ZERO,
        ..clusters::Policy::default()
    };
    let identity = clusters::Identity {
        cluster_uid: "7c9e6679-7425-40de-944b-e07fc1f90ae7",
        number: 7,
    };
    let said_with = |seen: &Seen| said(&clusters::plan(&wanted, seen, policy, identity, now()));
    assert_eq!(said_with(&seen), [""; 0]);
    seen.certificates.requested_at = Some(now());
    assert_eq!(said_with(&seen), ["RenewCertificates cp-0"]);
}

/// Whatever a cluster is like: members are renewed one after the other, only where the others do without one, and nothing else
/// is in the plan.
#[test]
fn of_every_answer() {
    let (renewals, others) = (AtomicUsize::new(0), AtomicUsize::new(0));
    for_tapes(4_000, 256, |tape| {
        let mut tape = Tape::new(tape);
        let (wanted, seen) = some(&mut tape);
        let verdict = answer(&wanted, &seen);
        let count = match check(&seen, &verdict)? {
            true => &renewals,
            false => &others,
        };
        count.fetch_add(1, Ordering::Relaxed);
        Ok(())
    });
    let (renewals, others) = (renewals.into_inner(), others.into_inner());
    assert!(renewals > 200 && others > 200, "{renewals} {others}");
}

fn some(tape: &mut Tape<'_>) -> (clusters::Wanted, Seen) {
    let wanted = wanted(tape.of(&[1, 3, 5]), &[tape.below(3)]);
    let mut seen = match tape.chance(20) {
        true => outdated(&wanted),
        false => as_wanted(&wanted),
    };
    if tape.chance(10) {
        seen.members.push(member("md-0-x", &wanted.pools[1]));
        seen.free.insert("md-0".to_owned(), free(1));
    }
    if tape.chance(10) {
        seen.api = ApiState::Silent;
    }
    for known in etcd(&mut seen) {
        known.healthy = !tape.chance(20);
        known.voting = !tape.chance(5);
    }
    for known in &mut seen.members {
        if tape.chance(10) {
            known.node = NodeState::Down {
                since: ago(i64::try_from(tape.below(10)).unwrap()),
            };
        }
        if tape.chance(5) {
            known.stage = Stage::Asks;
            known.joining = tape.chance(50);
        }
        known.unwanted = tape.chance(5);
    }
    with_certificates(&mut seen, GOOD);
    let names: Vec<String> = seen.certificates.members.keys().cloned().collect();
    for name in &names {
        ends(&mut seen, name, tape.of(&[200, 95, 89, 10, -3]));
    }
    if tape.chance(20) {
        seen.certificates.requested_at = Some(ago(1));
    }
    if tape.chance(10) {
        seen.certificates.again_at = Some(now() + days(1));
    }
    if tape.chance(10) {
        seen.certificates.under_way = names.first().cloned();
    }
    (wanted, seen)
}

/// Tells whether members are renewed.
fn check(seen: &Seen, verdict: &Verdict) -> Result<bool, String> {
    let wrong = |what: &str| Err(format!("{what}\n{seen:#?}\n{verdict:#?}"));
    let Some(plan) = &verdict.plan else {
        return Ok(false);
    };
    let graph = Graph::new(plan)?;
    // That one comes after the other is checked there.
    let changes = graph.changes_of_etcd()?;
    let renewals: Vec<_> = graph.of(PlanStepKind::RenewCertificates).collect();
    if renewals.is_empty() {
        return Ok(false);
    }
    if renewals.len() != plan.steps.len() || changes.len() != renewals.len() {
        return wrong("something else is done along with a renewal");
    }
    let first = renewals[0].machine.clone().unwrap_or_default();
    if seen.certificates.under_way.as_ref() == Some(&first) {
        return Ok(true);
    }
    let EtcdState::Members(members) = &seen.etcd else {
        return wrong("nobody knows who the members are");
    };
    let voters = || members.iter().filter(|member| member.voting);
    let (all, healthy) = (voters().count(), voters().filter(|member| member.healthy).count());
    if seen.api != ApiState::Answers || healthy < all && (healthy - 1) * 2 <= all {
        return wrong("the others can't do without it");
    }
    Ok(true)
}
