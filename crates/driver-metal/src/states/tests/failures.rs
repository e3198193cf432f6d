//! Installations that failed, and the choice of a server afterwards.

use super::*;

/// The server at this place, after its attempt 3 failed at that minute.
pub(super) fn with_failure(mut snapshot: Snapshot, server: usize, minute: i64) -> Snapshot {
    snapshot.servers[server].spec.last_failure = Some(InstallationFailure {
        attempt: 3,
        workflow: "green-1".into(),
        owner: "green".into(),
        at: Time(at(minute)),
        reason: "disk is gone".into(),
        count: 1,
        power: None,
        boot_session: None,
        log: Vec::new(),
    });
    snapshot
}

#[test]
fn a_server_that_has_just_failed_is_taken_only_where_no_other_fits() {
    let pending = || snapshot(MetalState::Pending);
    let (b, a) = (0, 1);
    let retried = |mut snapshot: Snapshot, minute: i64| {
        snapshot.servers[a].spec.retry_requested_at = Some(Time(at(minute)));
        snapshot
    };
    let day = 24 * 60;
    for (what, snapshot, minute, expected) in [
        ("the other is taken", with_failure(pending(), a, 10), 20, "node-b"),
        (
            "as long as it cools down",
            with_failure(pending(), a, 10),
            day + 9,
            "node-b",
        ),
        (
            "then it is as good as any",
            with_failure(pending(), a, 10),
            day + 10,
            "node-a",
        ),
        (
            "also when a person says so",
            retried(with_failure(pending(), a, 10), 10),
            20,
            "node-a",
        ),
        (
            "who said it before it failed again",
            retried(with_failure(pending(), a, 10), 9),
            20,
            "node-b",
        ),
        (
            "of two, the one that failed first",
            with_failure(with_failure(pending(), b, 5), a, 10),
            20,
            "node-b",
        ),
    ] {
        let claim = Step::Do(Effect::Claim {
            server: expected.into(),
        });
        assert_eq!(decide(&snapshot, at(minute)), claim, "{what}");
    }
    let mut only = with_failure(claimed(MetalState::Pending), a, 10);
    let Step::Go { reason, .. } = decide(&only, at(20)) else {
        panic!("claimed and no further")
    };
    assert!(
        reason.contains(
            "although its attempt 3 failed at 1970-01-01T00:10:00Z (disk is gone): no other free server"
        ),
        "{reason}"
    );
    only.servers[a].spec.last_failure = None;
    let Step::Go { reason, .. } = decide(&only, at(20)) else {
        panic!("claimed and no further")
    };
    assert_eq!(reason, "claimed server node-a");
}

#[test]
fn a_failed_attempt_is_recorded_before_anything_follows_and_forgotten_with_a_success() {
    let record = |attempt, reason: &str| {
        Step::Do(Effect::RecordFailure {
            attempt,
            reason: reason.into(),
        })
    };
    let mut installing = with_workflow(claimed(MetalState::Installing), 1, WorkflowState::Timeout);
    let to = |snapshot: &Snapshot| go(&decide(snapshot, at(40)));
    assert_eq!(to(&installing), Some(MetalState::Preparing), "it had no attempt");
    let workflow = installing.workflows.get_mut("blue-cp-0-1").unwrap();
    workflow.status.as_mut().unwrap().attempt = Some(4);
    assert_eq!(decide(&installing, at(1)), record(4, "disk is gone"));
    installing = with_failure(installing, 1, 0);
    assert_eq!(
        decide(&installing, at(1)),
        record(4, "disk is gone"),
        "attempt 3 is another"
    );
    installing.servers[1].spec.last_failure.as_mut().unwrap().attempt = 4;
    assert_eq!(to(&installing), Some(MetalState::Preparing));

    let mut booting = claimed(MetalState::Booting);
    booting.servers[1].spec.attempt = Some(Attempt {
        number: 3,
        ..Attempt::default()
    });
    assert!(
        matches!(decide(&booting, at(40)), Step::Do(Effect::RecordFailure { attempt: 3, reason })
            if reason.contains("bootstrap data"))
    );
    assert_eq!(to(&with_failure(booting, 1, 0)), Some(MetalState::Failed));

    let installed = with_workflow(claimed(MetalState::Running), 1, WorkflowState::Success);
    let running = with_failure(with_first_boot(installed, 4, asking(4)), 1, 0);
    assert_eq!(decide(&running, at(0)), Step::done("runs"), "it is not known yet");
    let mut done = running;
    let status = done.servers[1].status.as_mut().unwrap();
    status.first_boot.as_mut().unwrap().revoked_at = Some(Time(at(3)));
    assert_eq!(decide(&done, at(3)), Step::Do(Effect::ClearFailure));
}
