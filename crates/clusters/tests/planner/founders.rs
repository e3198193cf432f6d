//! Which machine starts a cluster, and what becomes of one that none can start.

use clusters::{ApiState, Founding, Seen, Stage, Wanted};

use crate::cases::{failed_too_often, said};
use crate::samples::{answer, as_wanted, member, wanted};

/// A cluster that is being founded, of which these are the machines; the first was given `kubeadm init`.
fn founding(control_planes: usize, change: impl Fn(&mut Seen)) -> (Wanted, Seen) {
    let wanted = wanted(control_planes, &[]);
    let mut seen = Seen::nothing();
    seen.members = as_wanted(&wanted).members;
    seen.members
        .iter_mut()
        .for_each(|member| member.stage = Stage::Asks);
    (seen.founding, seen.api) = (Founding::UnderWay, ApiState::Silent);
    (seen.founder, seen.pki) = (Some("cp-0".to_owned()), true);
    change(&mut seen);
    (wanted, seen)
}

#[test]
fn another_machine_starts_a_cluster_when_the_founder_is_gone() {
    let failed = |seen: &mut Seen| seen.members[0].failure = Some("kubeadm init failed".to_owned());
    let (wanted, seen) = founding(3, failed);
    let verdict = answer(&wanted, &seen);
    let plan = verdict.plan.as_ref().unwrap();
    let of = |text: &str| {
        plan.steps
            .iter()
            .find(|step| step.text(1).starts_with(text))
            .unwrap()
    };
    let (gone, init) = (
        of("delete the node of cp-0"),
        of("start the control plane on cp-1"),
    );
    assert!(init.after.contains(&gone.id), "{plan:#?}");

    for change in [
        // It waits for a person, or its power does not go off.
        (|seen: &mut Seen| failed_too_often(seen, 0)) as fn(&mut Seen),
        |seen| {
            seen.members[0].stage = Stage::Leaving;
            seen.members[0].overdue = Some("its power does not go off".to_owned());
        },
    ] {
        let (wanted, seen) = founding(3, change);
        let verdict = answer(&wanted, &seen);
        let lines = said(&verdict);
        assert!(
            !lines
                .iter()
                .any(|line| line.starts_with("Init") || line.starts_with("Join")),
            "{lines:?}"
        );
        assert!(lines.contains(&"blocked cp-0".to_owned()), "{lines:?}");
    }
}

#[test]
fn a_cluster_that_cannot_begin_gives_each_machine_back_once() {
    let (mut wanted, seen) = founding(1, |seen| {
        failed_too_often(seen, 0);
        let pools = crate::samples::wanted(1, &[1, 1]).pools;
        for pool in &pools[1..] {
            let mut worker = member(&format!("{}-0", pool.name), pool);
            worker.stage = Stage::Installing;
            seen.members.push(worker);
        }
    });
    wanted.pools.push(crate::samples::wanted(1, &[1]).pools.remove(1));
    let verdict = answer(&wanted, &seen);
    assert!(verdict.hopeless);
    assert_eq!(
        said(&verdict),
        ["RemoveMachine md-0-0", "RemoveMachine md-1-0", "blocked cp-0"]
    );
}
