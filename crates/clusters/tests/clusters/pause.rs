//! A rollout is paused and resumed by an annotation of the Cluster.

use kube::ResourceExt as _;
use resources::anywhere::ClusterStatus;
use resources::gantry::{PlanApproval, PlanClass};
use resources::keys;
use serde_json::json;

use crate::life::{made, quorum_held, settles};
use crate::upgrade::{OTHER_IMAGE, use_image, waits_for_approval};
use crate::world::{TURNS, World};

const IMAGE: &str = "file:///srv/debian-13-kubernetes-1.35.raw.zst";

/// Pauses the rollout, or resumes it.
async fn pause(world: &World, who: Option<&str>) {
    let annotations = json!({ keys::ROLLOUT_PAUSED: who });
    world
        .edit(json!({ "metadata": { "annotations": annotations } }))
        .await;
}

async fn status(world: &World) -> ClusterStatus {
    world.cluster().await.unwrap().status.unwrap()
}

fn progressing(status: &ClusterStatus) -> (&str, &str, &str) {
    let mut conditions = status.conditions.iter();
    let found = conditions.find(|known| known.type_ == "Progressing").unwrap();
    (&found.status, &found.reason, &found.message)
}

async fn images(world: &World) -> Vec<String> {
    let machines = world.machines().await;
    machines
        .into_iter()
        .map(|machine| machine.spec.image_url)
        .collect()
}

#[tokio::test]
async fn a_rollout_stops_between_two_machines_and_goes_on() {
    let world = made(3).await;
    world.add_hardware("f", "cp").await;
    use_image(&world, OTHER_IMAGE).await;
    waits_for_approval(&world).await;
    world.approve(&world.plan().await.name_any()).await;
    // Until the first successor has joined, and nobody has seen it.
    for _ in 0..TURNS {
        if world.inside.with(|inside| inside.etcd.len()) == 4 {
            break;
        }
        world.rounds("demo", 1).await;
    }
    pause(&world, Some("alice: look at the disks")).await;
    let drained = world.count("drained");
    let rests = async |world: &World| {
        let status = status(world).await;
        progressing(&status).1 == "RolloutPaused"
    };
    world.drive("paused", rests).await;
    world.rounds("demo", 10).await;
    let said = "the rollout is paused by alice: look at the disks at 1 of 5 machines; to go on: gantry upgrade resume demo";
    let now = status(&world).await;
    assert_eq!(progressing(&now), ("False", "RolloutPaused", said));
    assert_eq!(now.reason.as_deref(), Some(said));
    assert_eq!(
        (now.phase.as_deref(), now.failure_message),
        (Some("Running"), None)
    );
    assert_eq!(world.count("drained"), drained, "{:#?}", world.log());
    assert_eq!(world.machines().await.len(), 5);

    // What is missing or broken is made and replaced, with what is wanted now.
    let worker = world.workers().await.remove(0);
    world.delete_machine(&worker).await;
    let replaced = async |world: &World| {
        let workers = world.workers().await;
        !workers.contains(&worker) && workers.len() == 1 && world.is_at_rest().await
    };
    world.drive("replaced", replaced).await;
    let new = images(&world).await.into_iter().filter(|url| url == OTHER_IMAGE);
    assert_eq!(new.count(), 2, "the successor, and the new worker");

    pause(&world, None).await;
    let done = async |world: &World| {
        let images = images(world).await;
        images.len() == 4 && images.iter().all(|url| url == OTHER_IMAGE) && world.is_at_rest().await
    };
    world.drive("the new image", done).await;
    world.drive_to_ready().await;
    quorum_held(&world);
    assert_eq!(
        world.names::<PlanApproval>().await.len(),
        1,
        "nobody has to approve it again"
    );
}

#[tokio::test]
async fn a_change_that_comes_while_it_is_paused_waits_as_a_whole() {
    let world = made(1).await;
    pause(&world, Some("true")).await;
    world.drive_to_ready().await;
    use_image(&world, OTHER_IMAGE).await;
    world.rounds("demo", 5).await;
    let now = status(&world).await;
    assert_eq!(
        now.reason.as_deref(),
        Some(
            "the rollout is paused by annotation gantry.dev/rollout-paused, so these changes wait: TinkerbellDatacenterConfig \
             demo: spec.osImageURL; to go on: gantry upgrade resume demo"
        )
    );
    // What is replaced meanwhile is as it was.
    let worker = world.workers().await.remove(0);
    world.delete_machine(&worker).await;
    let replaced = async |world: &World| !world.workers().await.contains(&worker) && world.is_at_rest().await;
    world.drive("replaced", replaced).await;
    settles(&world, 1, 1).await;
    assert_eq!(images(&world).await, [IMAGE, IMAGE]);
    pause(&world, None).await;
    waits_for_approval(&world).await;
    assert_eq!(world.plan().await.spec.class, PlanClass::Upgrade);
}
