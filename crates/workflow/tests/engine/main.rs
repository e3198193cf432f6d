//! A Workflow from its Template to its end, against the embedded API: sessions and BMC are played by the test.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

mod data_disks;
mod growth;
mod repair;
mod site;
mod wipe;

use std::collections::HashMap;
use std::time::Duration;

use agent_protocol::v1::next_response::Step;
use agent_protocol::v1::workflows_server::Workflows as _;
use agent_protocol::v1::{ActionState, Disk, NextRequest, ReportRequest};
use resources::gantry::{Server, SessionPhase};
use resources::tinkerbell::{Workflow, WorkflowState};
use serde_json::json;
use site::{NAMESPACE, Site};
use tonic::{Code, Status};

const TEMPLATE: &str = r#"version: "0.1"
name: install
global_timeout: 600
tasks:
- name: os
  worker: "{{.device_1}}"
  environment: {COMMON: "1"}
  actions:
  - name: stream
    image: quay.io/tinkerbell/actions/image2disk:v1.0.0
    timeout: 60
    environment: {DEST_DISK: "{{ index .Hardware.Disks 0 }}"}
  - name: leave
    image: gantry/handover
    timeout: 60
"#;

fn state(workflow: &Workflow) -> Option<WorkflowState> {
    workflow.status.as_ref()?.state
}

fn reason(workflow: &Workflow) -> String {
    workflow
        .status
        .as_ref()
        .and_then(|status| status.reason.clone())
        .unwrap_or_default()
}

fn report(action: &agent_protocol::v1::Action, state: ActionState) -> ReportRequest {
    ReportRequest {
        workflow: action.workflow.clone(),
        action_id: action.action_id.clone(),
        state: state.into(),
        attempt: action.attempt,
        ..ReportRequest::default()
    }
}

async fn next(site: &Site) -> Result<Step, Status> {
    next_with(site, vec![disk("vda", "A"), disk("vdb", "B")]).await
}

async fn next_with(site: &Site, disks: Vec<Disk>) -> Result<Step, Status> {
    let answer = site
        .workflows
        .next(site.request(NextRequest { disks }).await)
        .await?;
    Ok(answer.into_inner().step.unwrap())
}

fn disk(name: &str, serial: &str) -> Disk {
    Disk {
        device: format!("/dev/{name}"),
        size: 1 << 30,
        serial: serial.to_owned(),
        contents: vec!["GPT".to_owned()],
        ..Disk::default()
    }
}

fn action(step: Step) -> agent_protocol::v1::Action {
    match step {
        Step::Action(action) => action,
        other => panic!("{other:?}"),
    }
}

fn attempt_is(number: u64) -> impl Fn(&Server) -> bool {
    move |server| {
        server
            .spec
            .attempt
            .as_ref()
            .is_some_and(|attempt| attempt.number == number)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_workflow_runs_to_its_end() {
    let site = Site::start().await;
    site.machine("node-1").await;
    site.template("install", TEMPLATE).await;
    site.make_workflow(
        "install-1",
        "install",
        json!({"toggleAllowNetboot": true, "bootMode": "netboot"}),
    )
    .await;
    is_brought_up(&site).await;
    first_action(&site).await;
    leaves(&site).await;
    // By the controller and by the agent's word alike.
    for (state, text) in [
        ("Preparing", "the template is rendered"),
        ("Pending", "powered on; waits for its agent"),
        ("Running", "action stream runs"),
        ("Post", "every action has succeeded"),
        ("Success", "every action has succeeded"),
    ] {
        assert_eq!(site.event("Workflow", "install-1", state).await, text, "{state}");
    }
    tokio::time::timeout(Duration::from_secs(10), site.end())
        .await
        .unwrap();
}

/// Rendered, attempt raised, armed, powered on: pending.
async fn is_brought_up(site: &Site) {
    site.server("node-1", attempt_is(1)).await;
    let preparing = site
        .workflow("install-1", |workflow| {
            workflow.status.as_ref().is_some_and(|s| s.attempt == Some(1))
        })
        .await;
    let status = preparing.status.as_ref().unwrap();
    assert_eq!(status.template_rendering.as_deref(), Some("successful"));
    assert_eq!(status.agent_id.as_deref(), Some("52:54:00:00:00:01"));
    assert_eq!(status.tasks[0].actions[0].environment["DEST_DISK"], "/dev/vda");
    let early = next(site).await;
    assert_eq!(
        early.unwrap_err().code(),
        Code::PermissionDenied,
        "nobody has claimed"
    );

    site.session("node-1", 1, SessionPhase::Armed).await;
    let job = site.job("netboot-install-1").await;
    assert_eq!(job.spec.machine_ref.name, "bmc-node-1");
    assert_eq!(job.spec.tasks.len(), 3);
    assert!(site.allow_pxe("node-1").await);
    site.complete_job("netboot-install-1").await;
    site.workflow("install-1", |workflow| {
        state(workflow) == Some(WorkflowState::Pending)
    })
    .await;
}

/// Handed out, again as resumed, progress, success twice, never backwards.
async fn first_action(site: &Site) {
    site.session("node-1", 1, SessionPhase::Claimed).await;
    let stream = action(next(site).await.unwrap());
    assert_eq!(
        (stream.kind.as_str(), stream.resumed, stream.timeout_seconds),
        ("image2disk", false, 60)
    );
    assert_eq!(
        stream.environment,
        HashMap::from([
            ("COMMON".to_owned(), "1".to_owned()),
            ("DEST_DISK".to_owned(), "/dev/vda".to_owned()),
        ])
    );
    let live = site
        .workflow("install-1", |workflow| {
            state(workflow) == Some(WorkflowState::Running)
        })
        .await;
    let current = live.status.unwrap().current_state.unwrap();
    assert_eq!(
        current.action_id.as_deref(),
        Some(stream.action_id.as_str()),
        "committed before the reply"
    );
    assert_eq!(
        (stream.disks[0].name.as_str(), stream.disks[0].serial.as_str()),
        ("/dev/vda", "A")
    );
    let pinned = site
        .server("node-1", |server| !server.spec.disks.is_empty())
        .await
        .spec
        .disks;
    assert_eq!(
        (pinned[0].attempt, &pinned[0].contents),
        (1, &vec!["GPT".to_owned()])
    );
    site.logged(
        "node-1",
        "/dev/vda is /dev/vda (serial number A, 1073741824 bytes); on it: GPT",
    )
    .await;
    // The next boot calls the disks otherwise.
    let again = action(
        next_with(site, vec![disk("vda", "B"), disk("vdb", "A")])
            .await
            .unwrap(),
    );
    assert!(again.resumed && again.action_id == stream.action_id);
    assert_eq!(again.disks, stream.disks);

    let mut progress = report(&stream, ActionState::Running);
    (progress.percent, progress.log) = (Some(43), vec!["writing".into()]);
    site.workflows.report(site.request(progress).await).await.unwrap();
    site.workflow("install-1", |workflow| {
        workflow.status.as_ref().is_some_and(|s| s.percent == Some(43))
    })
    .await;
    site.logged("node-1", "writing").await;

    let mut done = report(&stream, ActionState::Success);
    done.facts.insert("disk".into(), "/dev/vda".into());
    for _ in 0..2 {
        site.workflows
            .report(site.request(done.clone()).await)
            .await
            .unwrap();
    }
    let contrary = site
        .workflows
        .report(site.request(report(&stream, ActionState::Failed)).await)
        .await;
    assert_eq!(contrary.unwrap_err().code(), Code::FailedPrecondition);
}

/// The handover waits until the machine is disarmed; the agent's question stays open meanwhile.
async fn leaves(site: &Site) {
    let asking = next(site);
    let disarm = async {
        site.server("node-1", |server| {
            server
                .spec
                .attempt
                .as_ref()
                .is_some_and(|attempt| attempt.handover)
        })
        .await;
        site.session("node-1", 1, SessionPhase::Disarmed).await;
    };
    let (leave, ()) = tokio::join!(asking, disarm);
    let leave = action(leave.unwrap());
    assert_eq!(
        (leave.kind.as_str(), leave.environment["HANDOVER"].as_str()),
        ("handover", "auto")
    );
    let success = report(&leave, ActionState::Success);
    site.workflows
        .report(site.request(success.clone()).await)
        .await
        .unwrap();
    let ended = site
        .workflow("install-1", |workflow| {
            state(workflow) == Some(WorkflowState::Success)
        })
        .await;
    let status = ended.status.unwrap();
    assert_eq!(status.facts["disk"], "/dev/vda");
    let netboot = status.boot_options.unwrap().allow_netboot.unwrap();
    assert!(netboot.toggled_true && netboot.toggled_false);
    assert!(!site.allow_pxe("node-1").await);
    let server = site
        .server("node-1", |server| {
            server.spec.attempt.as_ref().is_some_and(|attempt| attempt.closed)
        })
        .await;
    assert_eq!(server.spec.attempt.unwrap().number, 1);

    // The reply was lost: the same report again is answered, anything else is not.
    site.workflows.report(site.request(success).await).await.unwrap();
    assert_eq!(next(site).await.unwrap_err().code(), Code::PermissionDenied);
    let late = site
        .workflows
        .report(site.request(report(&leave, ActionState::Running)).await)
        .await;
    assert!(late.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_action_ends_the_workflow_and_the_next_one_fences_it() {
    let site = Site::start().await;
    site.machine("node-1").await;
    site.template("install", TEMPLATE).await;
    site.make_workflow("install-1", "install", json!({})).await;
    site.server("node-1", attempt_is(1)).await;
    site.session("node-1", 1, SessionPhase::Claimed).await;
    site.workflow("install-1", |workflow| {
        state(workflow) == Some(WorkflowState::Pending)
    })
    .await;
    let stream = action(next(&site).await.unwrap());

    site.make_workflow("install-2", "install", json!({})).await;
    site.workflow("install-2", |workflow| {
        reason(workflow) == "Workflow install-1 runs on this server"
    })
    .await;
    site.since("install-2", 50).await;

    let mut failed = report(&stream, ActionState::Failed);
    failed.message = "disk /dev/vda has 1 GiB, the image needs 4 GiB".into();
    site.workflows.report(site.request(failed).await).await.unwrap();
    let ended = site
        .workflow("install-1", |workflow| {
            state(workflow) == Some(WorkflowState::Failed)
        })
        .await;
    assert_eq!(
        reason(&ended),
        "node-1: action stream failed: disk /dev/vda has 1 GiB, the image needs 4 GiB"
    );
    for (kind, name) in [("Workflow", "install-1"), ("Hardware", "node-1")] {
        let text = site.event(kind, name, "WorkflowFailed").await;
        assert_eq!(text, format!("Workflow install-1: {}", reason(&ended)));
    }

    site.server("node-1", attempt_is(2)).await;
    let second = site
        .workflow("install-2", |workflow| {
            workflow
                .status
                .as_ref()
                .is_some_and(|status| status.attempt == Some(2))
                && reason(workflow) != "Workflow install-1 runs on this server"
        })
        .await;
    assert_eq!(
        (state(&second), reason(&second).as_str()),
        (Some(WorkflowState::Preparing), "the machine is being armed"),
        "the wait before its attempt does not count"
    );
    let stale = site
        .workflows
        .report(site.request(report(&stream, ActionState::Success)).await)
        .await;
    assert_eq!(
        stale.unwrap_err().code(),
        Code::PermissionDenied,
        "attempt 1 is fenced"
    );
    let wrong = ReportRequest {
        attempt: 2,
        ..report(&stream, ActionState::Success)
    };
    let wrong = site.workflows.report(site.request(wrong).await).await;
    assert_eq!(wrong.unwrap_err().code(), Code::PermissionDenied);
    site.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_action_waits_until_its_disk_can_be_told() {
    let site = Site::start().await;
    site.machine("node-1").await;
    site.template("install", TEMPLATE).await;
    site.make_workflow("install-1", "install", json!({})).await;
    site.server("node-1", attempt_is(1)).await;
    site.session("node-1", 1, SessionPhase::Claimed).await;
    site.workflow("install-1", |workflow| {
        state(workflow) == Some(WorkflowState::Pending)
    })
    .await;
    let asking = next_with(&site, vec![disk("vdb", "B"), disk("vdc", "C")]);
    let hint = async {
        let waits = site
            .workflow("install-1", |workflow| {
                reason(workflow).starts_with("no disk is called /dev/vda")
            })
            .await;
        assert!(
            reason(&waits).contains("/dev/vdc (serial number C"),
            "{}",
            reason(&waits)
        );
        assert_eq!(state(&waits), Some(WorkflowState::Pending));
        assert!(site.server("node-1", |_| true).await.spec.disks.is_empty());
        let text = site.event("Hardware", "node-1", "DiskUnclear").await;
        assert_eq!(text, format!("Workflow install-1: {}", reason(&waits)));
        site.annotate(
            "node-1",
            "gantry.dev/root-device-hints",
            r#"{"serialNumber": "C"}"#,
        )
        .await;
        site.session("node-1", 1, SessionPhase::Claimed).await;
    };
    let (stream, ()) = tokio::join!(asking, hint);
    let stream = action(stream.unwrap());
    assert_eq!(
        (stream.disks[0].name.as_str(), stream.disks[0].serial.as_str()),
        ("/dev/vda", "C")
    );
    let runs = site
        .workflow("install-1", |workflow| {
            state(workflow) == Some(WorkflowState::Running)
        })
        .await;
    assert_eq!(runs.status.unwrap().held_back, None);

    // The next attempt is told to use another disk.
    let failed = report(&stream, ActionState::Failed);
    site.workflows.report(site.request(failed).await).await.unwrap();
    site.annotate(
        "node-1",
        "gantry.dev/root-device-hints",
        r#"{"serialNumber": "B"}"#,
    )
    .await;
    site.make_workflow("install-2", "install", json!({})).await;
    site.server("node-1", attempt_is(2)).await;
    assert_eq!(
        next(&site).await.unwrap_err().code(),
        Code::PermissionDenied,
        "attempt 1 is fenced"
    );
    site.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_run_is_told_before_anything_happens() {
    let site = Site::start().await;
    site.machine("node-1").await;
    for (name, text, part) in [
        (
            "cexec",
            TEMPLATE.replace("image2disk:v1.0.0", "cexec:v1"),
            "tasks[0].actions[0].image: there is no native action",
        ),
        (
            "typo",
            TEMPLATE.replace("device_1", "device_2"),
            "line 6: there is no .device_2",
        ),
        (
            "yaml",
            TEMPLATE.replace("global_timeout", "global_timeuot"),
            "rendered line 3",
        ),
    ] {
        site.template(name, &text).await;
        site.make_workflow(name, name, json!({"toggleAllowNetboot": true}))
            .await;
        let failed = site
            .workflow(name, |workflow| state(workflow) == Some(WorkflowState::Failed))
            .await;
        assert!(reason(&failed).contains(part), "{name}: {}", reason(&failed));
        let text = site.event("Workflow", name, "WorkflowFailed").await;
        assert!(text.contains(part), "{text}");
        assert_eq!(
            failed.status.unwrap().template_rendering.as_deref(),
            Some("failed")
        );
    }
    let untouched = site.server("node-1", |_| true).await;
    assert_eq!(untouched.spec.attempt, None);
    assert_eq!(untouched.metadata.namespace.as_deref(), Some(NAMESPACE));
    site.end().await;
}
