//! First boots that failed, and machines that are installed anew on their servers.

use resources::gantry::{FirstBootFailure, FirstBootStage};

use super::*;

fn failed(attempt: u64) -> FirstBoot {
    FirstBoot {
        failure: Some(FirstBootFailure {
            stage: "kubeadm-join".into(),
            exit_status: Some(1),
            lines: vec!["[preflight] checks".into(), "the API does not answer".into()],
            at: Time(at(5)),
        }),
        ..asking(attempt)
    }
}

fn done(attempt: u64) -> FirstBoot {
    FirstBoot {
        revoked_at: Some(Time(at(5))),
        ..asking(attempt)
    }
}

/// A machine whose system was installed by Workflow 1 in attempt 4.
fn installed(state: MetalState, first: FirstBoot) -> Snapshot {
    let snapshot = with_workflow(claimed(state), 1, WorkflowState::Success);
    let mut snapshot = with_first_boot(snapshot, 4, first);
    snapshot.machine.status.as_mut().unwrap().installation = Some(1);
    snapshot.machine.spec.installation = 1;
    snapshot
}

fn recorded(mut snapshot: Snapshot, attempt: u64) -> Snapshot {
    snapshot = failures::with_failure(snapshot, 1, 5);
    snapshot.servers[1].spec.last_failure.as_mut().unwrap().attempt = attempt;
    snapshot
}

const TEXT: &str = "first boot failed at kubeadm-join (exit status 1): the API does not answer";

#[test]
fn a_failed_first_boot_is_recorded_on_its_server_and_told() {
    let running = installed(MetalState::Running, failed(4));
    let record = Step::Do(Effect::RecordFailure {
        attempt: 4,
        reason: TEXT.into(),
    });
    assert_eq!(decide(&running, at(6)), record);
    assert_eq!(
        decide(&recorded(running.clone(), 3), at(6)),
        record,
        "that is of another attempt"
    );
    assert_eq!(decide(&recorded(running, 4), at(6)), Step::done(TEXT));

    let mut at_work = asking(4);
    at_work.stage = Some(FirstBootStage {
        name: "containerd".into(),
        since: Time(at(3)),
    });
    let running = installed(MetalState::Running, at_work);
    assert_eq!(decide(&running, at(6)), Step::done("first boot: containerd"));
    let booting = installed(MetalState::Booting, failed(4));
    assert_eq!(go(&decide(&booting, at(6))), Some(MetalState::Running));
}

#[test]
fn a_higher_count_installs_the_machine_anew_unless_it_may_be_a_node() {
    let anew = |mut snapshot: Snapshot| {
        snapshot.machine.spec.installation = 2;
        snapshot
    };
    let running = anew(installed(MetalState::Running, failed(4)));
    assert!(
        matches!(
            decide(&running, at(6)),
            Step::Do(Effect::RecordFailure { attempt: 4, .. })
        ),
        "the evidence first"
    );
    let Step::Go { state, reason } = decide(&recorded(running, 4), at(6)) else {
        panic!("it stays")
    };
    assert_eq!(state, MetalState::Preparing);
    assert_eq!(reason, format!("{TEXT}; installation 2 begins"));

    for (what, first) in [("at work", asking(4)), ("done", done(4))] {
        for state in [MetalState::Running, MetalState::Failed] {
            let snapshot = anew(installed(state, first.clone()));
            let Step::Done { reason: Some(reason) } = decide(&snapshot, at(6)) else {
                panic!("{what}, {state:?}: it does not stay")
            };
            assert!(reason.contains("gantry replace machine blue-cp-0"), "{reason}");
        }
    }
    let silent = |state| anew(with_workflow(claimed(state), 1, WorkflowState::Success));
    for state in [MetalState::Booting, MetalState::Failed] {
        let to = go(&decide(&silent(state), at(6)));
        assert_eq!(to, Some(MetalState::Preparing), "{state:?}");
    }
    let mut lost = silent(MetalState::Failed);
    lost.servers[1].spec.claim = None;
    assert_eq!(go(&decide(&lost, at(6))), Some(MetalState::Pending));
    // One that is being installed is not begun again by it.
    for state in [MetalState::Preparing, MetalState::Installing] {
        let to = go(&decide(&silent(state), at(6)));
        assert_ne!(to, Some(MetalState::Pending), "{state:?}");
    }
}

#[test]
fn another_installation_makes_another_workflow_and_has_three_tries_of_its_own() {
    let preparing = with_image(installed(MetalState::Preparing, failed(4)), ImageState::Ready);
    let install = |number: u32| {
        Step::Do(Effect::Install {
            workflow: format!("blue-cp-0-{number}"),
        })
    };
    assert_eq!(
        decide(&preparing, at(6)),
        install(2),
        "its server is running still"
    );

    let mut installing = installed(MetalState::Installing, failed(4));
    for (number, to) in [
        (2, MetalState::Preparing),
        (3, MetalState::Preparing),
        (4, MetalState::Failed),
    ] {
        installing = with_workflow(installing, number, WorkflowState::Failed);
        assert_eq!(go(&decide(&installing, at(6))), Some(to), "workflow {number}");
    }
}
