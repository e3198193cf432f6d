//! One table: what is observed, and the step that follows.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt as _;
use resources::bmc::{self, BmcCondition, ConditionKind, Job, JobSpec, JobStatus};
use resources::gantry::{
    Attempt, BootSession, Claim, FirstBoot, Image, ImageSpec, ImageState, ImageStatus, InstallationFailure,
    MetalMachine, ProviderMachine, ProviderMachineSpec, ProviderMachineState, ProviderMachineStatus,
    ReleaseStatement, SelectorTerm, Server, ServerSpec, ServerState, ServerStatus, StatedPower,
};
use resources::tinkerbell::{Hardware, Workflow, WorkflowSpec, WorkflowState, WorkflowStatus};
use resources::{Digest, Time, keys};

use crate::{Effect, Snapshot, Step, decide};

const START: Timestamp = Timestamp::UNIX_EPOCH;

fn at(minutes: i64) -> Timestamp {
    START + SignedDuration::from_mins(minutes)
}

/// A machine in `state` since [`START`], two matching servers, one of another kind.
fn snapshot(state: ProviderMachineState) -> Snapshot {
    let mut machine = ProviderMachine::new(
        "blue-cp-0",
        ProviderMachineSpec {
            provider: "metal".to_owned(),
            metal: Some(MetalMachine {
                selector: vec![SelectorTerm {
                    match_labels: [("type".to_owned(), "cp".to_owned())].into(),
                }],
                template_ref: None,
            }),
            ..ProviderMachineSpec::default()
        },
    );
    machine.metadata.namespace = Some("site".to_owned());
    machine.metadata.finalizers = Some(vec![keys::PROVIDER_MACHINE_FINALIZER.to_owned()]);
    machine.status = Some(ProviderMachineStatus {
        state,
        since: Some(Time(START)),
        ..ProviderMachineStatus::default()
    });
    let mut hardware = BTreeMap::new();
    let mut servers = Vec::new();
    for (name, kind) in [("node-b", "cp"), ("node-a", "cp"), ("node-c", "worker")] {
        let mut object = Hardware::default();
        object.metadata.name = Some(name.to_owned());
        object.labels_mut().insert("type".to_owned(), kind.to_owned());
        hardware.insert(name.to_owned(), object);
        let mut server = Server::new(
            name,
            ServerSpec {
                hardware: name.to_owned(),
                bmc: Some("bmc".to_owned()),
                ..ServerSpec::default()
            },
        );
        server.status = Some(ServerStatus {
            state: ServerState::Available,
            ..ServerStatus::default()
        });
        servers.push(server);
    }
    let workflows = BTreeMap::new();
    Snapshot {
        machine,
        servers,
        hardware,
        bmc: None,
        template: None,
        image: None,
        workflows,
        jobs: BTreeMap::new(),
        patience: 1,
        cooldown: SignedDuration::from_hours(24),
    }
}

fn claimed(state: ProviderMachineState) -> Snapshot {
    let mut snapshot = snapshot(state);
    snapshot.servers[1].spec.claim = Some(Claim {
        kind: "ProviderMachine".into(),
        name: "blue-cp-0".into(),
        namespace: "site".into(),
        ..Claim::default()
    });
    snapshot.servers[1].status.as_mut().unwrap().state = ServerState::Claimed;
    snapshot
}

fn with_image(mut snapshot: Snapshot, state: ImageState) -> Snapshot {
    let mut image = Image::new("image", ImageSpec::default());
    image.status = Some(ImageStatus {
        state,
        reason: Some("404 from the mirror".into()),
        ..ImageStatus::default()
    });
    snapshot.image = Some(image);
    snapshot
}

fn with_workflow(mut snapshot: Snapshot, number: u32, state: WorkflowState) -> Snapshot {
    let name = format!("blue-cp-0-{number}");
    let mut workflow = Workflow::new(&name, WorkflowSpec::default());
    workflow.status = Some(WorkflowStatus {
        state: Some(state),
        reason: Some("disk is gone".into()),
        ..WorkflowStatus::default()
    });
    snapshot.workflows.insert(name.clone(), workflow);
    snapshot.machine.status.as_mut().unwrap().workflow = Some(name);
    snapshot
}

fn with_job(mut snapshot: Snapshot, name: &str, end: ConditionKind) -> Snapshot {
    let mut job = Job::new(name, JobSpec::default());
    let condition = BmcCondition {
        kind: end,
        status: "True".into(),
        message: Some("no route to host".into()),
    };
    job.status = Some(JobStatus {
        conditions: vec![condition],
        ..JobStatus::default()
    });
    snapshot.jobs.insert(name.to_owned(), job);
    snapshot
}

/// The server at this place, after its attempt 3 failed at that minute.
fn with_failure(mut snapshot: Snapshot, server: usize, minute: i64) -> Snapshot {
    snapshot.servers[server].spec.last_failure = Some(InstallationFailure {
        attempt: 3,
        workflow: "green-1".into(),
        owner: "green".into(),
        at: Time(at(minute)),
        reason: "disk is gone".into(),
        count: 1,
    });
    snapshot
}

fn go(step: &Step) -> Option<ProviderMachineState> {
    match step {
        Step::Go { state, .. } => Some(*state),
        _ => None,
    }
}

#[test]
fn pending_claims_the_first_match_by_name_and_says_who_is_in_the_way() {
    let mut snapshot = snapshot(ProviderMachineState::Pending);
    assert_eq!(
        decide(&snapshot, START),
        Step::Do(Effect::Claim {
            server: "node-a".into()
        })
    );
    snapshot.servers[1].status.as_mut().unwrap().state = ServerState::Failed;
    assert_eq!(
        decide(&snapshot, START),
        Step::Do(Effect::Claim {
            server: "node-b".into()
        })
    );
    snapshot.servers[0].spec.claim = Some(Claim {
        name: "red-cp-0".into(),
        ..Claim::default()
    });
    let Step::Wait { reason, until, .. } = decide(&snapshot, START) else {
        panic!("must wait")
    };
    assert_eq!(
        reason,
        "no free server has the labels type=cp: node-a is failed, node-b is claimed by red-cp-0"
    );
    assert_eq!(until, at(60));
    assert_eq!(go(&decide(&snapshot, at(60))), Some(ProviderMachineState::Failed));
}

#[test]
fn pending_is_held_before_it_claims_and_goes_on_with_a_claim_it_has() {
    let mut fresh = snapshot(ProviderMachineState::Pending);
    fresh.machine.metadata.finalizers = None;
    assert_eq!(decide(&fresh, START), Step::Do(Effect::AddFinalizer));
    assert_eq!(
        go(&decide(&claimed(ProviderMachineState::Pending), START)),
        Some(ProviderMachineState::Preparing)
    );
}

#[test]
fn a_workflow_of_the_user_that_cannot_be_carried_out_claims_no_server() {
    let mut named = snapshot(ProviderMachineState::Pending);
    named.machine.spec.metal.as_mut().unwrap().template_ref = Some(
        serde_json::from_value(serde_json::json!(
            {"kind": "TinkerbellTemplateConfig", "name": "shed"}
        ))
        .unwrap(),
    );
    for hardware in named.hardware.values_mut() {
        let nic = serde_json::json!({"dhcp": {"mac": "52:54:00:00:00:01"}});
        hardware.spec.interfaces = vec![serde_json::from_value(nic).unwrap()];
    }
    assert!(matches!(decide(&named, START), Step::Wait { reason, .. } if reason.contains("shed is missing")));
    let with = |image: &str, environment: &str| {
        let mut snapshot = named.clone();
        snapshot.template = Some(serde_json::from_value(serde_json::json!({
            "apiVersion": "anywhere.eks.amazonaws.com/v1alpha1", "kind": "TinkerbellTemplateConfig",
            "metadata": {"name": "shed"},
            "spec": {"template": {"name": "shed", "version": "0.1", "global_timeout": 600, "tasks": [{
                "name": "shed", "worker": "{{.device_1}}",
                "actions": [{"name": "a", "image": image, "timeout": 60, "environment": {"DISK": environment}}]}]}}
        }))
        .unwrap());
        decide(&snapshot, START)
    };
    assert_eq!(
        with("quay.io/x/image2disk:v1", "/dev/sda"),
        Step::Do(Effect::Claim {
            server: "node-a".into()
        })
    );
    for (image, environment, why) in [
        (
            "quay.io/tinkerbell/actions/cexec:v1",
            "/dev/sda",
            "no native action for",
        ),
        ("image2disk", "{{ noSuchFunction }}", "noSuchFunction"),
        ("image2disk", "{{ index .Hardware.Disks 9 }}", "shed"),
    ] {
        let step = with(image, environment);
        assert!(
            matches!(&step, Step::Go { state: ProviderMachineState::Failed, reason }
                if reason.contains(why) && reason.contains("no server was claimed")),
            "{step:?}"
        );
    }
}

#[test]
fn preparing_waits_for_the_image_and_then_makes_one_workflow() {
    let state = ProviderMachineState::Preparing;
    assert!(matches!(decide(&claimed(state), START), Step::Wait { .. }));
    assert!(matches!(
        decide(&with_image(claimed(state), ImageState::Fetching), START),
        Step::Wait { .. }
    ));
    let failed = decide(&with_image(claimed(state), ImageState::Failed), START);
    assert!(
        matches!(&failed, Step::Go { state: ProviderMachineState::Failed, reason } if reason.contains("404 from the mirror"))
    );
    let ready = with_image(claimed(state), ImageState::Ready);
    assert_eq!(
        decide(&ready, START),
        Step::Do(Effect::Install {
            workflow: "blue-cp-0-1".into()
        })
    );
    let made = with_workflow(ready.clone(), 1, WorkflowState::Preparing);
    assert_eq!(go(&decide(&made, START)), Some(ProviderMachineState::Installing));
    let again = with_workflow(ready, 1, WorkflowState::Failed);
    assert_eq!(
        decide(&again, START),
        Step::Do(Effect::Install {
            workflow: "blue-cp-0-2".into()
        })
    );
    assert_eq!(
        go(&decide(&claimed(state), at(30))),
        Some(ProviderMachineState::Failed)
    );
    assert_eq!(
        go(&decide(&snapshot(state), START)),
        Some(ProviderMachineState::Pending)
    );
}

#[test]
fn installing_follows_its_workflow_and_tries_three_times() {
    let state = ProviderMachineState::Installing;
    let next = |number, workflow| {
        let mut snapshot = claimed(state);
        for earlier in 1..number {
            snapshot = with_workflow(snapshot, earlier, WorkflowState::Failed);
        }
        go(&decide(&with_workflow(snapshot, number, workflow), START))
    };
    assert_eq!(
        next(1, WorkflowState::Success),
        Some(ProviderMachineState::Booting)
    );
    assert_eq!(
        next(1, WorkflowState::Failed),
        Some(ProviderMachineState::Preparing)
    );
    assert_eq!(
        next(2, WorkflowState::Timeout),
        Some(ProviderMachineState::Preparing)
    );
    assert_eq!(next(3, WorkflowState::Failed), Some(ProviderMachineState::Failed));
    let mut hopeless = with_workflow(claimed(state), 1, WorkflowState::Failed);
    let workflow = hopeless.workflows.get_mut("blue-cp-0-1").unwrap();
    let facts = &mut workflow.status.as_mut().unwrap().facts;
    facts.insert("hopeless".into(), "true".into());
    let step = decide(&hopeless, START);
    assert!(
        matches!(&step, Step::Go { state: ProviderMachineState::Failed, reason } if reason.contains("disk is gone")),
        "{step:?}"
    );
    assert_eq!(next(1, WorkflowState::Running), None);
    assert_eq!(
        go(&decide(&claimed(state), START)),
        Some(ProviderMachineState::Preparing)
    );
    assert_eq!(
        go(&decide(&snapshot(state), START)),
        Some(ProviderMachineState::Failed)
    );
}

#[test]
fn installing_ends_when_the_engine_is_silent_beyond_its_own_deadline() {
    let mut installing = with_workflow(
        claimed(ProviderMachineState::Installing),
        1,
        WorkflowState::Pending,
    );
    let until = |snapshot: &Snapshot, minute| match decide(snapshot, at(minute)) {
        Step::Wait { until, .. } => until,
        step => panic!("no wait: {step:?}"),
    };
    assert_eq!(until(&installing, 119), at(120));
    assert_eq!(
        go(&decide(&installing, at(120))),
        Some(ProviderMachineState::Failed)
    );
    let workflow = installing.workflows.get_mut("blue-cp-0-1").unwrap();
    workflow.status.as_mut().unwrap().deadline = Some(Time(at(1440)));
    // Somebody has to power it on, and has a day for that.
    assert_eq!(until(&installing, 1439), at(1440));
    assert_eq!(
        go(&decide(&installing, at(1441))),
        Some(ProviderMachineState::Failed)
    );
}

#[test]
fn booting_ends_with_a_sign_of_life_or_after_one_reset() {
    let silent = with_workflow(claimed(ProviderMachineState::Booting), 1, WorkflowState::Success);
    assert!(matches!(decide(&silent, at(1)), Step::Wait { until, .. } if until == at(10)));
    assert_eq!(
        decide(&silent, at(10)),
        Step::Do(Effect::Reset {
            job: "reset-blue-cp-0-1".into()
        })
    );
    let reset = with_job(silent.clone(), "reset-blue-cp-0-1", ConditionKind::Completed);
    assert!(matches!(decide(&reset, at(11)), Step::Wait { until, .. } if until == at(30)));
    assert_eq!(go(&decide(&reset, at(30))), Some(ProviderMachineState::Failed));
    let mut alive = silent;
    alive.servers[1].status.as_mut().unwrap().first_boot = Some(FirstBoot {
        attempt: 1,
        public_key: Digest::new([1; 32]),
        serial: "01".into(),
        certificate: None,
        not_after: Time(at(120)),
        requested_at: Some(Time(at(2))),
        delivered_at: None,
        revoked_at: None,
    });
    assert_eq!(go(&decide(&alive, at(29))), Some(ProviderMachineState::Running));
}

/// A machine that has run a system of ours, being given back; its BMC answers since minute 0.
fn releasing() -> Snapshot {
    let mut snapshot = claimed(ProviderMachineState::Releasing);
    snapshot.machine.metadata.deletion_timestamp = Some(Time(START));
    let mut bmc = bmc::Machine::new("bmc", bmc::MachineSpec::default());
    bmc.status = Some(bmc::MachineStatus {
        conditions: vec![contactable("True", 0)],
        ..bmc::MachineStatus::default()
    });
    snapshot.bmc = Some(bmc);
    snapshot.servers[1].status.as_mut().unwrap().first_boot = Some(FirstBoot {
        attempt: 1,
        public_key: Digest::new([1; 32]),
        serial: "01".into(),
        certificate: None,
        not_after: Time(at(120)),
        requested_at: Some(Time(at(2))),
        delivered_at: None,
        revoked_at: None,
    });
    snapshot
}

fn contactable(status: &str, minute: i64) -> bmc::ContactCondition {
    bmc::ContactCondition {
        kind: "Contactable".into(),
        status: status.into(),
        last_update_time: Some(Time(at(minute))),
        message: None,
    }
}

fn power_off(number: u32, earlier: &[&str]) -> Step {
    Step::Do(Effect::PowerOff {
        job: format!("poweroff-blue-cp-0-{number}"),
        earlier: earlier.iter().map(|name| (*name).to_owned()).collect(),
    })
}

/// The try with this number has failed at this minute.
fn failed_try(mut snapshot: Snapshot, number: u32, minute: i64) -> Snapshot {
    let name = format!("poweroff-blue-cp-0-{number}");
    snapshot = with_job(snapshot, &name, ConditionKind::Failed);
    let job = snapshot.jobs.get_mut(&name).unwrap();
    job.status.as_mut().unwrap().completion_time = Some(Time(at(minute)));
    snapshot
}

fn stated(mut snapshot: Snapshot, power: StatedPower, owner: &str) -> Snapshot {
    snapshot.servers[1].spec.release = Some(ReleaseStatement {
        power,
        owner: owner.into(),
        reason: "seen in the rack".into(),
        at: None,
    });
    snapshot
}

#[test]
fn releasing_removes_workflows_powers_off_and_only_then_gives_the_server_back() {
    let busy = with_workflow(releasing(), 1, WorkflowState::Running);
    assert_eq!(decide(&busy, START), Step::Do(Effect::RemoveWorkflows));
    assert_eq!(decide(&releasing(), START), power_off(0, &[]));
    let off = with_job(releasing(), "poweroff-blue-cp-0-0", ConditionKind::Completed);
    assert_eq!(decide(&off, START), Step::Do(Effect::Unclaim));
    let gone = snapshot(ProviderMachineState::Releasing);
    assert_eq!(decide(&gone, START), Step::Do(Effect::RemoveFinalizer));
    let mut free = snapshot(ProviderMachineState::Releasing);
    free.machine.metadata.finalizers = None;
    assert_eq!(decide(&free, START), Step::rest());
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
        assert_eq!(decide(&stated, START), Step::Do(Effect::Unclaim));
    }
}

#[test]
fn a_machine_on_which_nothing_ever_started_is_given_back_without_evidence() {
    let mut idle = releasing();
    idle.servers[1].status.as_mut().unwrap().first_boot = None;
    let failed = failed_try(idle.clone(), 0, 0);
    assert_eq!(decide(&failed, START), Step::Do(Effect::Unclaim));
    idle.bmc = None;
    assert_eq!(decide(&idle, START), Step::Do(Effect::Unclaim));
    let armed: BootSession = serde_json::from_value(serde_json::json!({
        "attempt": 1, "boot": 1, "bootId": "00", "phase": "armed",
        "armedAt": "1970-01-01T00:00:00Z", "deadline": "1970-01-01T00:30:00Z"
    }))
    .unwrap();
    let with_session = |session: &BootSession| {
        let mut snapshot = idle.clone();
        snapshot.servers[1].status.as_mut().unwrap().boot_session = Some(session.clone());
        decide(&snapshot, START)
    };
    assert_eq!(with_session(&armed), Step::Do(Effect::Unclaim));
    let started = BootSession {
        started_at: Some(Time(START)),
        ..armed
    };
    assert!(matches!(with_session(&started), Step::Wait { .. }));
}

#[test]
fn deletion_leads_to_releasing_from_every_state() {
    for state in [
        ProviderMachineState::Pending,
        ProviderMachineState::Preparing,
        ProviderMachineState::Installing,
        ProviderMachineState::Booting,
        ProviderMachineState::Running,
        ProviderMachineState::Failed,
    ] {
        let mut snapshot = claimed(state);
        snapshot.machine.metadata.deletion_timestamp = Some(Time(START));
        assert_eq!(
            go(&decide(&snapshot, START)),
            Some(ProviderMachineState::Releasing),
            "{state:?}"
        );
    }
}

#[test]
fn running_and_failed_stay() {
    assert!(matches!(
        decide(&claimed(ProviderMachineState::Running), at(9999)),
        Step::Done { .. }
    ));
    assert!(matches!(
        decide(&claimed(ProviderMachineState::Failed), at(9999)),
        Step::Done { .. }
    ));
    assert_eq!(
        go(&decide(&snapshot(ProviderMachineState::Running), START)),
        Some(ProviderMachineState::Failed)
    );
}

#[test]
fn a_workflow_that_somebody_deleted_is_not_begun_again() {
    let mut preparing = with_image(claimed(ProviderMachineState::Preparing), ImageState::Ready);
    preparing = with_workflow(preparing, 1, WorkflowState::Failed);
    preparing = with_workflow(preparing, 2, WorkflowState::Failed);
    preparing.workflows.remove("blue-cp-0-1");
    let next = Step::Do(Effect::Install {
        workflow: "blue-cp-0-3".into(),
    });
    assert_eq!(decide(&preparing, START), next);
}

#[test]
fn a_server_that_has_just_failed_is_taken_only_where_no_other_fits() {
    let pending = || snapshot(ProviderMachineState::Pending);
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
    let mut only = with_failure(claimed(ProviderMachineState::Pending), a, 10);
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
    let mut installing = with_workflow(
        claimed(ProviderMachineState::Installing),
        1,
        WorkflowState::Timeout,
    );
    let to = |snapshot: &Snapshot| go(&decide(snapshot, at(40)));
    assert_eq!(
        to(&installing),
        Some(ProviderMachineState::Preparing),
        "it had no attempt"
    );
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
    assert_eq!(to(&installing), Some(ProviderMachineState::Preparing));

    let mut booting = claimed(ProviderMachineState::Booting);
    booting.servers[1].spec.attempt = Some(Attempt {
        number: 3,
        ..Attempt::default()
    });
    assert!(
        matches!(decide(&booting, at(40)), Step::Do(Effect::RecordFailure { attempt: 3, reason })
            if reason.contains("bootstrap data"))
    );
    assert_eq!(
        to(&with_failure(booting, 1, 0)),
        Some(ProviderMachineState::Failed)
    );

    let running = with_failure(claimed(ProviderMachineState::Running), 1, 0);
    assert_eq!(decide(&running, at(0)), Step::Do(Effect::ClearFailure));
}
