//! The appliance with a plugin driver from its configuration. This program is the test, the launcher and the driver, by how it
//! is called, so that a real process is confined, pinned and stopped as that of a user's driver is.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

#[path = "../running/mod.rs"]
#[allow(dead_code, reason = "other tests use the rest")]
mod running;

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use appliance::{Given, Settings};
use driver_sim::{MemoryDriver, MemoryProvider, PASSWORD};
use k8s_openapi::api::core::v1::Secret;
use kube::Client;
use kube::api::{Api, DeleteParams, PostParams};
use resources::gantry::{ProviderDriver, ProviderMachine, ProviderMachinePhase};
use serde_json::{Value, json};
use sha2::Digest as _;

const NAMESPACE: &str = "eksa-system";
const GENEROUS: Duration = Duration::from_secs(120);
const LOOK: Duration = Duration::from_millis(50);

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    if arguments.next().as_deref() == Some(driver::launch::ARGUMENT) {
        return driver::launch::launch_main(&arguments.next().unwrap_or_default());
    }
    if std::env::var_os("MACHINE_DRIVER_COOKIE").is_some() {
        return driver::sdk::run("build", |context| MemoryDriver::new(None, context));
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(a_driver_of_the_configuration_makes_machines_and_ends_with_the_appliance());
    runtime.block_on(a_program_with_another_digest_is_not_run());
    println!("2 passed");
    ExitCode::SUCCESS
}

fn sha256(file: &Path) -> String {
    hex::encode(sha2::Sha256::digest(std::fs::read(file).unwrap()))
}

/// Settings with this driver, whose digest is `sha256`.
fn settings(folder: &Path, url: &str, sha256: &str) -> Settings {
    let program = std::env::current_exe().unwrap();
    let drivers = json!({"drivers": [{
        "name": "memory", "program": program, "sha256": sha256,
        "scopes": [{"name": "lab", "config": {"url": url, "network": "lan"}, "secret": "eksa-system/memory"}],
    }]});
    let file = folder.join("drivers.yaml");
    std::fs::write(&file, drivers.to_string()).unwrap();
    let given = Given {
        value: file.display().to_string(),
        place: "test".to_owned(),
    };
    running::settings_with(folder, [("driversFile", given)])
}

/// An object once something holds.
async fn when<K>(api: &Api<K>, name: &str, holds: impl Fn(&Value) -> bool) -> K
where
    K: Clone + std::fmt::Debug + serde::de::DeserializeOwned + serde::Serialize,
{
    let mut last = None;
    let found = tokio::time::timeout(GENEROUS, async {
        loop {
            if let Some(object) = api.get_opt(name).await.unwrap() {
                if holds(&serde_json::to_value(&object).unwrap()) {
                    return object;
                }
                last = Some(object);
            }
            tokio::time::sleep(LOOK).await;
        }
    });
    let found = found.await;
    found.unwrap_or_else(|_| panic!("it never holds for {name}: {last:#?}"))
}

async fn make<K>(client: &Client, object: Value)
where
    K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType = ()>
        + Clone
        + std::fmt::Debug
        + serde::de::DeserializeOwned
        + serde::Serialize,
{
    let object: K = serde_json::from_value(object).unwrap();
    let api: Api<K> = Api::namespaced(client.clone(), NAMESPACE);
    api.create(&PostParams::default(), &object).await.unwrap();
}

/// The texts of the records of a driver.
async fn log(client: &Client) -> Vec<String> {
    let uri = "/apis/records.gantry.dev/v1alpha1/driverlogs?fieldSelector=machine%3Dmemory";
    let request = http::Request::get(uri).body(Vec::new()).unwrap();
    let list: Value = client.request(request).await.unwrap();
    let items = list["items"].as_array().unwrap().iter();
    items
        .map(|item| item["data"]["text"].as_str().unwrap().to_owned())
        .collect()
}

fn is_alive(pid: u64) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"));
    // One that has ended and was not waited for is `Z`.
    stat.is_ok_and(|stat| !stat.contains(") Z "))
}

async fn a_driver_of_the_configuration_makes_machines_and_ends_with_the_appliance() {
    let folder = std::sync::Arc::new(tempfile::tempdir().unwrap());
    let provider = MemoryProvider::start().await.unwrap();
    let digest = sha256(&std::env::current_exe().unwrap());
    let settings = settings(folder.path(), &provider.url(), &digest);
    let appliance = running::Running::start_with(folder, settings).await;
    let client = appliance.admin().await;
    make::<Secret>(
        &client,
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "memory"},
            "stringData": {"password": PASSWORD}}),
    )
    .await;
    make::<ProviderMachine>(
        &client,
        json!({"apiVersion": "gantry.dev/v1alpha1", "kind": "ProviderMachine", "metadata": {"name": "prod-1"},
            "spec": {"provider": "memory", "clusterName": "prod", "clusterUid": "c", "machine": "prod-1",
                "machineUid": "m", "pool": "md-0", "imageURL": "ubuntu-24.04",
                "plugin": {"scope": "lab", "vcpus": 2, "memoryMib": 2048}}}),
    )
    .await;
    let machines: Api<ProviderMachine> = Api::namespaced(client.clone(), NAMESPACE);
    let machine = when(&machines, "prod-1", |machine| {
        machine["status"]["phase"] == "running"
    })
    .await;
    assert_eq!(machine.status.unwrap().phase, ProviderMachinePhase::Running);
    assert_eq!(provider.objects().len(), 1);
    let drivers: Api<ProviderDriver> = Api::all(client.clone());
    let driver = when(&drivers, "memory", |driver| driver["status"]["phase"] == "ready").await;
    assert_eq!(driver.spec.sha256, digest);
    let pid = u64::from(driver.status.unwrap().pid.unwrap());
    assert!(is_alive(pid));
    let lines = tokio::time::timeout(GENEROUS, async {
        loop {
            let lines = log(&client).await;
            if !lines.is_empty() {
                return lines;
            }
            tokio::time::sleep(LOOK).await;
        }
    });
    let lines = lines.await.expect("the driver's log is kept");
    assert!(lines.iter().any(|line| line.contains("Landlock")), "{lines:?}");

    machines.delete("prod-1", &DeleteParams::default()).await.unwrap();
    let gone = async {
        while machines.get_opt("prod-1").await.unwrap().is_some() {
            tokio::time::sleep(LOOK).await;
        }
    };
    tokio::time::timeout(GENEROUS, gone).await.expect("it goes");
    assert!(provider.objects().is_empty());
    appliance.end().await;
    assert!(!is_alive(pid), "the driver outlives the appliance");
    assert_eq!(provider.sessions(), 0, "it has drained");
}

async fn a_program_with_another_digest_is_not_run() {
    let folder = std::sync::Arc::new(tempfile::tempdir().unwrap());
    let settings = settings(folder.path(), "http://127.0.0.1:1", &"00".repeat(32));
    let appliance = running::Running::start_with(folder, settings).await;
    let client = appliance.admin().await;
    let drivers: Api<ProviderDriver> = Api::all(client);
    let driver = when(&drivers, "memory", |driver| {
        driver["status"]["phase"] == "quarantined"
    })
    .await;
    let reason = driver.status.unwrap().reason.unwrap();
    assert!(reason.contains("digest") || reason.contains("sha256"), "{reason}");
    appliance.end().await;
}
