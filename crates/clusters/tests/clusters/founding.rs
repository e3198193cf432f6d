//! A cluster is started once, and a machine that is installed anew joins anew.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, DeleteParams, Patch, PatchParams};
use resources::anywhere::Cluster;
use resources::cluster_api::Machine;
use resources::gantry::{ControlPlane, Plan, ProviderMachine};
use serde_json::json;

use crate::world::World;

async fn delete_machine(world: &World, name: &str) {
    let params = DeleteParams::default();
    world.api::<Machine>().delete(name, &params).await.unwrap();
    world
        .api::<ProviderMachine>()
        .delete(name, &params)
        .await
        .unwrap();
}

fn count(world: &World, what: &str) -> usize {
    world.log().iter().filter(|line| line.starts_with(what)).count()
}

#[tokio::test]
async fn without_plans_status_and_conditions_there_is_no_second_init() {
    let world = World::new().await;
    world.apply_documents_with(3).await;
    world.drive_to("Running", &world.client).await;
    let control_plane: ControlPlane = world.api().get("demo").await.unwrap();
    let founder = control_plane.spec.initialized_by.clone().unwrap();
    assert_eq!(founder.machine, "demo-cp-0");

    world.inside.with(|inside| inside.silent = true);
    for plan in world.names::<Plan>().await {
        let plans: Api<Plan> = world.api();
        plans.delete(&plan, &DeleteParams::default()).await.unwrap();
    }
    delete_machine(&world, "demo-cp-0").await;
    let nothing = Patch::Merge(json!({ "status": null }));
    let clusters: Api<Cluster> = world.api();
    clusters
        .patch_status("demo", &PatchParams::default(), &nothing)
        .await
        .unwrap();
    assert_eq!(world.cluster().await.unwrap().status, None);
    world.rounds("demo", 12).await;
    assert_eq!(count(&world, "init"), 1, "{:?}", world.log());

    // When the others answer again, the machine joins them.
    world.inside.with(|inside| {
        inside.silent = false;
        inside.nodes.remove("node-a");
    });
    world.rounds("demo", 20).await;
    assert_eq!(count(&world, "init"), 1, "{:?}", world.log());
    assert_eq!(count(&world, "join-control-plane node-a"), 1, "{:?}", world.log());
    let control_plane: ControlPlane = world.api().get("demo").await.unwrap();
    assert_eq!(control_plane.spec.initialized_by, Some(founder));
}

#[tokio::test]
async fn a_cluster_without_a_member_is_not_started_anew() {
    let world = World::new().await;
    world.apply_documents().await;
    world.drive_to("Running", &world.client).await;
    delete_machine(&world, "demo-cp-0").await;
    world.inside.with(|inside| inside.silent = true);
    world.rounds("demo", 6).await;
    assert_eq!(world.names::<ProviderMachine>().await, ["demo-md-0-0"]);
    let status = world.cluster().await.unwrap().status.unwrap();
    let message = status.failure_message.unwrap();
    assert!(
        message.contains("no machine of the control plane of demo is left"),
        "{message}"
    );
}

#[tokio::test]
async fn a_node_of_an_earlier_installation_does_not_count_as_joined() {
    let world = World::new().await;
    world.apply_documents().await;
    world.drive_to("Running", &world.client).await;
    // The objects are gone, and the Node stays, as it does when the API is silent at a removal.
    delete_machine(&world, "demo-md-0-0").await;
    world.inside.with(|inside| {
        let hour_ago = Timestamp::now() - SignedDuration::from_hours(1);
        inside.nodes.get_mut("node-b").unwrap().created = Some(hour_ago);
    });
    let secrets: Api<Secret> = world.api();
    let _ = secrets
        .delete("demo-md-0-0-bootstrap", &DeleteParams::default())
        .await;
    world.rounds("demo", 20).await;
    assert_eq!(count(&world, "join node-b"), 2, "{:?}", world.log());
    assert_eq!(world.settled().await.phase.as_deref(), Some("Running"));
}
