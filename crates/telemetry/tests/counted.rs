//! Events against the embedded API: one for each object and reason, counted, and found as kubectl looks for them.

#![allow(clippy::unwrap_used)]

use k8s_openapi::api::core::v1::Event;
use kube::ResourceExt as _;
use kube::api::ListParams;
use resources::tinkerbell::{Hardware, Workflow};
use serde_json::{Value, json};
use sim::Site;
use steps::{StateName, Transition};
use telemetry::Events;

const NAMESPACE: &str = "eksa-system";

fn object(kind: &str, name: &str) -> Value {
    json!({"apiVersion": "tinkerbell.org/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": {}})
}

async fn hardware(site: &Site, name: &str) -> Hardware {
    site.make(object("Hardware", name)).await
}

fn events(site: &Site) -> Events {
    Events::new(site.client(), "gantry-test")
}

/// What `kubectl describe hardware NAME` asks for.
async fn described(site: &Site, hardware: &Hardware) -> Vec<Event> {
    let selector = format!(
        "involvedObject.name={},involvedObject.namespace={NAMESPACE},involvedObject.kind=Hardware,involvedObject.uid={}",
        hardware.name_any(),
        hardware.uid().unwrap()
    );
    let found = site.api().list(&ListParams::default().fields(&selector)).await;
    found.unwrap().items
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_trouble_is_one_event_that_counts() {
    let site = Site::start(NAMESPACE).await;
    let (one, other) = (hardware(&site, "node-1").await, hardware(&site, "node-2").await);
    let events = events(&site);
    events.warn(&one, "SecondAgent", "first text").await;
    events.warn(&one, "SecondAgent", "second text").await;
    events.warn(&one, "SessionFrozen", "frozen").await;

    let found = described(&site, &one).await;
    assert_eq!(found.len(), 2, "{found:#?}");
    let second = found
        .iter()
        .find(|event| event.reason.as_deref() == Some("SecondAgent"))
        .unwrap();
    assert_eq!(second.count, Some(2));
    assert_eq!(second.message.as_deref(), Some("second text"));
    assert_eq!(second.type_.as_deref(), Some("Warning"));
    assert!(second.last_timestamp >= second.first_timestamp);
    assert!(described(&site, &other).await.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_writers_count_on_the_same_event() {
    let site = Site::start(NAMESPACE).await;
    let one = hardware(&site, "node-1").await;
    let both = [events(&site), events(&site)];
    let (first, second) = (
        both[0].warn(&one, "PowerFailed", "a"),
        both[1].warn(&one, "PowerFailed", "b"),
    );
    tokio::join!(first, second);
    let found = described(&site, &one).await;
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].count, Some(2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trouble_of_a_machine_shows_on_its_hardware_too() {
    let site = Site::start(NAMESPACE).await;
    let one = hardware(&site, "node-1").await;
    let workflow: Workflow = site.make(object("Workflow", "install")).await;
    let events = events(&site);
    // Hardware that is gone, and a Workflow that names none, hide nothing of the object itself.
    for hardware in ["node-1", "node-9", ""] {
        events
            .warn_of_machine(&workflow, hardware, "WorkflowFailed", "no disk")
            .await;
    }
    assert_eq!(described(&site, &one).await.len(), 1);
    let all = site.api::<Event>().list(&ListParams::default()).await.unwrap();
    let of_workflow = all
        .iter()
        .find(|event| event.involved_object.kind.as_deref() == Some("Workflow"));
    assert_eq!(of_workflow.unwrap().count, Some(3));
}

fn transition(event: &'static str, failure: bool) -> Transition {
    let name = |event| StateName {
        label: "state",
        event,
        failure,
    };
    Transition {
        from: name("Before"),
        to: name(event),
        reason: "why".to_owned(),
        seconds: None,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transition_is_normal_and_a_failure_a_warning_of_the_machine() {
    let site = Site::start(NAMESPACE).await;
    let one = hardware(&site, "node-1").await;
    let workflow: Workflow = site.make(object("Workflow", "install")).await;
    let events = events(&site);
    let running = transition("Running", false);
    events.transition(&workflow, "node-1", &running).await;
    assert!(described(&site, &one).await.is_empty());
    let failed = transition("WorkflowFailed", true);
    events.transition(&workflow, "node-1", &failed).await;
    assert_eq!(described(&site, &one).await.len(), 1);

    let all = site.api::<Event>().list(&ListParams::default()).await.unwrap();
    let of_workflow = all
        .into_iter()
        .filter(|event| event.involved_object.kind.as_deref() == Some("Workflow"));
    let mut found: Vec<_> = of_workflow
        .map(|event| [event.type_, event.reason, event.message].map(Option::unwrap))
        .collect();
    found.sort_unstable();
    let expected = [
        ["Normal", "Running", "why"],
        ["Warning", "WorkflowFailed", "Workflow install: why"],
    ];
    assert_eq!(found, expected.map(|event| event.map(str::to_owned)));
}
