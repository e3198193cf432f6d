//! A machine that has failed, or has not joined when another plan takes the place of its own, is not forgotten.

use kube::api::{Api, Patch, PatchParams};
use resources::gantry::ProviderMachine;
use serde_json::json;

use crate::world::World;

#[tokio::test]
async fn a_worker_that_is_being_installed_joins_although_another_plan_takes_over() {
    let world = World::new().await;
    world.apply_documents().await;
    world
        .drive("made", async |world: &World| world.workers().await.len() == 1)
        .await;
    let first = world.workers().await.remove(0);
    world.driver().never_joins.insert(first.clone());
    world
        .drive("its cluster has a network", async |world: &World| {
            world.count("cni") == 1
        })
        .await;
    world.scale_workers(2).await;
    world
        .drive("another one has joined", async |world: &World| {
            world.count("join ") == 1
        })
        .await;
    world.rounds("demo", 3).await;
    assert!(
        world.plan().await.spec.number > 1,
        "the plan of the creation goes on: {}",
        world.state().await
    );
    world.driver().never_joins.clear();
    world.drive_to_ready().await;
    let workers = world.workers().await;
    assert!(workers.len() == 2 && workers.contains(&first), "{workers:?}");
    assert_eq!(world.count("join "), 2, "{:?}", world.log());
}

#[tokio::test]
async fn workers_that_fail_while_their_cluster_is_made_can_be_had_later() {
    let world = World::new().await;
    world.apply_documents().await;
    let reason = |host: &str| format!("the disk of {host} does not take the data");
    for host in ["b", "c"] {
        world.driver().broken.insert(host.to_owned(), reason(host));
    }
    let blocked = async |world: &World| {
        let status = world.cluster().await.unwrap().status.unwrap_or_default();
        let progressing = status
            .conditions
            .iter()
            .find(|known| known.type_ == "Progressing");
        progressing.is_some_and(|known| known.status == "False") && world.is_at_rest().await
    };
    world.drive("blocked", blocked).await;
    let message = world.settled().await.failure_message.unwrap();
    assert!(
        message.contains("gantry retry machine") && !message.contains("delete the cluster"),
        "{message}"
    );
    // The control plane works, and people can use it.
    assert!(world.secrets().await.contains(&"demo-kubeconfig".to_owned()));
    assert_eq!(world.phase().await.as_deref(), Some("Running"));
    world.scale_workers(2).await;
    world.rounds("demo", 12).await;

    world.driver().broken.clear();
    let retry = Patch::Merge(json!({ "spec": { "retry": "the disks are replaced" } }));
    let machines: Api<ProviderMachine> = world.api();
    for name in world.workers().await {
        machines
            .patch(&name, &PatchParams::default(), &retry)
            .await
            .unwrap();
    }
    world.drive_to_ready().await;
    assert_eq!((world.workers().await.len(), world.count("join ")), (2, 2));
}
