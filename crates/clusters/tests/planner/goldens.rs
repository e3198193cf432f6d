//! Plans as people read them.

use clusters::{EtcdState, Founding, NodeState, Seen, Stage, Wanted};

use crate::samples::{ago, answer, as_wanted, free, voter, wanted};
use crate::upgrades::outdated;

/// Steps, the reason for an approval, and what is blocked.
fn text(name: &str, wanted: &Wanted, seen: &Seen) -> String {
    let verdict = answer(wanted, seen);
    let mut lines = vec![format!("# {name}")];
    if let Some(plan) = &verdict.plan {
        lines.push(format!("class: {:?}", plan.class));
        lines.extend(
            plan.requires_approval
                .iter()
                .map(|why| format!("approval, because {why}")),
        );
        lines.extend(plan.lines().iter().map(|line| format!("- {line}")));
    }
    let blocked = verdict.blocked.iter();
    lines.extend(blocked.map(|block| format!("blocked {}: {}", block.subject, block.reason)));
    lines.join("\n")
}

#[test]
fn named_situations() {
    let three = wanted(3, &[2]);
    let mut texts = vec![text("a new cluster", &three, &Seen::nothing())];

    texts.push(text("one worker more", &wanted(3, &[3]), &as_wanted(&three)));
    texts.push(text("one worker less", &wanted(3, &[1]), &as_wanted(&three)));
    texts.push(text(
        "three members become one",
        &wanted(1, &[2]),
        &as_wanted(&three),
    ));

    let mut seen = as_wanted(&three);
    seen.members[0].unwanted = true;
    seen.free.insert("cp".to_owned(), free(1));
    texts.push(text("a member is replaced, with a spare server", &three, &seen));
    seen.free.insert("cp".to_owned(), free(0));
    texts.push(text("a member is replaced, without one", &three, &seen));

    let mut seen = as_wanted(&three);
    seen.members[3].node = NodeState::Down { since: ago(10) };
    texts.push(text("a worker is dead", &three, &seen));
    seen.unknown_plan = Some(9);
    texts.push(text("a worker is dead after a restore", &three, &seen));

    let mut seen = as_wanted(&three);
    if let EtcdState::Members(members) = &mut seen.etcd {
        members.push(voter(30, None));
        members.push(voter(31, None));
        members[3].healthy = false;
    }
    texts.push(text(
        "two members of etcd on no machine, one is dead",
        &three,
        &seen,
    ));

    let mut seen = as_wanted(&three);
    seen.api = clusters::ApiState::Silent;
    seen.etcd = EtcdState::Unknown;
    seen.members
        .iter_mut()
        .for_each(|member| member.node = NodeState::Unknown);
    texts.push(text("another size while nobody answers", &wanted(5, &[1]), &seen));

    let mut seen = Seen::nothing();
    seen.members = as_wanted(&three).members;
    seen.members.truncate(1);
    seen.members[0].stage = Stage::Asks;
    seen.members[0].failure = Some("kubeadm init failed: the disk is full".to_owned());
    (seen.founding, seen.founder, seen.pki) = (Founding::UnderWay, Some("cp-0".to_owned()), true);
    texts.push(text("the founder has failed", &wanted(1, &[]), &seen));
    seen.members[0].replacement = 2;
    texts.push(text("the founder has failed too often", &wanted(1, &[]), &seen));

    let mut seen = outdated(&three);
    texts.push(text("an upgrade without a spare server", &three, &seen));
    for pool in ["cp", "md-0"] {
        seen.free.insert(pool.to_owned(), free(1));
    }
    texts.push(text(
        "an upgrade with a spare server for each pool",
        &three,
        &seen,
    ));
    let one = wanted(1, &[1]);
    texts.push(text(
        "an upgrade of one member without a spare server",
        &one,
        &outdated(&one),
    ));

    insta::assert_snapshot!(texts.join("\n\n"));
}
