//! Snapshots of etcd, taken when they are due or asked for, and a control plane that starts with one.

use clusters::Options;
use clusters_sim::node_of;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Event;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::ResourceExt as _;
use kube::api::{Api, Patch, PatchParams};
use resources::gantry::{ControlPlane, EtcdSnapshot, PlanClass};
use serde_json::{Value, json};

use crate::life::{made, settles};
use crate::world::World;

pub(crate) async fn control_plane(world: &World) -> ControlPlane {
    world.api().get("demo").await.unwrap()
}

pub(crate) async fn snapshots(world: &World) -> Vec<EtcdSnapshot> {
    control_plane(world).await.spec.snapshots
}

pub(crate) async fn change(world: &World, spec: Value) {
    let control_planes: Api<ControlPlane> = world.api();
    let patch = Patch::Merge(json!({ "spec": spec }));
    control_planes
        .patch("demo", &PatchParams::default(), &patch)
        .await
        .unwrap();
}

/// A person asks for a snapshot, and gets one.
pub(crate) async fn taken(world: &World) -> EtcdSnapshot {
    // By a clock that is ahead.
    let asked = Timestamp::now() + SignedDuration::from_mins(5);
    change(world, json!({ "snapshotRequestedAt": asked })).await;
    let is_there = async |world: &World| {
        let spec = control_plane(world).await.spec;
        spec.snapshot_requested_at.is_none() && !spec.snapshots.is_empty()
    };
    world.drive("a snapshot", is_there).await;
    snapshots(world).await.pop().unwrap()
}

/// A person wants the cluster to start with a snapshot, and approves the plan of that.
pub(crate) async fn restored(world: &World, snapshot: &EtcdSnapshot) {
    let saved = json!({ "machine": "", "begunAt": Timestamp::now(), "snapshot": snapshot });
    change(world, json!({ "savedEtcd": saved })).await;
    let waits = async |world: &World| {
        let reason = world.cluster().await.unwrap().status.unwrap().reason;
        reason.is_some_and(|reason| reason.contains("what was written after it is lost"))
    };
    world.drive("waiting for approval", waits).await;
    let plan = world.plan().await;
    assert_eq!(plan.spec.class, PlanClass::Remediate);
    world.approve(&plan.name_any()).await;
    let is_over = async |world: &World| control_plane(world).await.spec.saved_etcd.is_none();
    world.drive("the restore", is_over).await;
    world.drive_to_ready().await;
}

#[tokio::test]
async fn a_control_plane_without_a_quorum_starts_with_a_snapshot() {
    let world = made(3).await;
    let before = world.control_planes().await;
    let workers = world.workers().await;
    let snapshot = taken(&world).await;
    // Its nodes are older than the machines that come.
    let made = Timestamp::now() - SignedDuration::from_mins(10);
    world.inside.with(|inside| {
        let nodes = inside.nodes.values_mut();
        nodes.for_each(|node| node.created = Some(made));
    });
    for name in &before[..2] {
        let node = node_of(&world.host(name));
        world
            .inside
            .with(|inside| inside.power_off(&node, SignedDuration::ZERO));
    }
    world.rounds("demo", 3).await;
    assert_eq!(world.control_planes().await, before, "nothing is done by itself");
    restored(&world, &snapshot).await;
    settles(&world, 3, 1).await;
    let after = world.control_planes().await;
    assert!(after.iter().all(|name| !before.contains(name)), "{after:?}");
    assert_eq!(world.workers().await, workers);
    assert_eq!(world.count("restore"), 1);
    let nodes = world.inside.with(|inside| inside.nodes.len());
    assert_eq!(
        nodes,
        4,
        "no node is left of a machine that is gone: {:?}",
        world.log()
    );
}

/// What was written since is lost, and somebody may want just that: the cluster still answers.
#[tokio::test]
async fn a_cluster_that_answers_goes_back_to_a_snapshot() {
    let world = made(1).await;
    let snapshot = taken(&world).await;
    let before = world.control_planes().await;
    world.rounds("demo", 2).await;
    restored(&world, &snapshot).await;
    settles(&world, 1, 1).await;
    assert_ne!(world.control_planes().await, before);
    assert_eq!(world.count("restore"), 1);
}

#[tokio::test]
async fn a_snapshot_is_taken_by_itself_and_the_oldest_go() {
    let world = World::with(Options {
        snapshot_every: Some(SignedDuration::from_hours(1)),
        snapshots_kept: 2,
        ..Options::default()
    })
    .await;
    world.apply_documents().await;
    world.drive_to_ready().await;
    let one = async |world: &World| snapshots(world).await.len() == 1;
    world.drive("the first snapshot", one).await;
    let mut all = snapshots(&world).await;
    for _ in 0..2 {
        // Somebody writes meanwhile, so they differ.
        world.rounds("demo", 1).await;
        all.push(taken(&world).await);
    }
    assert_eq!(snapshots(&world).await, all[1..]);
    let files = world.options.files.as_ref().unwrap();
    let kept = files.list("eksa-system/demo").await.unwrap();
    assert_eq!(kept.len(), 2, "{kept:?}");
}

/// The newest snapshot may be the one that the cluster was started with before.
#[tokio::test]
async fn a_cluster_starts_with_the_same_snapshot_again() {
    let world = made(1).await;
    let snapshot = taken(&world).await;
    for times in 1..=2 {
        restored(&world, &snapshot).await;
        settles(&world, 1, 1).await;
        assert_eq!(world.count("restore"), times);
    }
}

#[tokio::test]
async fn nothing_goes_for_a_snapshot_that_is_not_there() {
    let world = made(1).await;
    let snapshot = taken(&world).await;
    let before = world.control_planes().await;
    let files = world.options.files.as_ref().unwrap();
    files.remove("eksa-system/demo", snapshot.sha256).await.unwrap();
    let saved = json!({ "machine": "", "begunAt": Timestamp::now(), "snapshot": snapshot });
    change(&world, json!({ "savedEtcd": saved })).await;
    let says = async |world: &World| {
        let reason = world.cluster().await.unwrap().status.unwrap().reason;
        reason.is_some_and(|reason| reason.contains("the appliance has no such file"))
    };
    world.drive("the reason", says).await;
    assert_eq!(world.control_planes().await, before);
    change(&world, json!({ "savedEtcd": null })).await;
    world.drive_to_ready().await;
    assert_eq!(world.control_planes().await, before);
}

/// The condition about its snapshots.
async fn condition(world: &World) -> Option<Condition> {
    let conditions = world.cluster().await.unwrap().status.unwrap().conditions;
    conditions
        .into_iter()
        .find(|known| known.type_ == "EtcdSnapshots")
}

pub(crate) async fn says(world: &World, reason: &str) -> Condition {
    let is_said = async |world: &World| condition(world).await.is_some_and(|known| known.reason == reason);
    world.drive(reason, is_said).await;
    condition(world).await.unwrap()
}

#[tokio::test]
async fn a_snapshot_that_cannot_be_taken_is_a_condition_and_an_event() {
    let world = World::with(Options {
        snapshot_every: Some(SignedDuration::from_hours(1)),
        ..Options::default()
    })
    .await;
    world.inside.with(|inside| inside.no_snapshot = true);
    world.apply_documents().await;
    world.drive_to_ready().await;
    let failed = says(&world, "Failed").await;
    assert_eq!(failed.status, "False");
    assert!(failed.message.contains("the disk is full"), "{}", failed.message);
    world.rounds("demo", 10).await;
    assert_eq!(
        condition(&world).await,
        Some(failed),
        "nothing is tried and written meanwhile"
    );
    assert_eq!(world.count("snapshot failed"), 1);
    let events = world
        .api::<Event>()
        .list(&Default::default())
        .await
        .unwrap()
        .items;
    let raised = events
        .iter()
        .find(|event| event.reason.as_deref() == Some("EtcdSnapshotFailed"))
        .unwrap();
    assert_eq!(raised.involved_object.kind.as_deref(), Some("Cluster"));
    assert!(raised.message.as_ref().unwrap().contains("the disk is full"));

    // A person does not wait for the next try, but what they ask for is tried once, whatever their clock says.
    let asked = Timestamp::now() + SignedDuration::from_mins(5);
    change(&world, json!({ "snapshotRequestedAt": asked })).await;
    world.rounds("demo", 10).await;
    assert_eq!(world.count("snapshot failed"), 2);
    world.inside.with(|inside| inside.no_snapshot = false);
    taken(&world).await;
    let taken = says(&world, "Taken").await;
    assert_eq!(taken.status, "True");
}
