//! The driver on the embedded API: who gets which server, and when it comes back.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use driver_metal::{MetalDriver, Settings};
use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt as _;
use kube::api::DeleteParams;
use resources::bmc::{self, Job};
use resources::gantry::{Image, ProviderMachine, ProviderMachineState, Server};
use resources::keys;
use resources::tinkerbell::{Hardware, Workflow};
use serde_json::json;
use sim::Site;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

const NAMESPACE: &str = "eksa-system";

async fn machine(site: &Site, name: &str) {
    machine_in(site, name, 60).await;
}

async fn machine_in(site: &Site, name: &str, minutes: u32) {
    site.make::<ProviderMachine>(json!({
        "apiVersion": "gantry.dev/v1alpha1", "kind": "ProviderMachine", "metadata": {"name": name},
        "spec": {"provider": "metal", "clusterName": "prod", "machine": name, "imageURL": "file:///image.gz",
            "metal": {"selector": [{"matchLabels": {"type": "worker"}}]}, "deadlineMinutes": minutes}
    }))
    .await;
}

async fn server(site: &Site, name: &str, kind: &str) {
    site.make::<Hardware>(json!({
        "apiVersion": "tinkerbell.org/v1alpha1", "kind": "Hardware",
        "metadata": {"name": name, "labels": {"type": kind}},
        "spec": {"interfaces": [{"dhcp": {"mac": "52:54:00:00:00:01"}}]}
    }))
    .await;
    site.make::<Server>(json!({
        "apiVersion": "gantry.dev/v1alpha1", "kind": "Server", "metadata": {"name": name},
        "spec": {"machineId": format!("m-{name}"), "hardware": name}
    }))
    .await;
    site.merge_status::<Server>(name, json!({"status": {"state": "available"}}))
        .await;
}

fn drive(site: &Site) -> (JoinHandle<()>, CancellationToken) {
    let settings = Settings {
        appliance: Ipv4Addr::new(192, 0, 2, 1),
        http_port: 7080,
        patience: 1,
        cooldown: SignedDuration::from_hours(24),
    };
    let cancel = CancellationToken::new();
    let driver = MetalDriver::new(site.client(), settings);
    (tokio::spawn(driver.run(cancel.clone())), cancel)
}

fn host(machine: &ProviderMachine) -> Option<String> {
    machine.status.as_ref()?.host.clone()
}

#[tokio::test]
async fn each_machine_gets_a_server_of_its_own_and_gives_it_back() {
    let site = Site::start(NAMESPACE).await;
    for name in ["a", "b", "c"] {
        server(&site, name, "worker").await;
    }
    server(&site, "d", "other").await;
    let names = ["prod-1", "prod-2", "prod-3"];
    for name in names {
        machine(&site, name).await;
    }
    let (driver, cancel) = drive(&site);
    let mut hosts = BTreeSet::new();
    for name in names {
        let machine = site
            .when(name, |machine: &ProviderMachine| host(machine).is_some())
            .await;
        hosts.extend(host(&machine));
    }
    assert_eq!(hosts, ["a", "b", "c"].map(str::to_owned).into());

    machine(&site, "prod-4").await;
    let waits = |machine: &ProviderMachine| {
        let status = machine.status.clone().unwrap_or_default();
        status.state == ProviderMachineState::Pending && status.reason.is_some() && status.host.is_none()
    };
    site.when("prod-4", waits).await;
    let freed = host(&site.api::<ProviderMachine>().get("prod-2").await.unwrap()).unwrap();
    site.api::<ProviderMachine>()
        .delete("prod-2", &DeleteParams::default())
        .await
        .unwrap();
    site.gone::<ProviderMachine>("prod-2").await;
    let last = site
        .when("prod-4", |machine: &ProviderMachine| host(machine).is_some())
        .await;
    assert_eq!(host(&last), Some(freed.clone()));
    let server = site.api::<Server>().get(&freed).await.unwrap();
    assert_eq!(server.spec.claim.as_ref().unwrap().name, last.name_any());
    let other = site.api::<Server>().get("d").await.unwrap();
    assert_eq!(other.spec.claim, None, "its labels do not match");
    cancel.cancel();
    driver.await.unwrap();
}

#[tokio::test]
async fn a_machine_that_failed_for_good_is_an_alarm() {
    let site = Site::start(NAMESPACE).await;
    machine_in(&site, "prod-1", 0).await;
    let (driver, cancel) = drive(&site);
    let failed = |machine: &ProviderMachine| {
        machine.status.as_ref().map(|status| status.state) == Some(ProviderMachineState::Failed)
    };
    let machine = site.when("prod-1", failed).await;
    let reason = machine.status.unwrap().reason.unwrap();
    let text = site.event("ProviderMachine", "prod-1", "MachineFailed").await;
    assert_eq!(text, format!("ProviderMachine prod-1: {reason}"));
    cancel.cancel();
    driver.await.unwrap();
}

#[tokio::test]
async fn a_server_whose_installation_failed_is_the_last_to_be_taken() {
    let site = Site::start(NAMESPACE).await;
    server(&site, "a", "worker").await;
    machine(&site, "prod-1").await;
    let (driver, cancel) = drive(&site);
    site.when("prod-1", |machine: &ProviderMachine| host(machine).is_some())
        .await;
    let workflow = json!({
        "apiVersion": "tinkerbell.org/v1alpha1", "kind": "Workflow",
        "metadata": {"name": "prod-1-1", "labels": {"gantry.dev/provider-machine": "prod-1"}}, "spec": {}
    });
    site.make::<Workflow>(workflow).await;
    let failed = json!({"state": "FAILED", "reason": "no disk", "attempt": 7, "facts": {"hopeless": "true"}});
    site.merge_status::<Workflow>("prod-1-1", json!({"status": failed}))
        .await;
    let since = Timestamp::now().to_string();
    let installing = json!({"status": {"state": "installing", "workflow": "prod-1-1", "since": since}});
    site.merge_status::<ProviderMachine>("prod-1", installing).await;
    site.event("ProviderMachine", "prod-1", "MachineFailed").await;
    let failure = site
        .api::<Server>()
        .get("a")
        .await
        .unwrap()
        .spec
        .last_failure
        .unwrap();
    assert_eq!(
        (
            failure.attempt,
            failure.workflow.as_str(),
            failure.owner.as_str(),
            failure.reason.as_str(),
            failure.count
        ),
        (7, "prod-1-1", "prod-1", "no disk", 1)
    );

    site.api::<ProviderMachine>()
        .delete("prod-1", &DeleteParams::default())
        .await
        .unwrap();
    site.gone::<ProviderMachine>("prod-1").await;
    server(&site, "b", "worker").await;
    for (name, server) in [("prod-2", "b"), ("prod-3", "a")] {
        machine(&site, name).await;
        let machine = site
            .when(name, |machine: &ProviderMachine| host(machine).is_some())
            .await;
        assert_eq!(host(&machine).as_deref(), Some(server));
    }
    let text = site.event("ProviderMachine", "prod-3", "Preparing").await;
    assert!(
        text.contains("although its attempt 7 failed") && text.contains("(no disk)"),
        "{text}"
    );
    cancel.cancel();
    driver.await.unwrap();
}

#[tokio::test]
async fn an_installation_that_lacks_something_waits_for_it_and_says_so() {
    let site = Site::start(NAMESPACE).await;
    server(&site, "a", "worker").await;
    site.make::<Image>(json!({
        "apiVersion": "gantry.dev/v1alpha1", "kind": "Image", "metadata": {"name": "image"},
        "spec": {"url": "file:///image.gz"}
    }))
    .await;
    let digest = format!("sha256:{}", "0".repeat(64));
    let manifest = json!({"name": "image", "compression": "gzip", "rawSize": 1, "rawDigest": digest, "size": 1,
        "digest": digest});
    let ready = json!({"status": {"state": "ready", "manifest": manifest}});
    site.merge_status::<Image>("image", ready).await;
    machine(&site, "prod-1").await;
    let (driver, cancel) = drive(&site);
    site.when("prod-1", |machine: &ProviderMachine| host(machine).is_some())
        .await;
    site.merge_status::<Server>("a", json!({"status": {"state": "claimed"}}))
        .await;
    let asks = |machine: &ProviderMachine| {
        let reason = machine.status.as_ref().and_then(|status| status.reason.clone());
        reason.is_some_and(|reason| reason.contains("cannot make the workflow of prod-1"))
    };
    let waits = site.when("prod-1", asks).await.status.unwrap();
    assert_eq!(waits.state, ProviderMachineState::Preparing);
    assert!(waits.deadline.is_some(), "{waits:?}");
    let text = site.event("ProviderMachine", "prod-1", "Preparing").await;
    assert_eq!(text, "claimed server a");
    cancel.cancel();
    driver.await.unwrap();
}

#[tokio::test]
async fn a_machine_without_bmc_that_ran_comes_back_only_by_a_statement_of_its_own_owner() {
    let site = Site::start(NAMESPACE).await;
    server(&site, "a", "worker").await;
    machine(&site, "prod-1").await;
    let (driver, cancel) = drive(&site);
    site.when("prod-1", |machine: &ProviderMachine| host(machine).is_some())
        .await;
    let session = json!({"attempt": 1, "boot": 1, "bootId": "00", "phase": "closed", "armedAt": "2026-01-01T00:00:00Z",
        "startedAt": "2026-01-01T00:01:00Z", "deadline": "2026-01-01T00:30:00Z"});
    site.merge_status::<Server>(
        "a",
        json!({"status": {"state": "running", "bootSession": session}}),
    )
    .await;
    site.api::<ProviderMachine>()
        .delete("prod-1", &DeleteParams::default())
        .await
        .unwrap();
    let asks = |machine: &ProviderMachine| {
        let reason = machine.status.as_ref().and_then(|status| status.reason.clone());
        reason.is_some_and(|reason| reason.contains("gantry release server a --powered-off"))
    };
    site.when("prod-1", asks).await;
    let state = |owner: &str| json!({"spec": {"release": {"power": "off", "owner": owner}}});
    site.merge::<Server>("a", state("prod-9")).await;
    site.when("prod-1", asks).await;
    let held = site.api::<Server>().get("a").await.unwrap();
    assert_eq!(held.spec.claim.unwrap().name, "prod-1", "stated of another owner");
    site.merge::<Server>("a", state("prod-1")).await;
    site.gone::<ProviderMachine>("prod-1").await;
    assert_eq!(site.api::<Server>().get("a").await.unwrap().spec.claim, None);
    cancel.cancel();
    driver.await.unwrap();
}

#[tokio::test]
async fn a_server_is_given_back_when_its_bmc_has_said_off_twice() {
    let site = Site::start(NAMESPACE).await;
    server(&site, "a", "worker").await;
    site.merge::<Server>("a", json!({"spec": {"bmc": "bmc-a"}})).await;
    site.make::<bmc::Machine>(json!({
        "apiVersion": "bmc.tinkerbell.org/v1alpha1", "kind": "Machine", "metadata": {"name": "bmc-a"},
        "spec": {"connection": {"host": "192.0.2.9", "insecureTLS": true}}
    }))
    .await;
    machine(&site, "prod-1").await;
    let (driver, cancel) = drive(&site);
    site.when("prod-1", |machine: &ProviderMachine| host(machine).is_some())
        .await;
    // Two attempts since the claim: something may run on it.
    let attempt = json!({"number": 2, "workflow": "prod-1-2"});
    site.merge::<Server>("a", json!({"spec": {"attempt": attempt}}))
        .await;
    site.api::<ProviderMachine>()
        .delete("prod-1", &DeleteParams::default())
        .await
        .unwrap();
    site.when("poweroff-prod-1-0", |_: &Job| true).await;
    let ended = json!({"conditions": [{"type": "Completed", "status": "True"}],
        "startTime": "2026-01-01T00:00:00Z", "completionTime": Timestamp::now().to_string()});
    site.merge_status::<Job>("poweroff-prod-1-0", json!({"status": ended}))
        .await;
    let asked = |bmc: &bmc::Machine| {
        let wish = bmc.annotations().get(keys::POLL_REQUESTED);
        wish.is_some_and(|wish| wish == "poweroff-prod-1-0")
    };
    site.when("bmc-a", asked).await;
    let held = site.api::<Server>().get("a").await.unwrap();
    assert_eq!(held.spec.claim.unwrap().name, "prod-1", "said off once");
    let polled = json!({"powerState": "off", "lastPolled": Timestamp::now().to_string()});
    site.merge_status::<bmc::Machine>("bmc-a", json!({"status": polled}))
        .await;
    site.gone::<ProviderMachine>("prod-1").await;
    assert_eq!(site.api::<Server>().get("a").await.unwrap().spec.claim, None);
    cancel.cancel();
    driver.await.unwrap();
}
