//! One table: what is observed, and the step that follows.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt as _;
use resources::bmc::{self, BmcCondition, ConditionKind, Job, JobSpec, JobStatus};
use resources::gantry::{
    Attempt, BootSession, Claim, FirstBoot, Image, ImageSpec, ImageState, ImageStatus, InstallationFailure,
    MetalMachine, ProviderMachine, ProviderMachineSpec, ProviderMachineStatus, ReleaseStatement,
    SelectorTerm, Server, ServerSpec, ServerState, ServerStatus, StatedPower, WipePolicy,
};
use resources::tinkerbell::{Hardware, Workflow, WorkflowSpec, WorkflowState, WorkflowStatus};
use resources::{Digest, Time, keys};

use crate::{Effect, MetalState, Snapshot, Step, decide};

mod adopting;
mod anew;
mod failures;
mod releasing;
mod repairing;
mod wiping;

const START: Timestamp = Timestamp::UNIX_EPOCH;

fn at(minutes: i64) -> Timestamp {
    START + SignedDuration::from_mins(minutes)
}

/// A machine in `state` since [`START`], two matching servers, one of another kind.
fn snapshot(state: MetalState) -> Snapshot {
    let mut machine = ProviderMachine::new(
        "blue-cp-0",
        ProviderMachineSpec {
            provider: "metal".to_owned(),
            metal: Some(MetalMachine {
                selector: vec![SelectorTerm {
                    match_labels: [("type".to_owned(), "cp".to_owned())].into(),
                    ..SelectorTerm::default()
                }],
                template_ref: None,
            }),
            ..ProviderMachineSpec::default()
        },
    );
    machine.metadata.namespace = Some("site".to_owned());
    machine.metadata.finalizers = Some(vec![keys::PROVIDER_MACHINE_FINALIZER.to_owned()]);
    machine.status = Some(ProviderMachineStatus {
        phase: state.phase(),
        driver_state: Some(state.name().to_owned()),
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
        not_free: Vec::new(),
        bmc: None,
        template: None,
        image: None,
        workflows,
        jobs: BTreeMap::new(),
        patience: 1,
        cooldown: SignedDuration::from_hours(24),
        wipe: WipePolicy::None,
        keep_failed: false,
    }
}

fn claimed(state: MetalState) -> Snapshot {
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

/// The first boot of an attempt that has asked for its data.
fn asking(attempt: u64) -> FirstBoot {
    let first = FirstBoot::new(attempt, Digest::new([1; 32]), "01".into(), Time(at(120)));
    FirstBoot {
        requested_at: Some(Time(at(2))),
        ..first
    }
}

/// The first boot of the system that the newest Workflow has installed, while this attempt is wanted.
fn with_first_boot(mut snapshot: Snapshot, attempt: u64, first: FirstBoot) -> Snapshot {
    let workflow = snapshot.machine.status.as_ref().unwrap().workflow.clone();
    let server = &mut snapshot.servers[1];
    server.spec.attempt = Some(Attempt {
        number: attempt,
        workflow: workflow.unwrap(),
        closed: true,
        ..Attempt::default()
    });
    let status = server.status.as_mut().unwrap();
    (status.first_boot, status.state) = (Some(first), ServerState::Running);
    snapshot
}

fn go(step: &Step) -> Option<MetalState> {
    match step {
        Step::Go { state, .. } => Some(*state),
        _ => None,
    }
}

#[test]
fn pending_claims_the_first_match_by_name_and_says_who_is_in_the_way() {
    let mut snapshot = snapshot(MetalState::Pending);
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
    assert_eq!(go(&decide(&snapshot, at(60))), Some(MetalState::Failed));
}

#[test]
fn pending_is_held_before_it_claims_and_goes_on_with_a_claim_it_has() {
    let mut fresh = snapshot(MetalState::Pending);
    fresh.machine.metadata.finalizers = None;
    assert_eq!(decide(&fresh, START), Step::Do(Effect::AddFinalizer));
    assert_eq!(
        go(&decide(&claimed(MetalState::Pending), START)),
        Some(MetalState::Preparing)
    );
}

#[test]
fn a_workflow_of_the_user_that_cannot_be_carried_out_claims_no_server() {
    let mut named = snapshot(MetalState::Pending);
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
                "actions": [
                    {"name": "a", "image": image, "timeout": 60, "environment": {"DISK": environment}},
                    {"name": "b", "image": "writefile", "environment": {
                        "DEST_DISK": "/dev/sda2", "FS_TYPE": "ext4", "DEST_PATH": "/etc/x", "CONTENTS": "y"}},
                ]}]}}
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
            matches!(&step, Step::Go { state: MetalState::Failed, reason }
                if reason.contains(why) && reason.contains("no server was claimed")),
            "{step:?}"
        );
    }
}

#[test]
fn preparing_waits_for_the_image_and_then_makes_one_workflow() {
    let state = MetalState::Preparing;
    assert!(matches!(decide(&claimed(state), START), Step::Wait { .. }));
    assert!(matches!(
        decide(&with_image(claimed(state), ImageState::Fetching), START),
        Step::Wait { .. }
    ));
    let failed = decide(&with_image(claimed(state), ImageState::Failed), START);
    assert!(
        matches!(&failed, Step::Go { state: MetalState::Failed, reason } if reason.contains("404 from the mirror"))
    );
    let ready = with_image(claimed(state), ImageState::Ready);
    assert_eq!(
        decide(&ready, START),
        Step::Do(Effect::Install {
            workflow: "blue-cp-0-1".into()
        })
    );
    let made = with_workflow(ready.clone(), 1, WorkflowState::Preparing);
    assert_eq!(go(&decide(&made, START)), Some(MetalState::Installing));
    let again = with_workflow(ready, 1, WorkflowState::Failed);
    assert_eq!(
        decide(&again, START),
        Step::Do(Effect::Install {
            workflow: "blue-cp-0-2".into()
        })
    );
    assert_eq!(go(&decide(&claimed(state), at(30))), Some(MetalState::Failed));
    assert_eq!(go(&decide(&snapshot(state), START)), Some(MetalState::Pending));
}

#[test]
fn installing_follows_its_workflow_and_tries_three_times() {
    let state = MetalState::Installing;
    let next = |number, workflow| {
        let mut snapshot = claimed(state);
        for earlier in 1..number {
            snapshot = with_workflow(snapshot, earlier, WorkflowState::Failed);
        }
        go(&decide(&with_workflow(snapshot, number, workflow), START))
    };
    assert_eq!(next(1, WorkflowState::Success), Some(MetalState::Booting));
    assert_eq!(next(1, WorkflowState::Failed), Some(MetalState::Preparing));
    assert_eq!(next(2, WorkflowState::Timeout), Some(MetalState::Preparing));
    assert_eq!(next(3, WorkflowState::Failed), Some(MetalState::Failed));
    let mut hopeless = with_workflow(claimed(state), 1, WorkflowState::Failed);
    let workflow = hopeless.workflows.get_mut("blue-cp-0-1").unwrap();
    let facts = &mut workflow.status.as_mut().unwrap().facts;
    facts.insert("hopeless".into(), "true".into());
    let step = decide(&hopeless, START);
    assert!(
        matches!(&step, Step::Go { state: MetalState::Failed, reason } if reason.contains("disk is gone")),
        "{step:?}"
    );
    assert_eq!(next(1, WorkflowState::Running), None);
    assert_eq!(go(&decide(&claimed(state), START)), Some(MetalState::Preparing));
    assert_eq!(go(&decide(&snapshot(state), START)), Some(MetalState::Failed));
}

#[test]
fn installing_ends_when_the_engine_is_silent_beyond_its_own_deadline() {
    let mut installing = with_workflow(claimed(MetalState::Installing), 1, WorkflowState::Pending);
    let until = |snapshot: &Snapshot, minute| match decide(snapshot, at(minute)) {
        Step::Wait { until, .. } => until,
        step => panic!("no wait: {step:?}"),
    };
    assert_eq!(until(&installing, 119), at(120));
    assert_eq!(go(&decide(&installing, at(120))), Some(MetalState::Failed));
    let workflow = installing.workflows.get_mut("blue-cp-0-1").unwrap();
    workflow.status.as_mut().unwrap().deadline = Some(Time(at(1440)));
    // Somebody has to power it on, and has a day for that.
    assert_eq!(until(&installing, 1439), at(1440));
    assert_eq!(go(&decide(&installing, at(1441))), Some(MetalState::Failed));
}

#[test]
fn booting_ends_with_a_sign_of_life_or_after_one_reset() {
    let silent = with_workflow(claimed(MetalState::Booting), 1, WorkflowState::Success);
    assert!(matches!(decide(&silent, at(1)), Step::Wait { until, .. } if until == at(10)));
    assert_eq!(
        decide(&silent, at(10)),
        Step::Do(Effect::Reset {
            job: "reset-blue-cp-0-1".into()
        })
    );
    let reset = with_job(silent.clone(), "reset-blue-cp-0-1", ConditionKind::Completed);
    assert!(matches!(decide(&reset, at(11)), Step::Wait { until, .. } if until == at(30)));
    assert_eq!(go(&decide(&reset, at(30))), Some(MetalState::Failed));
    let alive = with_first_boot(silent.clone(), 1, asking(1));
    assert_eq!(go(&decide(&alive, at(29))), Some(MetalState::Running));
    let earlier = with_first_boot(silent.clone(), 2, asking(1));
    assert_eq!(go(&decide(&earlier, at(29))), None, "it is of an earlier attempt");
    let mut other = with_first_boot(silent, 1, asking(1));
    other.servers[1].spec.attempt.as_mut().unwrap().workflow = "blue-cp-0-0".into();
    assert_eq!(go(&decide(&other, at(29))), None, "it is of an earlier workflow");
}

#[test]
fn deletion_leads_to_releasing_from_every_state() {
    for state in [
        MetalState::Pending,
        MetalState::Preparing,
        MetalState::Installing,
        MetalState::Booting,
        MetalState::Running,
        MetalState::Failed,
    ] {
        let mut snapshot = claimed(state);
        snapshot.machine.metadata.deletion_timestamp = Some(Time(START));
        assert_eq!(
            go(&decide(&snapshot, START)),
            Some(MetalState::Releasing),
            "{state:?}"
        );
    }
}

#[test]
fn running_and_failed_stay() {
    assert!(matches!(
        decide(&claimed(MetalState::Running), at(9999)),
        Step::Done { .. }
    ));
    assert!(matches!(
        decide(&claimed(MetalState::Failed), at(9999)),
        Step::Done { .. }
    ));
    assert_eq!(
        go(&decide(&snapshot(MetalState::Running), START)),
        Some(MetalState::Failed)
    );
}

#[test]
fn a_workflow_that_somebody_deleted_is_not_begun_again() {
    let mut preparing = with_image(claimed(MetalState::Preparing), ImageState::Ready);
    preparing = with_workflow(preparing, 1, WorkflowState::Failed);
    preparing = with_workflow(preparing, 2, WorkflowState::Failed);
    preparing.workflows.remove("blue-cp-0-1");
    let next = Step::Do(Effect::Install {
        workflow: "blue-cp-0-3".into(),
    });
    assert_eq!(decide(&preparing, START), next);
}
