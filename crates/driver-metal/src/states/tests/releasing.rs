//! Giving a server back.

use resources::gantry::Quarantine;

use super::*;

/// A machine that has run a system of ours, being given back; its BMC answers since minute 0.
pub(super) fn releasing() -> Snapshot {
    let mut snapshot = claimed(MetalState::Releasing);
    snapshot.machine.metadata.deletion_timestamp = Some(Time(START));
    let mut bmc = bmc::Machine::new("bmc", bmc::MachineSpec::default());
    bmc.status = Some(bmc::MachineStatus {
        conditions: vec![contactable("True", 0)],
        ..bmc::MachineStatus::default()
    });
    snapshot.bmc = Some(bmc);
    let spec = &mut snapshot.servers[1].spec;
    spec.claim.as_mut().unwrap().last_attempt = Some(0);
    spec.attempt = Some(Attempt {
        number: 1,
        ..Attempt::default()
    });
    snapshot.servers[1].status.as_mut().unwrap().first_boot = Some(asking(1));
    snapshot
}

pub(super) fn contactable(status: &str, minute: i64) -> bmc::ContactCondition {
    bmc::ContactCondition {
        kind: "Contactable".into(),
        status: status.into(),
        last_update_time: Some(Time(at(minute))),
        message: None,
    }
}

pub(super) fn given_back() -> Step {
    Step::Do(Effect::Unclaim { unwiped: None })
}

fn power_off(number: u32, earlier: &[&str]) -> Step {
    Step::Do(Effect::PowerOff {
        job: format!("poweroff-blue-cp-0-{number}"),
        earlier: earlier.iter().map(|name| (*name).to_owned()).collect(),
    })
}

/// The try with this number has failed at this minute.
fn failed_try(snapshot: Snapshot, number: u32, minute: i64) -> Snapshot {
    try_ended(snapshot, number, ConditionKind::Failed, minute)
}

pub(super) fn try_ended(mut snapshot: Snapshot, number: u32, end: ConditionKind, minute: i64) -> Snapshot {
    let name = format!("poweroff-blue-cp-0-{number}");
    snapshot = with_job(snapshot, &name, end);
    let job = snapshot.jobs.get_mut(&name).unwrap();
    job.status.as_mut().unwrap().completion_time = Some(Time(at(minute)));
    snapshot
}

/// The first try has ended so at this minute.
pub(super) fn ended(snapshot: Snapshot, end: ConditionKind, minute: i64) -> Snapshot {
    try_ended(snapshot, 0, end, minute)
}

/// The BMC said this when it was asked at this minute.
pub(super) fn said(mut snapshot: Snapshot, power: bmc::PowerState, minute: i64) -> Snapshot {
    let status = snapshot.bmc.as_mut().unwrap().status.as_mut().unwrap();
    (status.power_state, status.last_polled) = (Some(power), Some(Time(at(minute))));
    snapshot
}

pub(super) fn stated(mut snapshot: Snapshot, power: StatedPower, owner: &str) -> Snapshot {
    snapshot.servers[1].spec.release = Some(ReleaseStatement {
        power,
        owner: owner.into(),
        reason: "seen in the rack".into(),
        unwiped: false,
        at: None,
    });
    snapshot
}

#[test]
fn releasing_removes_workflows_powers_off_and_only_then_gives_the_server_back() {
    let busy = with_workflow(releasing(), 1, WorkflowState::Running);
    assert_eq!(decide(&busy, START), Step::Do(Effect::RemoveWorkflows));
    assert_eq!(decide(&releasing(), START), power_off(0, &[]));
    let off = said(
        ended(releasing(), ConditionKind::Completed, 10),
        bmc::PowerState::Off,
        11,
    );
    assert_eq!(decide(&off, at(11)), given_back());
    let gone = snapshot(MetalState::Releasing);
    assert_eq!(decide(&gone, START), Step::Do(Effect::RemoveFinalizer));
    let mut free = snapshot(MetalState::Releasing);
    free.machine.metadata.finalizers = None;
    assert_eq!(decide(&free, START), Step::rest());
}

#[test]
fn off_is_believed_when_the_bmc_has_said_it_twice() {
    use bmc::PowerState::{Off, On, Unknown};
    let off = || ended(releasing(), ConditionKind::Completed, 10);
    let asked = |mut snapshot: Snapshot| {
        let bmc = snapshot.bmc.as_mut().unwrap();
        let wish = "poweroff-blue-cp-0-0".to_owned();
        bmc.annotations_mut()
            .insert(keys::POLL_REQUESTED.to_owned(), wish);
        snapshot
    };
    let ask = Step::Do(Effect::AskPower {
        wish: "poweroff-blue-cp-0-0".into(),
    });
    let waits = Step::wait("BMC bmc said off, and is asked once more", at(15));
    let again = power_off(1, &["poweroff-blue-cp-0-0"]);
    for (what, snapshot, minute, expected) in [
        ("said before", said(off(), Off, 10), 11, ask.clone()),
        ("asked by somebody else", asked(off()), 11, waits.clone()),
        ("no answer of use", said(asked(off()), Unknown, 11), 12, waits),
        ("never confirmed", asked(off()), 15, again.clone()),
        ("confirmed", said(off(), Off, 11), 11, given_back()),
        ("on again, after the pause", said(off(), On, 11), 11, again),
    ] {
        assert_eq!(decide(&snapshot, at(minute)), expected, "{what}");
    }
    let soon = decide(&off(), at(10));
    assert!(matches!(soon, Step::Wait { until, .. } if until == at(10) + SignedDuration::from_secs(1)));
    let third = said(try_ended(releasing(), 2, ConditionKind::Completed, 10), On, 11);
    let Step::Wait { reason, until, .. } = decide(&third, at(11)) else {
        panic!("no pause")
    };
    assert!(
        reason.contains("said off, and then on again") && reason.contains("tried 3 times"),
        "{reason}"
    );
    assert_eq!(until, at(14));
}

#[test]
fn a_power_off_that_fails_is_tried_again_with_growing_pauses_and_one_job() {
    let once = failed_try(releasing(), 0, 0);
    let Step::Wait { reason, until, .. } = decide(&once, START) else {
        panic!("must wait")
    };
    for part in [
        "no route to host",
        "gantry release server node-a --powered-off",
        "gantry release server node-a --force --reason TEXT",
    ] {
        assert!(reason.contains(part), "{reason}");
    }
    assert_eq!(until, at(1));
    assert_eq!(decide(&once, at(1)), power_off(1, &["poweroff-blue-cp-0-0"]));
    for (number, pause) in [(1, 2), (2, 4), (4, 16), (5, 30), (40, 30)] {
        let failed = failed_try(releasing(), number, 100);
        assert!(
            matches!(decide(&failed, at(100)), Step::Wait { until, .. } if until == at(100 + pause)),
            "{number}"
        );
    }
}

#[test]
fn a_bmc_that_answers_again_is_asked_at_once() {
    let mut failed = failed_try(releasing(), 9, 100);
    assert!(matches!(decide(&failed, at(101)), Step::Wait { .. }));
    let conditions = |snapshot: &mut Snapshot, condition| {
        let bmc = snapshot.bmc.as_mut().unwrap();
        bmc.status.as_mut().unwrap().conditions = vec![condition];
    };
    conditions(&mut failed, contactable("False", 101));
    assert!(matches!(decide(&failed, at(101)), Step::Wait { .. }));
    conditions(&mut failed, contactable("True", 101));
    assert_eq!(decide(&failed, at(101)), power_off(10, &["poweroff-blue-cp-0-9"]));
}

#[test]
fn without_a_bmc_a_machine_that_may_run_is_never_given_back_by_itself() {
    let mut blind = releasing();
    blind.bmc = None;
    blind.servers[1].spec.bmc = None;
    for minute in [0, 60, 99_999] {
        let Step::Wait { reason, until, .. } = decide(&blind, at(minute)) else {
            panic!("must wait for a person")
        };
        assert!(
            reason.contains("has no BMC") && reason.contains("gantry release server node-a --powered-off"),
            "{reason}"
        );
        assert!(until > at(minute) && until <= at(minute + 24 * 60));
    }
    blind.servers[1].spec.bmc = Some("gone".into());
    assert!(
        matches!(decide(&blind, START), Step::Wait { reason, .. } if reason.contains("BMC gone, which does not exist"))
    );
    let other = stated(blind.clone(), StatedPower::Off, "red-cp-0");
    assert!(
        matches!(decide(&other, START), Step::Wait { .. }),
        "stated of another owner"
    );
    for power in [StatedPower::Off, StatedPower::Unknown] {
        let stated = stated(blind.clone(), power, "blue-cp-0");
        assert_eq!(decide(&stated, START), given_back());
    }
}

#[test]
fn a_machine_on_which_nothing_ever_started_is_given_back_without_evidence() {
    let session = |attempt: u64| -> BootSession {
        serde_json::from_value(serde_json::json!({
            "attempt": attempt, "boot": 1, "bootId": "00", "phase": "armed",
            "armedAt": "1970-01-01T00:00:00Z", "deadline": "1970-01-01T00:30:00Z"
        }))
        .unwrap()
    };
    let started = |attempt| BootSession {
        started_at: Some(Time(START)),
        ..session(attempt)
    };
    // The server after this many attempts, of which so many were before the claim.
    let idle = |before: Option<u64>, attempts: u64, session: Option<BootSession>| {
        let mut idle = releasing();
        let server = &mut idle.servers[1];
        server.spec.claim.as_mut().unwrap().last_attempt = before;
        server.spec.attempt.as_mut().unwrap().number = attempts;
        let status = server.status.as_mut().unwrap();
        (status.first_boot, status.boot_session) = (None, session);
        idle
    };
    let lost = |mut snapshot: Snapshot| {
        snapshot.servers[1].status = None;
        snapshot
    };
    for (what, idle, free) in [
        (
            "no attempt since the claim",
            idle(Some(2), 2, Some(started(2))),
            true,
        ),
        ("not armed yet", idle(Some(2), 3, Some(started(2))), true),
        ("armed, and not started", idle(Some(2), 3, Some(session(3))), true),
        ("started", idle(Some(2), 3, Some(started(3))), false),
        (
            "a second attempt, the first may have started",
            idle(Some(2), 4, Some(session(4))),
            false,
        ),
        (
            "a claim that does not say",
            idle(None, 1, Some(session(1))),
            false,
        ),
        (
            "no status, as after a restore",
            lost(idle(Some(2), 3, None)),
            false,
        ),
    ] {
        let mut without = idle.clone();
        without.bmc = None;
        for snapshot in [failed_try(idle, 0, 0), without] {
            let step = decide(&snapshot, START);
            assert_eq!(step == given_back(), free, "{what}: {step:?}");
        }
    }
    let mut never = releasing();
    (never.servers[1].spec.attempt, never.bmc) = (None, None);
    assert!(
        matches!(decide(&never, START), Step::Wait { .. }),
        "its first boot speaks against it"
    );
    never.servers[1].status.as_mut().unwrap().first_boot = None;
    assert_eq!(decide(&never, START), given_back());
}

#[test]
fn a_server_that_somebody_wants_to_look_at_is_kept_when_it_is_off() {
    let off = || {
        said(
            ended(releasing(), ConditionKind::Completed, 10),
            bmc::PowerState::Off,
            11,
        )
    };
    let quarantined = |mut snapshot: Snapshot| {
        snapshot.servers[1].spec.quarantine = Some(Quarantine {
            reason: "fan".into(),
            at: None,
        });
        snapshot
    };
    let failed = |owner: &str, keep: bool| {
        let mut snapshot = super::failures::with_failure(off(), 1, 0);
        snapshot.servers[1].spec.last_failure.as_mut().unwrap().owner = owner.into();
        snapshot.keep_failed = keep;
        snapshot
    };
    let mut idle = quarantined(releasing());
    let server = &mut idle.servers[1];
    (server.spec.attempt, idle.bmc) = (None, None);
    server.status.as_mut().unwrap().first_boot = None;
    for (what, snapshot, parts) in [
        (
            "by a person",
            quarantined(off()),
            [
                "kept for inspection (fan)",
                "gantry quarantine server node-a --end",
            ],
        ),
        (
            "nothing ran on it",
            idle,
            ["kept for inspection (fan)", "gantry release server node-a"],
        ),
        (
            "by the site",
            failed("blue-cp-0", true),
            ["(attempt 3 failed: disk is gone)", "--powered-off"],
        ),
    ] {
        let Step::Wait { reason, until, .. } = decide(&snapshot, at(11)) else {
            panic!("given back: {what}")
        };
        assert!(parts.iter().all(|part| reason.contains(part)), "{what}: {reason}");
        assert_eq!(until, at(24 * 60), "{what}");
        let done = stated(snapshot, StatedPower::Off, "blue-cp-0");
        assert_eq!(decide(&done, at(12)), given_back(), "{what}");
    }
    for (what, snapshot) in [
        ("the site keeps none", failed("blue-cp-0", false)),
        ("it failed for another machine", failed("green", true)),
    ] {
        assert_eq!(decide(&snapshot, at(11)), given_back(), "{what}");
    }
    assert!(
        matches!(
            decide(&quarantined(releasing()), START),
            Step::Do(Effect::PowerOff { .. })
        ),
        "first it is off"
    );
}
