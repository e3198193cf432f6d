//! Repair of a control plane, and what is left alone while nothing can be known.

use clusters_sim::node_of;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::api::{Api, Patch, PatchParams};
use resources::cluster_api::Machine;
use resources::gantry::{ControlPlane, PlanPhase, ProviderMachine};
use serde_json::json;

use crate::world::World;

async fn made(control_planes: i32) -> World {
    let world = World::new().await;
    world.apply_documents_with(control_planes).await;
    world.drive_to_ready().await;
    world
}

#[tokio::test]
async fn a_member_whose_etcd_is_dead_is_replaced_though_its_node_is_ready() {
    let world = made(3).await;
    world.add_hardware("f", "cp").await;
    let before = world.control_planes().await;
    let node = node_of(&world.host(&before[1]));
    world.inside.with(|inside| {
        let mut voters = inside.etcd.values_mut();
        voters.find(|voter| voter.name == node).unwrap().alive = false;
    });
    let name = before[1].as_str();
    let is_false =
        |condition: &&mut Condition| condition.type_ == "EtcdMemberHealthy" && condition.status == "False";
    let noted = async |world: &World| {
        let machine: Machine = world.api().get(name).await.unwrap();
        let mut conditions = machine.status.unwrap().conditions;
        conditions.iter_mut().find(is_false).is_some()
    };
    world.drive("the member is noted as down", noted).await;
    world.rounds("demo", 3).await;
    assert_eq!(
        world.control_planes().await,
        before,
        "it may come back in a moment"
    );

    // Ten minutes pass.
    let machines: Api<Machine> = world.api();
    let mut status = machines.get(name).await.unwrap().status.unwrap();
    let down = status.conditions.iter_mut().find(is_false).unwrap();
    down.last_transition_time = Time(Timestamp::now() - SignedDuration::from_mins(10));
    let patch = Patch::Merge(json!({ "status": { "conditions": status.conditions } }));
    machines
        .patch_status(name, &PatchParams::default(), &patch)
        .await
        .unwrap();
    let replaced = async |world: &World| {
        let now = world.control_planes().await;
        now.len() == 3 && !now.contains(&before[1]) && world.is_at_rest().await
    };
    world.drive("replaced", replaced).await;
    world.drive_to_ready().await;
    let (voters, lost) = world.inside.with(|inside| (inside.voters(), inside.lost_quorum));
    assert_eq!((voters, lost), ((3, 3), None));
    let drained = format!("drained {node}");
    assert!(
        world.log().contains(&drained),
        "its pods are moved: {:?}",
        world.log()
    );
}

#[tokio::test]
async fn a_machine_that_joins_etcd_goes_when_it_has_joined() {
    let world = made(1).await;
    world.scale_control_plane(3).await;
    let second = async |world: &World| world.control_planes().await.len() == 3;
    world.drive("made", second).await;
    let first = world.api::<ControlPlane>().get("demo").await.unwrap();
    let first = first.spec.initialized_by.unwrap().machine;
    let mut others = world.control_planes().await;
    others.retain(|name| *name != first);
    world.driver().never_joins.extend(others.clone());
    let secrets = async |world: &World| {
        let secrets = world.secrets().await;
        others
            .iter()
            .any(|name| secrets.contains(&format!("{name}-bootstrap")))
    };
    world.drive("joining", secrets).await;
    let secrets = world.secrets().await;
    let joining = others
        .iter()
        .find(|name| secrets.contains(&format!("{name}-bootstrap")))
        .unwrap();
    world.delete_machine(joining).await;
    world.rounds("demo", 6).await;
    let machine: ProviderMachine = world.api().get(joining).await.unwrap();
    assert_eq!(
        machine.metadata.deletion_timestamp,
        None,
        "{}",
        world.state().await
    );
    let status = world.settled().await;
    let progressing = status
        .conditions
        .iter()
        .find(|known| known.type_ == "Progressing")
        .unwrap();
    assert!(
        progressing.message.contains("joins etcd at this moment"),
        "{}",
        progressing.message
    );

    world.driver().never_joins.clear();
    let node = node_of(&world.host(joining));
    // It is a healthy member now, so a person approves that two are left for a while.
    let waits = async |world: &World| world.plan().await.spec.requires_approval.is_some();
    world.drive("waiting for approval", waits).await;
    world.approve(&world.plan().await.metadata.name.unwrap()).await;
    let replaced = async |world: &World| {
        let now = world.control_planes().await;
        now.len() == 3 && !now.contains(joining) && world.is_at_rest().await
    };
    world.drive("replaced", replaced).await;
    world.drive_to_ready().await;
    assert_eq!(
        world.inside.with(|inside| inside.lost_quorum),
        None,
        "{:?}",
        world.log()
    );
    assert!(
        world.log().contains(&format!("remove member {node}")),
        "{:?}",
        world.log()
    );
}

#[tokio::test]
async fn nothing_is_made_while_the_cluster_does_not_answer() {
    let world = made(1).await;
    let worker = world.workers().await;
    world.inside.with(|inside| inside.silent = true);
    world.scale_workers(2).await;
    world.rounds("demo", 6).await;
    assert_eq!(world.workers().await, worker);
    let message = world.settled().await.failure_message.unwrap();
    assert!(
        message.contains("none is made while the cluster's API does not answer"),
        "{message}"
    );
    world.inside.with(|inside| inside.silent = false);
    world
        .drive("two workers", async |world: &World| {
            world.workers().await.len() == 2
        })
        .await;
    world.drive_to_ready().await;
}

/// The appliance is restored from a backup of before the founder was written, while its cluster lives.
#[tokio::test]
async fn a_cluster_that_was_founded_after_the_backup_is_not_founded_again() {
    let world = made(1).await;
    let params = PatchParams::default();
    let control_planes: Api<ControlPlane> = world.api();
    let nobody = Patch::Merge(json!({ "spec": { "initializedBy": null } }));
    control_planes.patch("demo", &params, &nobody).await.unwrap();
    let machines: Api<Machine> = world.api();
    let names = [world.control_planes().await, world.workers().await].concat();
    for name in &names {
        let not_joined = Patch::Merge(json!({ "spec": { "providerID": null } }));
        machines.patch(name, &params, &not_joined).await.unwrap();
        let secret = format!("{name}-bootstrap");
        let _ = world
            .api::<k8s_openapi::api::core::v1::Secret>()
            .delete(&secret, &Default::default())
            .await;
    }
    world.scale_workers(0).await;
    world.rounds("demo", 8).await;
    assert_eq!(
        (world.count("init"), world.count("join")),
        (1, 1),
        "{:?}",
        world.log()
    );
    assert_eq!(
        [world.control_planes().await, world.workers().await].concat(),
        names
    );
    let founder = control_planes
        .get("demo")
        .await
        .unwrap()
        .spec
        .initialized_by
        .unwrap();
    assert!(founder.answered_at.is_some());
    let plan = world.plan().await;
    assert!(plan.spec.requires_approval.is_some(), "{plan:#?}");
    assert_eq!(plan.status.unwrap().phase, PlanPhase::Pending);

    // Nor when it is silent later.
    world.inside.with(|inside| inside.silent = true);
    world.rounds("demo", 6).await;
    assert_eq!(world.count("init"), 1, "{:?}", world.log());
}
