//! The driver on the embedded API: who gets which server, what follows a failure, and when a server comes back.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use driver_metal::{MetalDriver, Settings};
use jiff::{SignedDuration, Timestamp};
use kube::api::DeleteParams;
use kube::{Client, ResourceExt as _};
use resources::bmc::{self, Job};
use resources::gantry::{Image, ProviderMachine, ProviderMachinePhase, Server, WipePolicy};
use resources::keys;
use resources::tinkerbell::{Hardware, Workflow};
use serde_json::json;
use sim::Site;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

mod anew;
mod counts;
mod failures;
mod growth;
mod own_images;
mod release;
mod wipe;

const NAMESPACE: &str = "eksa-system";

async fn machine(site: &Site, name: &str) {
    machine_in(site, name, 60).await;
}

async fn machine_in(site: &Site, name: &str, minutes: u32) {
    site.make::<ProviderMachine>(json!({
        "apiVersion": "gantry.dev/v1alpha1", "kind": "ProviderMachine", "metadata": {"name": name},
        "spec": {"provider": "metal", "clusterName": "prod", "pool": "md-0", "machine": name, "imageURL": "file:///image.gz",
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
    drive_with(site, WipePolicy::None)
}

fn drive_with(site: &Site, wipe: WipePolicy) -> (JoinHandle<()>, CancellationToken) {
    drive_on(site.client(), wipe)
}

fn drive_on(client: Client, wipe: WipePolicy) -> (JoinHandle<()>, CancellationToken) {
    let settings = Settings {
        appliance: Ipv4Addr::new(192, 0, 2, 1),
        http_port: 7080,
        patience: 1,
        cooldown: SignedDuration::from_hours(24),
        wipe,
        keep_failed: false,
    };
    let cancel = CancellationToken::new();
    let driver = MetalDriver::new(client, settings);
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
        status.phase == ProviderMachinePhase::Pending && status.reason.is_some() && status.host.is_none()
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
