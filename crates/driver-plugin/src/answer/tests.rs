//! What answers change, by tables.

use driver::Fault;
use driver::v1::{
    Accepted, Address, AddressKind, Blocked, MachineIdentity, MachineStatus, Outcome, Phase, Prerequisite,
    PrerequisiteKind, Reason, Settled, outcome,
};
use jiff::{SignedDuration, Timestamp};
use resources::Time;
use resources::gantry::{
    PluginCall, PluginMachine, PluginMachineStatus, ProviderMachine, ProviderMachineSpec,
    ProviderMachineStatus,
};

use super::take_in;
use crate::pace::Pace;
use crate::plugin_state::PluginState;
use crate::snapshot::{DriverView, ScopeView, Snapshot, UserdataView};
use crate::step::{Method, Step};

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn snapshot(state: PluginState) -> Snapshot {
    let spec = ProviderMachineSpec {
        provider: "memory".to_owned(),
        machine: "prod-1".to_owned(),
        plugin: Some(PluginMachine {
            scope: "lab".to_owned(),
            ..PluginMachine::default()
        }),
        ..ProviderMachineSpec::default()
    };
    let mut machine = ProviderMachine::new("prod-1", spec);
    machine.status = Some(ProviderMachineStatus {
        driver_state: Some(state.name().to_owned()),
        plugin: Some(PluginMachineStatus {
            attempts: 1,
            attempted_at: Some(Time(at(900))),
            spec_hash: Some("h".to_owned()),
            call: Some(PluginCall {
                method: "CreateMachine".to_owned(),
                at: Time(at(900)),
            }),
            ..PluginMachineStatus::default()
        }),
        ..ProviderMachineStatus::default()
    });
    Snapshot {
        machine,
        driver: DriverView::Ready,
        scope: ScopeView::Open,
        userdata: UserdataView::Ready,
        lag: SignedDuration::ZERO,
        pace: Pace::default(),
    }
}

fn answer(phase: Phase, outcome: outcome::Outcome) -> MachineStatus {
    MachineStatus {
        phase: phase.into(),
        outcome: Some(Outcome {
            outcome: Some(outcome),
        }),
        ..MachineStatus::default()
    }
}

const fn settled() -> outcome::Outcome {
    outcome::Outcome::Settled(Settled {})
}

fn accepted(seconds: i64) -> outcome::Outcome {
    outcome::Outcome::Accepted(Accepted {
        receipt: "task-7".to_owned(),
        poll_after: Some(prost_types::Duration { seconds, nanos: 0 }),
    })
}

/// Takes an answer in at 1000 s.
fn taken(snapshot: &mut Snapshot, method: Method, answer: Result<MachineStatus, Fault>) -> Option<Step> {
    let step = take_in(snapshot, method, answer, at(1000));
    assert_eq!(snapshot.plugin().call, None, "it is answered");
    step
}

fn condition(snapshot: &Snapshot) -> (String, String) {
    let condition = snapshot.plugin().conditions.remove(0);
    (condition.status, condition.reason)
}

#[test]
fn what_the_driver_keeps_comes_into_the_status() {
    let mut seen = snapshot(PluginState::Creating);
    let mut running = answer(Phase::Running, settled());
    running.identity = Some(MachineIdentity {
        provider_id: "memory://7".to_owned(),
        keys: None,
    });
    running.driver_state = vec![0, 255];
    running.state_version = 3;
    running.host = "esx-1".to_owned();
    running.addresses = vec![Address {
        kind: AddressKind::InternalIp.into(),
        address: "10.7.0.2".to_owned(),
        mac: "52:54:00:00:00:01".to_owned(),
        ..Address::default()
    }];
    let step = taken(&mut seen, Method::Create, Ok(running)).unwrap();
    assert_eq!(
        step,
        Step::go(
            PluginState::Running,
            "driver memory in scope lab says that it runs on esx-1"
        )
    );
    assert_eq!(condition(&seen), ("True".to_owned(), "Running".to_owned()));
    let status = seen.machine.status.unwrap();
    assert_eq!(status.provider_id.as_deref(), Some("memory://7"));
    assert_eq!(status.mac.unwrap().to_string(), "52:54:00:00:00:01");
    let kinds: Vec<&str> = status
        .addresses
        .iter()
        .map(|address| address.kind.as_str())
        .collect();
    assert_eq!(kinds, ["Hostname", "InternalIP"]);
    let plugin = status.plugin.unwrap();
    assert_eq!((plugin.state.as_deref(), plugin.state_version), (Some("AP8="), 3));
    assert_eq!(plugin.next_call, Some(Time(at(1060))));
}

#[test]
fn an_accepted_call_comes_again_when_the_driver_says() {
    for (seconds, expected) in [(7, 7000), (0, 200), (86_400, 300_000)] {
        let mut seen = snapshot(PluginState::Creating);
        let mut working = answer(Phase::Creating, accepted(seconds));
        working.step = "clone".to_owned();
        working.percent = 40;
        let step = taken(&mut seen, Method::Create, Ok(working)).unwrap();
        let Step::Wait {
            reason,
            until,
            percent,
        } = step
        else {
            panic!("{step:?}");
        };
        assert_eq!(until.duration_since(at(1000)).as_millis(), expected);
        assert_eq!(percent, Some(40));
        assert!(
            reason.ends_with("works on it: creating, step clone, task task-7"),
            "{reason}"
        );
        assert_eq!(condition(&seen), ("False".to_owned(), "Accepted".to_owned()));
        assert_eq!(seen.plugin().receipt.as_deref(), Some("task-7"));
    }
}

#[test]
fn a_blocked_call_says_what_it_waits_for() {
    let mut seen = snapshot(PluginState::Creating);
    let blocked = outcome::Outcome::Blocked(Blocked {
        prerequisites: vec![Prerequisite {
            kind: PrerequisiteKind::Person.into(),
            machine_uid: "m-2".to_owned(),
            message: "unlock the device".to_owned(),
            wait: Some(prost_types::Duration {
                seconds: 30,
                nanos: 0,
            }),
        }],
    });
    let step = taken(&mut seen, Method::Create, Ok(answer(Phase::Pending, blocked))).unwrap();
    let text = "driver memory in scope lab waits: a person has to act (machine m-2): unlock the device";
    assert_eq!(step, Step::wait(text, at(1030)));
    assert_eq!(condition(&seen), ("False".to_owned(), "Blocked".to_owned()));
}

#[test]
fn what_was_found_decides_whether_a_machine_is_made() {
    for (phase, hash, expected) in [
        (Phase::Absent, "", None),
        (Phase::Booting, "h", None),
        (Phase::Running, "", None),
        (Phase::Running, "other", Some(PluginState::Failed)),
    ] {
        let mut seen = snapshot(PluginState::Creating);
        seen.plugin_mut().outcome_unknown = true;
        let mut found = answer(phase, settled());
        found.spec_hash = hash.to_owned();
        let step = taken(&mut seen, Method::Find, Ok(found));
        let state = step.map(|step| match step {
            Step::Go { state, .. } => state,
            other => panic!("{other:?}"),
        });
        assert_eq!(state, expected, "{phase:?} {hash:?}");
        assert_eq!(seen.plugin().outcome_unknown, expected.is_some());
    }
}

#[test]
fn an_absence_is_not_believed_while_the_provider_lags_behind() {
    for (method, lag, believed) in [
        (Method::Find, 50, true),
        (Method::Find, 51, false),
        (Method::Confirm, 50, true),
        (Method::Confirm, 51, false),
    ] {
        let mut seen = snapshot(PluginState::Creating);
        seen.lag = SignedDuration::from_secs(lag);
        seen.plugin_mut().outcome_unknown = true;
        let step = taken(&mut seen, method, Ok(answer(Phase::Absent, settled())));
        assert_eq!(step.is_none(), believed, "{method:?} {lag}");
        if method == Method::Confirm {
            assert_eq!(seen.plugin().absent_since.is_some(), believed);
        }
    }
}

#[test]
fn a_deleted_machine_that_comes_back_is_deleted_again() {
    let mut seen = snapshot(PluginState::Deleting);
    assert_eq!(
        taken(&mut seen, Method::Delete, Ok(answer(Phase::Deleted, settled()))),
        None
    );
    assert_eq!(seen.plugin().deleted_at, Some(Time(at(1000))));
    let step = taken(&mut seen, Method::Confirm, Ok(answer(Phase::Stopped, settled())));
    assert!(matches!(step, Some(Step::Wait { .. })), "{step:?}");
    assert_eq!(
        (seen.plugin().deleted_at, seen.plugin().absent_since),
        (None, None)
    );
    let step = taken(
        &mut seen,
        Method::Delete,
        Ok(answer(Phase::Deleting, accepted(3))),
    );
    assert!(
        matches!(step, Some(Step::Wait { until, .. }) if until == at(1003)),
        "{step:?}"
    );
}

#[test]
fn faults_are_answered_by_what_they_are() {
    // Whether the machine has failed, seconds to the next call, whether the provider is asked first.
    let rows = [
        (Reason::Capacity, false, Some(1), true),
        (Reason::Busy, false, Some(1), true),
        (Reason::Bug, false, Some(1), true),
        (Reason::ImageMissing, false, Some(300), true),
        (Reason::Auth, false, None, true),
        (Reason::Foreign, true, None, true),
        (Reason::ConflictSpec, true, None, true),
    ];
    for (reason, fails, pause, asks) in rows {
        for without_effect in [false, true] {
            let mut seen = snapshot(PluginState::Creating);
            let mut fault = Fault::new(reason, "no");
            if without_effect {
                fault = fault.without_effect();
            }
            let step = taken(&mut seen, Method::Create, Err(fault)).unwrap();
            let has_failed = matches!(&step, Step::Go { state, .. } if *state == PluginState::Failed);
            assert_eq!(has_failed, fails, "{reason:?}");
            let next = seen
                .plugin()
                .next_call
                .map(|next| next.0.duration_since(at(1000)).as_secs());
            assert_eq!(next, pause, "{reason:?}");
            // An error of the driver itself says nothing of what it has done.
            let expected = asks && (!without_effect || reason == Reason::Bug);
            assert_eq!(
                seen.plugin().outcome_unknown,
                expected,
                "{reason:?} {without_effect}"
            );
            assert_eq!(seen.plugin().failures, 1);
            assert_eq!(condition(&seen).0, "False");
        }
    }
}

#[test]
fn pauses_grow_and_are_no_shorter_than_the_driver_says() {
    let mut seen = snapshot(PluginState::Creating);
    let mut pauses = Vec::new();
    for _ in 0..3 {
        let _ = taken(&mut seen, Method::Create, Err(Fault::new(Reason::Busy, "no")));
        pauses.push(
            seen.plugin()
                .next_call
                .unwrap()
                .0
                .duration_since(at(1000))
                .as_secs(),
        );
    }
    assert_eq!(pauses, [1, 2, 4]);
    let asked = Fault::new(Reason::Throttled, "no").after(std::time::Duration::from_secs(90));
    let _ = taken(&mut seen, Method::Create, Err(asked));
    assert_eq!(seen.plugin().next_call, Some(Time(at(1090))));
    let _ = taken(
        &mut seen,
        Method::Create,
        Ok(answer(Phase::Creating, accepted(1))),
    );
    assert_eq!((seen.plugin().failures, seen.plugin().fault), (0, None));
}

#[test]
fn what_bears_anothers_mark_is_nothing_of_a_deleted_machine() {
    let mut seen = snapshot(PluginState::Deleting);
    let foreign = || Err(Fault::new(Reason::Foreign, "not yours").without_effect());
    assert_eq!(taken(&mut seen, Method::Delete, foreign()), None);
    assert_eq!(taken(&mut seen, Method::Confirm, foreign()), None);
    let plugin = seen.plugin();
    assert_eq!(
        (plugin.deleted_at, plugin.absent_since),
        (Some(Time(at(1000))), Some(Time(at(1000))))
    );
}

#[test]
fn a_machine_that_runs_is_given_up_when_it_is_said_to_be_gone_long_enough() {
    let mut seen = snapshot(PluginState::Running);
    let absent = || Ok(answer(Phase::Absent, settled()));
    let step = take_in(&mut seen, Method::Observe, absent(), at(1000)).unwrap();
    assert!(
        matches!(step, Step::Wait { until, .. } if until == at(1030)),
        "{step:?}"
    );
    let step = take_in(&mut seen, Method::Observe, absent(), at(1029)).unwrap();
    assert!(matches!(step, Step::Wait { .. }), "{step:?}");
    let mut back = seen.clone();
    let step = take_in(
        &mut back,
        Method::Observe,
        Ok(answer(Phase::Running, settled())),
        at(1029),
    )
    .unwrap();
    assert!(matches!(step, Step::Wait { .. }), "{step:?}");
    assert_eq!(back.plugin().absent_since, None);
    let step = take_in(&mut seen, Method::Observe, absent(), at(1030)).unwrap();
    assert!(
        matches!(&step, Step::Go { state, .. } if *state == PluginState::Failed),
        "{step:?}"
    );
}
