//! One edit does not harm a cluster: what is not carried out is refused by field, also when nothing stood between the
//! writer and the API.

use clusters::Options;
use kube::ResourceExt;
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams};
use resources::anywhere::{Cluster, ClusterStatus, TinkerbellDatacenterConfig};
use resources::cluster_api::Cluster as CapiCluster;
use resources::gantry::{ControlPlane, Plan, PlanClass, Release};
use resources::keys;
use serde_json::json;

use crate::world::World;

fn ready(status: &ClusterStatus) -> &str {
    let condition = status.conditions.iter().find(|known| known.type_ == "Ready");
    condition.map_or("absent", |condition| condition.status.as_str())
}

/// Until there are so many workers and no plan is under way.
async fn workers(world: &World, count: usize) {
    let holds = async |world: &World| world.workers().await.len() == count && world.is_at_rest().await;
    world.drive(&format!("{count} workers"), holds).await;
}

/// A Release of another patch version of Kubernetes 1.35.
fn another_release(patch_version: &str) -> Release {
    let mut release = clusters_sim::release();
    release.metadata.name = Some(patch_version.to_owned());
    release.spec.patch_version = patch_version.to_owned();
    release
}

async fn add_release(world: &World, release: &Release) {
    let releases: Api<Release> = Api::all(world.client.clone());
    releases.create(&PostParams::default(), release).await.unwrap();
}

#[tokio::test]
async fn another_release_leaves_a_running_cluster_alone() {
    let world = World::new().await;
    world.apply_documents().await;
    world.drive_to_ready().await;
    let before: ControlPlane = world.api().get("demo").await.unwrap();
    assert_eq!(before.spec.release_ref.as_deref(), Some("v1.35.4"));
    // After an update the appliance has another Release, and the old one has other images or is gone.
    add_release(&world, &another_release("v1.35.10")).await;
    let releases: Api<Release> = Api::all(world.client.clone());
    releases
        .delete("v1.35.4", &DeleteParams::default())
        .await
        .unwrap();
    world.scale_workers(2).await;
    workers(&world, 2).await;
    world.drive_to_ready().await;
    let after: ControlPlane = world.api().get("demo").await.unwrap();
    assert_eq!(after.spec.version, "v1.35.4");
    assert_eq!(after.spec.release, before.spec.release);
    assert_eq!(after.spec.initialized_by, before.spec.initialized_by);
}

#[tokio::test]
async fn a_new_cluster_takes_the_release_that_its_image_holds() {
    let world = World::new().await;
    for patch in ["v1.35.10", "v1.35.5"] {
        add_release(&world, &another_release(patch)).await;
    }
    world.apply_documents().await;
    let waits = async |world: &World| {
        let status = world.cluster().await.and_then(|cluster| cluster.status);
        let reason = status.and_then(|status| status.reason);
        reason.is_some_and(|reason| reason.contains("decides which Release is used"))
    };
    world.drive("waiting for the image", waits).await;
    world.drive_to_ready().await;
    let control_plane: ControlPlane = world.api().get("demo").await.unwrap();
    assert_eq!(control_plane.spec.release_ref.as_deref(), Some("v1.35.4"));
}

#[tokio::test]
async fn a_wish_for_more_members_can_be_taken_back_until_they_are_made() {
    let world = World::with(Options {
        self_approved: vec![PlanClass::Create],
        ..Options::default()
    })
    .await;
    world.apply_documents().await;
    world.drive_to_ready().await;
    world.scale_control_plane(3).await;
    let waits = async |world: &World| {
        let reason = world.cluster().await.unwrap().status.unwrap().reason;
        reason.is_some_and(|reason| reason.contains("waits for approval"))
    };
    world.drive("waiting for approval", waits).await;
    world.scale_control_plane(1).await;
    world.drive_to_ready().await;
    assert_eq!(world.control_planes().await.len(), 1);
    world.scale_control_plane(3).await;
    world.drive("waiting for approval", waits).await;
    let plan = world.plan().await;
    world.approve(&plan.name_any()).await;
    world
        .drive("three", async |world: &World| {
            world.control_planes().await.len() == 3
        })
        .await;
    world.drive_to_ready().await;
    let control_plane: ControlPlane = world.api().get("demo").await.unwrap();
    let documents = control_plane.spec.documents.unwrap();
    assert_eq!(documents.cluster.control_plane_configuration.count, 3);
}

#[tokio::test]
async fn edits_past_admission_are_refused_by_field_in_the_status() {
    let world = World::new().await;
    world.apply_documents().await;
    world.drive_to_ready().await;
    let elsewhere = json!({ "spec": { "tinkerbellIP": "192.0.2.99" } });
    let datacenters: Api<TinkerbellDatacenterConfig> = world.api();
    datacenters
        .patch("demo", &PatchParams::default(), &Patch::Merge(elsewhere))
        .await
        .unwrap();
    world
        .edit(json!({ "spec": {
            "controlPlaneConfiguration": {
                "endpoint": { "host": "192.0.2.77" },
            },
            "clusterNetwork": { "pods": { "cidrBlocks": ["10.50.0.0/16"] } },
        } }))
        .await;
    world.rounds("demo", 5).await;
    let status = world.cluster().await.unwrap().status.unwrap();
    let message = status.failure_message.clone().unwrap();
    for field in [
        "spec.controlPlaneConfiguration.endpoint",
        "spec.clusterNetwork.pods",
        "TinkerbellDatacenterConfig demo: spec.tinkerbellIP",
    ] {
        assert!(message.contains(field), "{field}: {message}");
    }
    assert_eq!(
        (status.phase.as_deref(), ready(&status)),
        (Some("Running"), "False")
    );
    assert_eq!(world.names::<Plan>().await, ["demo-plan-1"]);
    // What can be carried out is, with the old values in the refused fields.
    world.scale_workers(2).await;
    workers(&world, 2).await;
    for machine in world.machines().await {
        assert_eq!(
            machine.spec.image_url,
            "file:///srv/debian-13-kubernetes-1.35.raw.zst"
        );
    }
}

#[tokio::test]
async fn a_paused_cluster_is_not_deleted() {
    let world = World::new().await;
    world.apply_documents().await;
    world.drive_to_ready().await;
    let annotate = |key: &str| json!({ "metadata": { "annotations": { key: "true" } } });
    world.edit(annotate(keys::PAUSED)).await;
    let clusters: Api<Cluster> = world.api();
    clusters.delete("demo", &DeleteParams::default()).await.unwrap();
    world.rounds("demo", 5).await;
    assert_eq!(world.machines().await.len(), 2);
    let reason = world.cluster().await.unwrap().status.unwrap().reason.unwrap();
    assert!(reason.contains(keys::ALLOW_DELETE_WHEN_PAUSED), "{reason}");
    world.edit(annotate(keys::ALLOW_DELETE_WHEN_PAUSED)).await;
    world.drive_to_gone().await;
}

#[tokio::test]
async fn an_object_of_another_owner_is_left_alone() {
    let world = World::new().await;
    let foreign = json!({
        "apiVersion": "cluster.x-k8s.io/v1beta2", "kind": "Cluster",
        "metadata": { "name": "demo", "labels": { keys::CLUSTER_NAME: "other" } }, "spec": {},
    });
    let foreign: CapiCluster = serde_json::from_value(foreign).unwrap();
    world.create(&foreign).await;
    world.apply_documents().await;
    world.rounds("demo", 8).await;
    let found: CapiCluster = world.api().get("demo").await.unwrap();
    assert_eq!(found.labels()[keys::CLUSTER_NAME], "other");
    assert_eq!(found.spec.control_plane_endpoint, None);
    let reason = world.cluster().await.unwrap().status.unwrap().reason.unwrap();
    assert!(
        reason.contains("Cluster demo belongs to cluster other"),
        "{reason}"
    );
}
