//! One edit does not harm a cluster: what is not carried out is refused by field, also when nothing stood between the
//! writer and the API.

use cluster_spec::ClusterBundle;
use clusters::Options;
use kube::ResourceExt;
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams};
use resources::anywhere::{Cluster, ClusterStatus, TinkerbellDatacenterConfig};
use resources::gantry::{ControlPlane, Plan, PlanClass, ProviderMachine, Release};
use resources::keys;
use serde_json::json;

use crate::fixture;
use crate::world::World;

fn ready(status: &ClusterStatus) -> &str {
    let condition = status.conditions.iter().find(|known| known.type_ == "Ready");
    condition.map_or("absent", |condition| condition.status.as_str())
}

/// A Release of another patch version of Kubernetes 1.35.
fn another_release(patch_version: &str) -> Release {
    let mut release = fixture::release();
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
    world.drive_to("Running", &world.client).await;
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
    world
        .drive_to_machines(&["demo-cp-0", "demo-md-0-0", "demo-md-0-1"])
        .await;
    let status = world.settled().await;
    assert_eq!(
        (status.failure_message.as_deref(), ready(&status)),
        (None, "True")
    );
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
    let status = world.settled().await;
    let reason = status.reason.unwrap();
    assert!(reason.contains("decides which Release is used"), "{reason}");
    world.drive_to("Running", &world.client).await;
    let control_plane: ControlPlane = world.api().get("demo").await.unwrap();
    assert_eq!(control_plane.spec.release_ref.as_deref(), Some("v1.35.4"));
}

#[tokio::test]
async fn a_lower_control_plane_count_is_refused_and_the_rest_goes_on() {
    let world = World::new().await;
    world.apply_documents_with(3).await;
    world.drive_to("Running", &world.client).await;
    world
        .edit(json!({ "spec": { "controlPlaneConfiguration": { "count": 1 } } }))
        .await;
    world.scale_workers(2).await;
    let all = [
        "demo-cp-0",
        "demo-cp-1",
        "demo-cp-2",
        "demo-md-0-0",
        "demo-md-0-1",
    ];
    world.drive_to_machines(&all).await;
    let status = world.settled().await;
    let message = status.failure_message.clone().unwrap();
    assert!(
        message.contains("spec.controlPlaneConfiguration.count")
            && message.contains("has 3 members and is not made smaller to 1"),
        "{message}"
    );
    assert_eq!(
        (status.phase.as_deref(), ready(&status)),
        (Some("Running"), "False")
    );
    assert!(
        !world.log().iter().any(|line| line.starts_with("delete")),
        "{:?}",
        world.log()
    );
    world
        .edit(json!({ "spec": { "controlPlaneConfiguration": { "count": 3 } } }))
        .await;
    let status = world.settled().await;
    assert_eq!(
        (status.failure_message.as_deref(), ready(&status)),
        (None, "True")
    );
}

#[tokio::test]
async fn a_wish_for_more_members_can_be_taken_back_until_they_are_made() {
    let world = World::with(Options {
        self_approved: vec![PlanClass::Create],
        ..Options::default()
    })
    .await;
    world.apply_documents().await;
    world.drive_to("Running", &world.client).await;
    let members = |control_plane: ControlPlane| {
        let documents = control_plane.spec.documents.unwrap();
        documents.cluster.control_plane_configuration.count
    };
    assert_eq!(members(world.api().get("demo").await.unwrap()), 1);
    world
        .edit(json!({ "spec": { "controlPlaneConfiguration": { "count": 3 } } }))
        .await;
    let reason = world.settled().await.reason.unwrap();
    assert!(reason.contains("waits for approval"), "{reason}");
    world
        .edit(json!({ "spec": { "controlPlaneConfiguration": { "count": 1 } } }))
        .await;
    let approve = async |plan: &str| world.annotate_plan(plan, "gantry.dev/approved-by", "alice").await;
    world.settled().await;
    approve("demo-plan-3").await;
    let status = world.settled().await;
    assert_eq!(
        (status.failure_message.as_deref(), ready(&status)),
        (None, "True")
    );
    world
        .edit(json!({ "spec": { "controlPlaneConfiguration": { "count": 3 } } }))
        .await;
    world.settled().await;
    approve("demo-plan-4").await;
    let all = ["demo-cp-0", "demo-cp-1", "demo-cp-2", "demo-md-0-0"];
    world.drive_to_machines(&all).await;
    world.settled().await;
    assert_eq!(members(world.api().get("demo").await.unwrap()), 3);
}

#[tokio::test]
async fn edits_past_admission_are_refused_by_field_in_the_status() {
    let world = World::new().await;
    world.apply_documents().await;
    world.drive_to("Running", &world.client).await;
    let image = json!({ "spec": { "osImageURL": "file:///srv/other-1.35.raw.zst" } });
    let datacenters: Api<TinkerbellDatacenterConfig> = world.api();
    datacenters
        .patch("demo", &PatchParams::default(), &Patch::Merge(image))
        .await
        .unwrap();
    world
        .edit(json!({ "spec": {
            "controlPlaneConfiguration": {
                "certSans": ["api.example.com"], "apiServerExtraArgs": { "v": "5" }, "endpoint": { "host": "192.0.2.77" },
            },
            "clusterNetwork": { "pods": { "cidrBlocks": ["10.50.0.0/16"] } },
        } }))
        .await;
    world.rounds("demo", 5).await;
    let status = world.cluster().await.unwrap().status.unwrap();
    let message = status.failure_message.clone().unwrap();
    for field in [
        "spec.controlPlaneConfiguration.apiServerExtraArgs",
        "spec.controlPlaneConfiguration.certSans",
        "spec.controlPlaneConfiguration.endpoint",
        "spec.clusterNetwork.pods",
        "TinkerbellDatacenterConfig demo: spec.osImageURL",
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
    world
        .drive_to_machines(&["demo-cp-0", "demo-md-0-0", "demo-md-0-1"])
        .await;
    let new: ProviderMachine = world.api().get("demo-md-0-1").await.unwrap();
    assert_eq!(
        new.spec.image_url,
        "file:///srv/debian-13-kubernetes-1.35.raw.zst"
    );
}

#[tokio::test]
async fn a_paused_cluster_is_not_deleted() {
    let world = World::new().await;
    world.apply_documents().await;
    world.drive_to("Running", &world.client).await;
    let annotate = |key: &str| json!({ "metadata": { "annotations": { key: "true" } } });
    world.edit(annotate(keys::PAUSED)).await;
    let clusters: Api<Cluster> = world.api();
    clusters.delete("demo", &DeleteParams::default()).await.unwrap();
    world.rounds("demo", 5).await;
    assert_eq!(
        world.names::<ProviderMachine>().await,
        ["demo-cp-0", "demo-md-0-0"]
    );
    let reason = world.cluster().await.unwrap().status.unwrap().reason.unwrap();
    assert!(reason.contains(keys::ALLOW_DELETE_WHEN_PAUSED), "{reason}");
    world.edit(annotate(keys::ALLOW_DELETE_WHEN_PAUSED)).await;
    world.drive_to_gone(&world.client).await;
}

async fn apply(world: &World, text: &str) {
    let bundle: ClusterBundle = cluster_spec::parse(text, "case.yaml", &[fixture::release()])
        .unwrap_or_else(|problems| panic!("{problems}"));
    world.create(&bundle.datacenter).await;
    for config in bundle.machine_configs.values() {
        world.create(config).await;
    }
    world.create(&bundle.cluster).await;
}

#[tokio::test]
async fn of_two_clusters_that_want_one_machine_name_the_second_is_refused() {
    let world = World::new().await;
    apply(&world, include_str!("cases/name-a.yaml")).await;
    world.rounds("lab", 30).await;
    let machines = ["lab-a-0-0", "lab-cp-0"];
    assert_eq!(world.names::<ProviderMachine>().await, machines);
    let versions = || async {
        let list: Api<ProviderMachine> = world.api();
        let list = list.list(&Default::default()).await.unwrap().items;
        list.iter()
            .map(|machine| {
                (
                    machine.name_any(),
                    machine.metadata.uid.clone(),
                    machine.spec.clone(),
                )
            })
            .collect::<Vec<_>>()
    };
    let before = versions().await;

    apply(&world, include_str!("cases/name-b.yaml")).await;
    world.rounds("lab-a", 10).await;
    let clusters: Api<Cluster> = world.api();
    let second = clusters.get("lab-a").await.unwrap().status.unwrap();
    let message = second.failure_message.unwrap();
    assert!(
        message.contains("lab-a-0-0 is taken by group a-0 of cluster lab;"),
        "{message}"
    );
    world.rounds("lab", 3).await;
    let first = clusters.get("lab").await.unwrap().status.unwrap();
    assert_eq!((first.failure_message.as_deref(), ready(&first)), (None, "True"));
    assert_eq!(versions().await, before);

    clusters.delete("lab-a", &DeleteParams::default()).await.unwrap();
    world.rounds("lab-a", 10).await;
    assert!(clusters.get_opt("lab-a").await.unwrap().is_none());
    assert_eq!(versions().await, before);
    assert!(
        !world.log().iter().any(|line| line.starts_with("delete")),
        "{:?}",
        world.log()
    );
}

#[tokio::test]
async fn an_object_of_another_owner_is_left_alone() {
    let world = World::new().await;
    let mut foreign = ProviderMachine::new("demo-cp-0", Default::default());
    foreign.metadata.labels = Some([(keys::CLUSTER_NAME.to_owned(), "other".to_owned())].into());
    foreign.spec.cluster_name = "other".to_owned();
    world.create(&foreign).await;
    world.apply_documents().await;
    world.rounds("demo", 8).await;
    let found: ProviderMachine = world.api().get("demo-cp-0").await.unwrap();
    assert_eq!(found.spec.cluster_name, "other");
    let reason = world.cluster().await.unwrap().status.unwrap().reason.unwrap();
    assert!(
        reason.contains("ProviderMachine demo-cp-0 belongs to cluster other"),
        "{reason}"
    );
}
