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
use resources::anywhere::{Cluster, DockerDatacenterConfig, VSphereDatacenterConfig, VSphereMachineConfig};
use resources::gantry::{ProviderDriver, ProviderMachine, ProviderMachinePhase, Release};
use serde_json::{Value, json};
use sha2::Digest as _;

const NAMESPACE: &str = "eksa-system";
/// Names of the driver: its own, and that of the provider of a cluster.
const MEMORY: &str = "memory";
const DOCKER: &str = "docker";
/// API version of clusters' documents.
const EKSA: &str = "anywhere.eks.amazonaws.com/v1alpha1";
const GENEROUS: Duration = Duration::from_secs(120);
const LOOK: Duration = Duration::from_millis(50);

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let first = arguments.next();
    if first.as_deref() == Some(driver::launch::ARGUMENT) {
        return driver::launch::launch_main(&arguments.next().unwrap_or_default());
    }
    if std::env::var_os("MACHINE_DRIVER_COOKIE").is_some() {
        let name = if first.as_deref() == Some(DOCKER) {
            DOCKER
        } else {
            MEMORY
        };
        return driver::sdk::run("build", |context| MemoryDriver::new(None, context).named(name));
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(a_driver_of_the_configuration_makes_machines_and_ends_with_the_appliance());
    runtime.block_on(a_program_with_another_digest_is_not_run());
    runtime.block_on(machines_of_a_cluster_are_made_by_its_driver_and_go_with_it());
    println!("3 passed");
    ExitCode::SUCCESS
}

fn sha256(file: &Path) -> String {
    hex::encode(sha2::Sha256::digest(std::fs::read(file).unwrap()))
}

/// Settings with this driver under its own name, whose digest is `sha256`.
fn settings(folder: &Path, url: &str, sha256: &str) -> Settings {
    named_settings(folder, url, sha256, MEMORY)
}

/// The same under another name.
fn named_settings(folder: &Path, url: &str, sha256: &str, name: &str) -> Settings {
    let program = std::env::current_exe().unwrap();
    let drivers = json!({"drivers": [{
        "name": name, "program": program, "sha256": sha256, "arguments": [name],
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

/// What a cluster is made of.
fn release() -> Release {
    let component = |name: &str, image: &str| json!({"name": name, "image": image});
    let spec = json!({
        "kubernetesVersion": "1.36", "patchVersion": "v1.36.0",
        "components": [
            component("etcd", "registry.k8s.io/etcd:3.6.6-0"), component("flannel", "ghcr.io/flannel-io/flannel:v0.27.4"),
            component("coredns", "registry.k8s.io/coredns/coredns:v1.14.0"), component("kube-vip", "ghcr.io/kube-vip/kube-vip:v1.2.0"),
            component("keepalived", "gantry.dev/keepalived:trixie"),
        ],
        "nodeImages": [{"osFamily": "docker", "cni": "flannel", "image": "ubuntu-24.04"}],
    });
    Release::new("v1.36.0", serde_json::from_value(spec).unwrap())
}

async fn machines_of_a_cluster_are_made_by_its_driver_and_go_with_it() {
    let folder = std::sync::Arc::new(tempfile::tempdir().unwrap());
    let provider = MemoryProvider::start().await.unwrap();
    let digest = sha256(&std::env::current_exe().unwrap());
    let settings = named_settings(folder.path(), &provider.url(), &digest, DOCKER);
    let appliance = running::Running::start_with(folder, settings).await;
    let client = appliance.admin().await;
    let releases: Api<Release> = Api::all(client.clone());
    releases.create(&PostParams::default(), &release()).await.unwrap();
    make::<Secret>(
        &client,
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "memory"},
            "stringData": {"password": PASSWORD}}),
    )
    .await;
    // Its name is that of the driver's scope.
    make::<DockerDatacenterConfig>(
        &client,
        json!({"apiVersion": EKSA, "kind": "DockerDatacenterConfig", "metadata": {"name": "lab"}, "spec": {}}),
    )
    .await;
    make::<Cluster>(
        &client,
        cluster(
            "prod",
            &json!({"kind": "DockerDatacenterConfig", "name": "lab"}),
            None,
        ),
    )
    .await;
    let founder = running_founder(&client).await;
    let objects = provider.objects();
    let [object] = objects.as_slice() else {
        panic!("the worker waits for the cluster: {objects:?}");
    };
    assert_eq!(object.made.name, founder);
    assert_eq!(object.made.image, "ubuntu-24.04");
    let userdata = String::from_utf8(object.made.userdata.clone()).unwrap();
    for part in [
        "#cloud-config\n",
        "/var/lib/gantry/bootstrap/kubeadm.yaml",
        "'init'",
    ] {
        assert!(userdata.contains(part), "{part}");
    }

    let clusters: Api<Cluster> = Api::namespaced(client.clone(), NAMESPACE);
    clusters.delete("prod", &DeleteParams::default()).await.unwrap();
    let gone = async {
        while clusters.get_opt("prod").await.unwrap().is_some() {
            tokio::time::sleep(LOOK).await;
        }
    };
    tokio::time::timeout(GENEROUS, gone).await.expect("it goes");
    assert!(provider.objects().is_empty());
    let machines: Api<ProviderMachine> = Api::namespaced(client.clone(), NAMESPACE);
    assert_eq!(machines.list(&Default::default()).await.unwrap().items, []);
    let secrets: Api<Secret> = Api::namespaced(client.clone(), NAMESPACE);
    let left = secrets.list(&Default::default()).await.unwrap().items;
    let left: Vec<_> = left
        .iter()
        .filter_map(|secret| secret.metadata.name.as_deref())
        .collect();
    assert_eq!(
        left.iter().filter(|name| name.starts_with("prod-")).count(),
        0,
        "{left:?}"
    );
    a_cluster_without_its_driver_says_what_to_add(&client).await;
    appliance.end().await;
}

/// A Cluster of one member and one worker, whose machines have this configuration.
fn cluster(name: &str, datacenter: &Value, machines: Option<&Value>) -> Value {
    // The coordinator asks for its API at an address that no packet is ever sent to.
    let mut control_plane = json!({"count": 1, "endpoint": {"host": "0.0.0.1"}});
    let mut workers = json!({"name": "md-0", "count": 1});
    if let Some(machines) = machines {
        control_plane["machineGroupRef"] = machines.clone();
        workers["machineGroupRef"] = machines.clone();
    }
    json!({"apiVersion": EKSA, "kind": "Cluster", "metadata": {"name": name}, "spec": {
        "kubernetesVersion": "1.36", "datacenterRef": datacenter,
        "clusterNetwork": {"cniConfig": {"flannel": {}}, "pods": {"cidrBlocks": ["10.244.0.0/16"]},
            "services": {"cidrBlocks": ["10.96.0.0/12"]}},
        "controlPlaneConfiguration": control_plane, "workerNodeGroupConfigurations": [workers],
    }})
}

async fn a_cluster_without_its_driver_says_what_to_add(client: &Client) {
    make::<VSphereDatacenterConfig>(
        client,
        json!({"apiVersion": EKSA, "kind": "VSphereDatacenterConfig", "metadata": {"name": "hall"},
            "spec": {"datacenter": "hall", "network": "lan", "server": "vcenter.example"}}),
    )
    .await;
    make::<VSphereMachineConfig>(
        client,
        json!({"apiVersion": EKSA, "kind": "VSphereMachineConfig", "metadata": {"name": "far"},
            "spec": {"datastore": "ssd", "resourcePool": "pool", "osFamily": "ubuntu", "template": "ubuntu"}}),
    )
    .await;
    let (datacenter, machines) = (
        json!({"kind": "VSphereDatacenterConfig", "name": "hall"}),
        json!({"kind": "VSphereMachineConfig", "name": "far"}),
    );
    make::<Cluster>(client, cluster("far", &datacenter, Some(&machines))).await;
    let clusters: Api<Cluster> = Api::namespaced(client.clone(), NAMESPACE);
    let says = |cluster: &Value| {
        let reason = cluster["status"]["reason"].as_str().unwrap_or_default();
        reason.contains("has no driver vsphere (it has: docker)") && reason.contains("driversFile")
    };
    when(&clusters, "far", says).await;
    let machines: Api<ProviderMachine> = Api::namespaced(client.clone(), NAMESPACE);
    assert_eq!(machines.list(&Default::default()).await.unwrap().items, []);
}

/// Waits until the first machine of the control plane runs at its provider; its name.
async fn running_founder(client: &Client) -> String {
    let machines: Api<ProviderMachine> = Api::namespaced(client.clone(), NAMESPACE);
    let clusters: Api<Cluster> = Api::namespaced(client.clone(), NAMESPACE);
    let found = tokio::time::timeout(GENEROUS, async {
        loop {
            let all = machines.list(&Default::default()).await.unwrap().items;
            let running = all.iter().find(|machine| {
                let status = machine.status.as_ref();
                status.is_some_and(|status| status.phase == ProviderMachinePhase::Running)
            });
            if let Some(machine) = running {
                return machine.metadata.name.clone().unwrap();
            }
            tokio::time::sleep(LOOK).await;
        }
    })
    .await;
    match found {
        Ok(name) => name,
        Err(_) => panic!(
            "no machine runs: {:#?}, {:#?}",
            clusters.get("prod").await.unwrap().status,
            machines.list(&Default::default()).await.unwrap().items
        ),
    }
}
