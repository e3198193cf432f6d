//! The decision, by tables.

use jiff::{SignedDuration, Timestamp};
use resources::gantry::{
    PluginCall, PluginMachine, PluginMachineStatus, ProviderMachine, ProviderMachineSpec,
    ProviderMachineStatus,
};
use resources::{Time, keys};

use crate::pace::Pace;
use crate::plugin_state::PluginState;
use crate::snapshot::{DriverView, ScopeView, Snapshot, UserdataView};
use crate::states::decide;
use crate::step::{Effect, Method, Step};

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

/// A machine in a state, held, at a time of 1000 s; whatever calls were begun, were so at 900 s.
fn snapshot(state: PluginState, plugin: PluginMachineStatus) -> Snapshot {
    let spec = ProviderMachineSpec {
        provider: "memory".to_owned(),
        cluster_uid: "c".to_owned(),
        machine_uid: "m".to_owned(),
        installation: 1,
        plugin: Some(PluginMachine {
            scope: "lab".to_owned(),
            ..PluginMachine::default()
        }),
        ..ProviderMachineSpec::default()
    };
    let mut machine = ProviderMachine::new("prod-1", spec);
    machine.metadata.finalizers = Some(vec![keys::PROVIDER_MACHINE_FINALIZER.to_owned()]);
    machine.status = Some(ProviderMachineStatus {
        driver_state: Some(state.name().to_owned()),
        since: Some(Time(at(900))),
        reason: Some("as it was".to_owned()),
        plugin: Some(plugin),
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

fn begun() -> PluginMachineStatus {
    PluginMachineStatus {
        attempts: 1,
        attempted_at: Some(Time(at(900))),
        ..PluginMachineStatus::default()
    }
}

fn decided(snapshot: &Snapshot) -> Step {
    decide(snapshot, at(1000))
}

const fn call(method: Method) -> Step {
    Step::Do(Effect::Call(method))
}

/// The reason of a wait.
fn waits(step: Step) -> String {
    match step {
        Step::Wait { reason, .. } => reason,
        other => panic!("it does not wait: {other:?}"),
    }
}

fn state_of(step: Step) -> (PluginState, String) {
    match step {
        Step::Go { state, reason } => (state, reason),
        other => panic!("it goes nowhere: {other:?}"),
    }
}

#[test]
fn a_machine_is_held_before_it_is_asked_for_and_asked_for_until_it_runs() {
    let mut pending = snapshot(PluginState::Pending, PluginMachineStatus::default());
    pending.machine.metadata.finalizers = None;
    assert_eq!(decided(&pending), Step::Do(Effect::AddFinalizer));
    let pending = snapshot(PluginState::Pending, PluginMachineStatus::default());
    assert_eq!(state_of(decided(&pending)).0, PluginState::Creating);
    for plugin in [PluginMachineStatus::default(), begun()] {
        assert_eq!(
            decided(&snapshot(PluginState::Creating, plugin)),
            call(Method::Create)
        );
    }
}

#[test]
fn a_call_without_an_answer_is_followed_by_a_question() {
    let open = PluginMachineStatus {
        call: Some(PluginCall {
            method: "CreateMachine".to_owned(),
            at: Time(at(900)),
        }),
        ..begun()
    };
    let unknown = PluginMachineStatus {
        outcome_unknown: true,
        ..begun()
    };
    for plugin in [open, unknown] {
        assert_eq!(
            decided(&snapshot(PluginState::Creating, plugin)),
            call(Method::Find)
        );
    }
}

#[test]
fn no_call_is_made_before_its_time() {
    let later = |plugin: PluginMachineStatus| PluginMachineStatus {
        next_call: Some(Time(at(1001))),
        ..plugin
    };
    for state in [PluginState::Creating, PluginState::Running, PluginState::Deleting] {
        let mut waiting = snapshot(state, later(begun()));
        if state == PluginState::Deleting {
            waiting.machine.metadata.deletion_timestamp = Some(Time(at(950)));
        }
        assert_eq!(decided(&waiting), Step::wait("as it was", at(1001)), "{state:?}");
    }
}

#[test]
fn what_is_in_the_way_is_said_in_every_state() {
    type Change = fn(&mut Snapshot);
    let obstacles: [(Change, &str); 6] = [
        (
            |s| s.driver = DriverView::NotReady("driver memory is waiting".into()),
            "is waiting",
        ),
        (
            |s| s.driver = DriverView::Unknown { known: Vec::new() },
            "only none at all",
        ),
        (|s| s.machine.spec.plugin = None, "spec.plugin is missing"),
        (
            |s| {
                s.scope = ScopeView::Unknown {
                    known: vec!["a".into(), "b".into()],
                }
            },
            "only a, b",
        ),
        (
            |s| s.scope = ScopeView::Lacks("there is no Secret x".into()),
            "no Secret x",
        ),
        (
            |s| {
                s.scope = ScopeView::Paused {
                    reason: "AUTH".into(),
                    remedy: "change it".into(),
                }
            },
            "is paused: AUTH; change it",
        ),
    ];
    for (change, text) in obstacles {
        for state in [
            PluginState::Pending,
            PluginState::Creating,
            PluginState::Running,
            PluginState::Deleting,
        ] {
            let mut snapshot = snapshot(state, begun());
            if state == PluginState::Deleting {
                snapshot.machine.metadata.deletion_timestamp = Some(Time(at(950)));
            }
            change(&mut snapshot);
            let reason = waits(decided(&snapshot));
            assert!(reason.contains(text), "{state:?}: {reason}");
        }
    }
}

#[test]
fn what_the_object_lacks_is_waited_for_before_it_is_held() {
    type Change = fn(&mut Snapshot);
    let lacks: [(Change, &str); 3] = [
        (|s| s.machine.spec.machine_uid.clear(), "spec.machineUid"),
        (|s| s.machine.spec.cluster_uid.clear(), "spec.clusterUid"),
        (
            |s| s.userdata = UserdataView::Missing("waits for a Secret".into()),
            "waits for a Secret",
        ),
    ];
    for (change, text) in lacks {
        let mut snapshot = snapshot(PluginState::Pending, PluginMachineStatus::default());
        snapshot.machine.metadata.finalizers = None;
        change(&mut snapshot);
        let reason = waits(decided(&snapshot));
        assert!(reason.contains(text), "{reason}");
    }
}

#[test]
fn the_deadline_counts_from_the_first_call_and_while_the_driver_answers() {
    let mut late = snapshot(PluginState::Creating, begun());
    late.machine.spec.deadline_minutes = Some(1);
    assert_eq!(decide(&late, at(959)), call(Method::Create));
    let (state, reason) = state_of(decide(&late, at(960)));
    assert_eq!(state, PluginState::Failed);
    assert!(
        reason.contains("1 minutes after driver memory in scope lab was asked for it first: as it was"),
        "{reason}"
    );
    late.driver = DriverView::NotReady("down".to_owned());
    assert_eq!(waits(decide(&late, at(9999))), "down");
}

#[test]
fn a_machine_that_runs_is_looked_at_and_not_installed_anew() {
    let mut running = snapshot(PluginState::Running, begun());
    assert_eq!(decided(&running), call(Method::Observe));
    running.machine.spec.installation = 2;
    assert_eq!(state_of(decided(&running)).0, PluginState::Failed);
    assert_eq!(decided(&snapshot(PluginState::Failed, begun())), Step::rest());
}

#[test]
fn a_machine_goes_on_evidence_alone() {
    let deleted = |plugin| {
        let mut snapshot = snapshot(PluginState::Deleting, plugin);
        snapshot.machine.metadata.deletion_timestamp = Some(Time(at(950)));
        snapshot
    };
    let said = PluginMachineStatus {
        deleted_at: Some(Time(at(960))),
        ..begun()
    };
    let seen = PluginMachineStatus {
        absent_since: Some(Time(at(970))),
        ..said.clone()
    };
    // It was gone before anybody wanted it deleted: that does not count.
    let gone = PluginMachineStatus {
        absent_since: Some(Time(at(940))),
        ..begun()
    };
    for (plugin, expected) in [
        (PluginMachineStatus::default(), Step::Do(Effect::RemoveFinalizer)),
        (begun(), call(Method::Delete)),
        (gone, call(Method::Delete)),
        (said, call(Method::Confirm)),
        (seen, Step::Do(Effect::RemoveFinalizer)),
    ] {
        assert_eq!(decided(&deleted(plugin.clone())), expected, "{plugin:?}");
    }
    let mut running = deleted(begun());
    running.machine.status.as_mut().unwrap().driver_state = Some("running".to_owned());
    assert_eq!(state_of(decided(&running)).0, PluginState::Deleting);
    let mut free = deleted(begun());
    free.machine.metadata.finalizers = None;
    assert_eq!(decided(&free), Step::rest());
}
