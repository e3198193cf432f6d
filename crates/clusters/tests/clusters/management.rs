//! Several clusters on one appliance: who manages whom, and what they must not take from each other.

use std::net::Ipv4Addr;

use clusters_sim::NewCluster;
use kube::api::{Api, DeleteParams, Patch, PatchParams};
use resources::anywhere::{Cluster, ClusterStatus, FailureReason};
use resources::gantry::{Plan, ProviderMachine};
use serde_json::json;

use crate::world::{TURNS, World};

const ENDPOINT: &str = "spec.controlPlaneConfiguration.endpoint.host";

fn edge() -> NewCluster {
    NewCluster {
        name: "edge".to_owned(),
        endpoint: Ipv4Addr::new(192, 0, 2, 20),
        workers: None,
        ..NewCluster::default()
    }
}

/// A cluster that names `demo` as its management cluster.
async fn apply_edge(world: &World) {
    let edge = edge();
    world.clusters().answer_at(&edge.endpoint.to_string(), &edge.name);
    let mut bundle = edge.documents();
    "demo".clone_into(&mut bundle.cluster.spec.management_cluster.name);
    world.create(&bundle.datacenter).await;
    for config in bundle.machine_configs.values() {
        world.create(config).await;
    }
    world.create(&bundle.cluster).await;
}

async fn find(world: &World, name: &str) -> Option<Cluster> {
    world.api::<Cluster>().get_opt(name).await.unwrap()
}

async fn status(world: &World, name: &str) -> ClusterStatus {
    find(world, name).await.unwrap().status.unwrap_or_default()
}

/// Until a cluster runs.
async fn runs(world: &World, name: &str) {
    for _ in 0..TURNS {
        world.rounds(name, 1).await;
        if status(world, name).await.phase.as_deref() == Some("Running") {
            return;
        }
    }
    panic!("{name}: {:#?}", status(world, name).await);
}

async fn delete(world: &World, name: &str) {
    let clusters: Api<Cluster> = world.api();
    clusters.delete(name, &DeleteParams::default()).await.unwrap();
}

/// Files are applied in any order: a workload cluster that comes first waits, and its reason names what for.
#[tokio::test]
async fn a_workload_cluster_waits_for_its_management_cluster() {
    let world = World::new().await;
    apply_edge(&world).await;
    world.rounds("edge", 5).await;
    let waiting = status(&world, "edge").await;
    assert_eq!(
        waiting.failure_reason,
        Some(FailureReason::ManagementClusterRefInvalid)
    );
    for text in [waiting.reason.unwrap(), waiting.failure_message.unwrap()] {
        for part in ["spec.managementCluster.name", "there is no cluster demo"] {
            assert!(text.contains(part), "{text}");
        }
    }
    assert_eq!(world.names::<Plan>().await, [""; 0]);

    // That it is there is enough: it need not run.
    world.apply_documents().await;
    runs(&world, "edge").await;
    assert_eq!(status(&world, "edge").await.failure_message, None);
    runs(&world, "demo").await;
    let mut owners: Vec<String> = world
        .machines()
        .await
        .into_iter()
        .map(|machine: ProviderMachine| machine.spec.cluster_name)
        .collect();
    owners.sort();
    assert_eq!(owners, ["demo", "demo", "edge"]);
}

/// As where both were written at the same moment: the API has refused neither.
#[tokio::test]
async fn a_management_cluster_is_not_taken_away_before_its_workload_clusters() {
    let world = World::new().await;
    world.apply_documents().await;
    world.drive_to_ready().await;
    apply_edge(&world).await;
    runs(&world, "edge").await;
    let before = world.names::<ProviderMachine>().await;
    delete(&world, "demo").await;
    world.rounds("demo", 5).await;
    let reason = status(&world, "demo").await.reason.unwrap();
    assert!(reason.contains("management cluster of edge"), "{reason}");
    assert_eq!(world.names::<ProviderMachine>().await, before);

    delete(&world, "edge").await;
    for _ in 0..TURNS {
        if find(&world, "edge").await.is_none() {
            break;
        }
        world.rounds("edge", 1).await;
    }
    assert!(find(&world, "edge").await.is_none());
    world.drive_to_gone().await;
    assert_eq!(world.names::<ProviderMachine>().await, [""; 0]);
}

/// The older of two clusters had another address when the younger one was made.
#[tokio::test]
async fn the_endpoint_of_a_younger_cluster_that_exists_is_not_taken() {
    let world = World::new().await;
    for server in ["a", "d", "e"] {
        world.remove_hardware(server).await;
    }
    // It waits for a host.
    world.apply_documents().await;
    world.rounds("demo", 5).await;
    assert_eq!(world.names::<Plan>().await, [""; 0]);
    world.add_hardware("f", "cp").await;
    apply_edge(&world).await;
    runs(&world, "edge").await;

    let endpoint =
        json!({ "spec": { "controlPlaneConfiguration": { "endpoint": { "host": edge().endpoint } } } });
    world.edit(endpoint).await;
    world.add_hardware("g", "cp").await;
    world.rounds("demo", 10).await;
    let refused = status(&world, "demo").await.failure_message.unwrap();
    for part in [ENDPOINT, "192.0.2.20 is already the endpoint of cluster edge"] {
        assert!(refused.contains(part), "{refused}");
    }
    assert_eq!(world.machines().await.len(), 1);

    let back = json!({ "spec": { "controlPlaneConfiguration": { "endpoint": { "host": "192.0.2.10" } } } });
    let clusters: Api<Cluster> = world.api();
    clusters
        .patch("demo", &PatchParams::default(), &Patch::Merge(back))
        .await
        .unwrap();
    world.drive_to_ready().await;
}
