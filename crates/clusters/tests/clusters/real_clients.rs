//! Programs of the Cluster API project, and one that does what cluster-autoscaler does, on the objects of a played cluster.
//!
//! They are ignored by default, because the programs take minutes to build: `cargo xtask peers`, which CI runs before.

use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use kube::Api;
use kube::api::{DynamicObject, ListParams};
use kube::discovery::ApiResource;
use resources::cluster_api::{Cluster, Machine, MachineDeployment, MachineSet};
use serde_json::{Value, json};
use sim::newest_build;

use crate::life::made;
use crate::world::{NAMESPACE, World};

/// How long a program may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(600);

/// Runs a program while coordinator and world act in turn, and says what it wrote.
async fn run(world: &World, mut command: Command) -> String {
    let folder = world.site.scratch();
    command
        .env("HOME", folder)
        .env("XDG_CONFIG_HOME", folder)
        // It would ask the Internet for newer versions of itself.
        .env("CLUSTERCTL_DISABLE_VERSIONCHECK", "true")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let began = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if began.elapsed() > PATIENCE {
            child.kill().unwrap();
        }
        world.rounds("demo", 1).await;
    }
    let Output {
        status,
        stdout,
        stderr,
    } = child.wait_with_output().unwrap();
    let (stdout, stderr) = (String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    assert!(status.success(), "{command:?}: {status}\n{stdout}{stderr}");
    stdout.into_owned()
}

fn clusterctl(kubeconfig: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(newest_build("clusterctl"));
    command
        .args(arguments)
        .args(["--namespace", NAMESPACE, "--kubeconfig"])
        .arg(kubeconfig);
    command
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the program autoscaler: cargo xtask peers"]
async fn real_autoscaler_client_scales_and_picks_the_victim() {
    let world = made(1).await;
    crate::worker_groups::autoscale(&world, 1, 2).await;
    world.drive_to_ready().await;
    let kubeconfig = world.site.serve().await;
    let first = world.host(&world.workers().await[0]);
    let mut command = Command::new(newest_build("autoscaler"));
    command
        .args(["--namespace", NAMESPACE, "--group", "demo-md-0", "--kubeconfig"])
        .arg(&kubeconfig);
    let said = run(&world, command).await;
    println!("{said}");
    for line in [
        "version v1beta2".to_owned(),
        "bounds 1 2".to_owned(),
        "size 2".to_owned(),
        format!("victim tinkerbell://{NAMESPACE}/{first}"),
        "size 1".to_owned(),
        "done".to_owned(),
    ] {
        assert!(said.lines().any(|known| known == line), "{line}: {said}");
    }
    let left = world.workers().await;
    assert!(left.len() == 1 && world.host(&left[0]) != first, "{left:?}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs clusterctl: cargo xtask peers"]
async fn real_clusterctl_describes_the_cluster_and_gets_its_kubeconfig() {
    let world = made(1).await;
    let kubeconfig = world.site.serve().await;
    let arguments = [
        "describe",
        "cluster",
        "demo",
        "--show-machinesets",
        "--grouping=false",
        "--echo",
    ];
    let tree = run(&world, clusterctl(&kubeconfig, &arguments)).await;
    println!("{tree}");
    let workers = world.workers().await;
    let members = world.control_planes().await;
    let line = |name: &str| {
        let found = tree.lines().find(|line| line.contains(name));
        found.unwrap_or_else(|| panic!("no {name} in\n{tree}"))
    };
    for name in [
        "Cluster/demo",
        "ClusterInfrastructure - ProviderCluster/demo",
        "ControlPlane - ControlPlane/demo",
        "MachineDeployment/demo-md-0",
        "MachineSet/demo-md-0-",
        &format!("Machine/{}", workers[0]),
        &format!("Machine/{}", members[0]),
        &format!("MachineInfrastructure - ProviderMachine/{}", workers[0]),
    ] {
        line(name);
    }
    for name in ["Cluster/demo", "MachineDeployment/demo-md-0"] {
        assert!(line(name).contains("True   Available"), "{tree}");
    }
    let text = run(&world, clusterctl(&kubeconfig, &["get", "kubeconfig", "demo"])).await;
    let parsed = kube::config::Kubeconfig::from_yaml(&text).unwrap();
    let cluster = parsed.clusters[0].cluster.as_ref().unwrap();
    assert_eq!(cluster.server.as_deref(), Some("https://192.0.2.10:6443"));
}

/// Every object of Cluster API's kinds in a version.
async fn objects(world: &World, version: &str) -> Vec<Value> {
    let mut all = Vec::new();
    for mut resource in [
        ApiResource::erase::<Cluster>(&()),
        ApiResource::erase::<Machine>(&()),
        ApiResource::erase::<MachineDeployment>(&()),
        ApiResource::erase::<MachineSet>(&()),
    ] {
        version.clone_into(&mut resource.version);
        resource.api_version = format!("cluster.x-k8s.io/{version}");
        let api: Api<DynamicObject> = Api::namespaced_with(world.site.client(), NAMESPACE, &resource);
        for object in api.list(&ListParams::default()).await.unwrap().items {
            let mut object = serde_json::to_value(object).unwrap();
            object["apiVersion"] = resource.api_version.as_str().into();
            object["kind"] = resource.kind.as_str().into();
            all.push(object);
        }
    }
    all
}

/// Without what a Go program writes for "not set", and without what is not comparable.
fn said(object: &Value) -> Value {
    match object {
        Value::Object(fields) => {
            let kept = fields.iter().map(|(field, value)| (field.clone(), said(value)));
            let empty = [
                Value::Null,
                json!(false),
                json!(0),
                json!(""),
                json!({}),
                json!([]),
            ];
            kept.filter(|(_, value)| !empty.contains(value)).collect()
        }
        Value::Array(items) => items.iter().map(said).collect(),
        other => other.clone(),
    }
}

/// Removes fields at the top of `status`.
fn without(object: &mut Value, fields: &[&str]) {
    if let Some(status) = object["status"].as_object_mut() {
        status.retain(|field, _| !fields.contains(&field.as_str()));
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the program conversion: cargo xtask peers"]
async fn real_conversion_to_the_older_version_says_the_same() {
    let world = made(1).await;
    let file = world.site.scratch().join("objects.json");
    let newer = objects(&world, "v1beta2").await;
    std::fs::write(&file, serde_json::to_string(&newer).unwrap()).unwrap();
    let mut command = Command::new(newest_build("conversion"));
    command.arg(&file);
    let peers: Vec<Value> = serde_json::from_str(&run(&world, command).await).unwrap();
    let ours = objects(&world, "v1beta1").await;
    assert_eq!(ours.len(), peers.len());
    assert!(ours.len() > 4, "{ours:?}");
    for (ours, peers) in ours.iter().zip(&peers) {
        let (mut ours, mut peers) = (said(ours), said(peers));
        for object in [&mut ours, &mut peers] {
            object["metadata"] = json!({"name": object["metadata"]["name"]});
            let map = object.as_object_mut().unwrap();
            map.retain(|field, _| field != "apiVersion" && field != "kind");
        }
        // Fields that Cluster API does not have, and those that its controllers write for older clients alone.
        without(
            &mut ours,
            &["since", "reason", "deadline", "percent", "conditions"],
        );
        without(
            &mut ours,
            &["readyReplicas", "availableReplicas", "updatedReplicas"],
        );
        assert_eq!(ours, peers);
    }
}
