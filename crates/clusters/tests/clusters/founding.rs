//! A cluster is started once, and a machine that is installed anew joins anew.

use clusters_sim::node_of;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, DeleteParams, Patch, PatchParams};
use resources::anywhere::Cluster;
use resources::cluster_api::Machine;
use resources::gantry::{ControlPlane, Plan, ProviderMachine};
use serde_json::json;

use crate::world::World;

/// Somebody removes both objects of a machine at once, past everything that would keep them.
async fn tear_out(world: &World, name: &str) {
    let none = Patch::Merge(json!({ "metadata": { "finalizers": [] } }));
    let (params, delete) = (PatchParams::default(), DeleteParams::default());
    let machines: Api<Machine> = world.api();
    machines.patch(name, &params, &none).await.unwrap();
    machines.delete(name, &delete).await.unwrap();
    let machines: Api<ProviderMachine> = world.api();
    machines.patch(name, &params, &none).await.unwrap();
    machines.delete(name, &delete).await.unwrap();
    world.driver().give_back(name);
}

#[tokio::test]
async fn without_plans_status_and_conditions_there_is_no_second_init() {
    let world = World::new().await;
    world.apply_documents_with(3).await;
    world.drive_to_ready().await;
    let control_plane: ControlPlane = world.api().get("demo").await.unwrap();
    let founder = control_plane.spec.initialized_by.clone().unwrap();
    let node = node_of(&world.host(&founder.machine));

    world.inside.with(|inside| inside.silent = true);
    for plan in world.names::<Plan>().await {
        let plans: Api<Plan> = world.api();
        plans.delete(&plan, &DeleteParams::default()).await.unwrap();
    }
    tear_out(&world, &founder.machine).await;
    let nothing = Patch::Merge(json!({ "status": null }));
    let clusters: Api<Cluster> = world.api();
    clusters
        .patch_status("demo", &PatchParams::default(), &nothing)
        .await
        .unwrap();
    world.rounds("demo", 12).await;
    assert_eq!(world.count("init"), 1, "{:?}", world.log());

    // When the others answer again, the machine joins them, and its dead member is taken out first.
    world.inside.with(|inside| {
        inside.silent = false;
        inside.power_off(&node, jiff::SignedDuration::from_mins(1));
        inside.nodes.remove(&node);
    });
    // Without its Plans the appliance knows less than the cluster, so a person approves first.
    let waits = async |world: &World| {
        let plans = world.names::<Plan>().await;
        !plans.is_empty() && world.plan().await.spec.requires_approval.is_some()
    };
    world.drive("waiting for approval", waits).await;
    world.approve(&world.plan().await.metadata.name.unwrap()).await;
    world.drive_to_ready().await;
    assert_eq!(world.count("init"), 1, "{:?}", world.log());
    assert_eq!(world.inside.with(|inside| inside.voters()), (3, 3));
    let control_plane: ControlPlane = world.api().get("demo").await.unwrap();
    assert_eq!(control_plane.spec.initialized_by, Some(founder));
}

#[tokio::test]
async fn a_cluster_without_a_member_is_not_started_anew() {
    let world = World::new().await;
    world.apply_documents().await;
    world.drive_to_ready().await;
    let only = world.control_planes().await.remove(0);
    tear_out(&world, &only).await;
    world.inside.with(|inside| inside.silent = true);
    world.rounds("demo", 6).await;
    assert_eq!(world.control_planes().await, [""; 0]);
    let status = world.cluster().await.unwrap().status.unwrap();
    let Some(message) = status.failure_message else {
        panic!("{}", world.state().await)
    };
    assert!(
        message.contains("no machine of the control plane is left"),
        "{message}"
    );
    assert_eq!(world.count("init"), 1);
}

#[tokio::test]
async fn a_founder_that_fails_before_its_cluster_answers_is_followed_by_another() {
    let world = World::new().await;
    world.apply_documents().await;
    world
        .driver()
        .broken
        .insert("a".to_owned(), "the disk does not take the data".to_owned());
    world.drive_to_ready().await;
    let control_plane: ControlPlane = world.api().get("demo").await.unwrap();
    let founder = control_plane.spec.initialized_by.unwrap();
    let members = world.control_planes().await;
    assert_eq!(members, std::slice::from_ref(&founder.machine));
    assert_eq!(
        (world.host(&founder.machine).as_str(), world.count("init")),
        ("d", 1)
    );
}

#[tokio::test]
async fn a_cluster_that_cannot_begin_gives_back_what_is_not_installed() {
    let world = World::new().await;
    world.apply_documents().await;
    for host in ["a", "d", "e"] {
        let reason = format!("{host}: the disk does not take the data");
        world.driver().broken.insert(host.to_owned(), reason);
    }
    world.drive_to("Failed").await;
    let status = world.cluster().await.unwrap().status.unwrap();
    let message = status.failure_message.unwrap();
    assert!(
        message.contains("the disk does not take the data") && message.contains("gantry retry machine"),
        "{message}"
    );
    assert_eq!(world.count("init"), 0);
    let clusters: Api<Cluster> = world.api();
    clusters.delete("demo", &DeleteParams::default()).await.unwrap();
    world.drive_to_gone().await;
    assert!(world.driver().claims().is_empty());
}

/// It is Ready still, or it has died: neither does it count, nor does it keep the machine from its data.
#[tokio::test]
async fn a_node_of_an_earlier_installation_does_not_count_as_joined() {
    for ready in [true, false] {
        let world = World::new().await;
        world.apply_documents().await;
        world.drive_to_ready().await;
        let worker = world.workers().await.remove(0);
        // The objects are gone, and the Node stays, as it does when the API is silent at a removal.
        tear_out(&world, &worker).await;
        world.remove_hardware("c").await;
        world.inside.with(|inside| {
            let hour_ago = jiff::Timestamp::now() - jiff::SignedDuration::from_hours(1);
            let node = inside.nodes.get_mut("node-b").unwrap();
            (node.created, node.ready) = (Some(hour_ago), ready);
        });
        let secrets: Api<Secret> = world.api();
        let _ = secrets
            .delete(&format!("{worker}-bootstrap"), &DeleteParams::default())
            .await;
        let joined_again = async |world: &World| world.count("join node-b") == 2 && world.is_at_rest().await;
        world.drive("joined again", joined_again).await;
        world.drive_to_ready().await;
    }
}

#[tokio::test]
async fn a_cluster_whose_image_cannot_be_had_says_so_and_goes_on_when_it_can() {
    let world = World::new().await;
    world.apply_documents().await;
    let reason = "wrong digest: the file is another one";
    world.driver().bad_image = Some(reason.to_owned());
    world.drive_to("Failed").await;
    let message = world
        .cluster()
        .await
        .unwrap()
        .status
        .unwrap()
        .failure_message
        .unwrap();
    assert!(message.contains(reason), "{message}");
    world.rounds("demo", 3).await;
    assert!(world.machines().await.is_empty());
    world.driver().bad_image = None;
    world.drive_to_ready().await;
}
