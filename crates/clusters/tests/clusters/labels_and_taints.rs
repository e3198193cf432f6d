//! Labels and taints are changed on the nodes that there are, beside those that a person has set.

use std::collections::BTreeMap;

use clusters::NodeView;
use clusters_sim::node_of;
use kube::ResourceExt as _;
use kube::api::{Api, Patch, PatchParams};
use resources::anywhere::{Cluster, Taint};
use resources::cluster_api::MachineDeployment;
use resources::gantry::{ControlPlane, MachineRole, NodeKeys, Plan, ProviderMachine};
use resources::keys;
use serde_json::{Value, json};

use crate::life::{made, settles};
use crate::upgrade::{OTHER_IMAGE, use_image, waits_for_approval};
use crate::worker_groups::autoscale;
use crate::world::World;

const CONTROL_PLANE: &str = "node-role.kubernetes.io/control-plane:NoSchedule";

/// Gives a field of the only worker group a value.
async fn set_group(world: &World, field: &str, value: Value) {
    let path = format!("/spec/workerNodeGroupConfigurations/0/{field}");
    let change = json!([{ "op": "add", "path": path, "value": value }]);
    let change: json_patch::Patch = serde_json::from_value(change).unwrap();
    let api: Api<Cluster> = world.api();
    let patch = Patch::<()>::Json(change);
    api.patch("demo", &PatchParams::default(), &patch).await.unwrap();
}

async fn set_control_plane(world: &World, change: Value) {
    world
        .edit(json!({ "spec": { "controlPlaneConfiguration": change } }))
        .await;
}

fn node(world: &World, machine: &str) -> NodeView {
    let node = node_of(&world.host(machine));
    world.inside.with(|inside| inside.nodes[&node].clone())
}

async fn node_of_role(world: &World, role: MachineRole) -> NodeView {
    let machine = world.machines_of(role).await.remove(0);
    node(world, &machine)
}

/// But for the one that every node has.
fn labels(node: &NodeView) -> Vec<String> {
    assert_eq!(node.labels[keys::KUBERNETES_VERSION], "v1.35.4");
    let labels = node
        .labels
        .iter()
        .filter(|(key, _)| *key != keys::KUBERNETES_VERSION);
    labels.map(|(key, value)| format!("{key}={value}")).collect()
}

fn taints(node: &NodeView) -> Vec<String> {
    let text = |taint: &Taint| match &taint.value {
        Some(value) => format!("{}={value}:{}", taint.key, taint.effect),
        None => taint.id(),
    };
    let mut taints: Vec<String> = node.taints.iter().map(text).collect();
    taints.sort();
    taints
}

/// A person changes a node in the cluster.
fn by_hand(world: &World, node: &NodeView, change: impl FnOnce(&mut NodeView)) {
    world
        .inside
        .with(|inside| change(inside.nodes.get_mut(&node.name).unwrap()));
}

fn theirs() -> Taint {
    Taint {
        key: "theirs".to_owned(),
        effect: "NoSchedule".to_owned(),
        ..Taint::default()
    }
}

async fn recorded(world: &World) -> BTreeMap<String, NodeKeys> {
    let control_plane: ControlPlane = world.api().get("demo").await.unwrap();
    control_plane.spec.node_keys
}

fn revisions(machines: &[ProviderMachine]) -> BTreeMap<String, String> {
    let machines = machines.iter();
    machines
        .map(|machine| (machine.name_any(), machine.spec.revision.clone()))
        .collect()
}

#[tokio::test]
async fn labels_and_taints_are_changed_without_new_machines() {
    let world = made(1).await;
    let (machines, plans) = (world.machines().await, world.names::<Plan>().await);
    let worker = node_of_role(&world, MachineRole::Worker).await;
    assert_eq!(labels(&worker), ["pool=small"]);
    by_hand(&world, &worker, |node| {
        node.labels.insert("theirs".to_owned(), "kept".to_owned());
        node.taints.push(theirs());
    });

    // Also a label that the kubelet may not set.
    set_group(
        &world,
        "labels",
        json!({ "rack": "r1", "node-role.kubernetes.io/db": "" }),
    )
    .await;
    let dedicated = json!([{ "key": "dedicated", "value": "db", "effect": "PreferNoSchedule" }]);
    set_group(&world, "taints", dedicated).await;
    set_control_plane(
        &world,
        json!({ "labels": { "tier": "gold" }, "taints": [{ "key": "quiet", "effect": "PreferNoSchedule" }] }),
    )
    .await;
    world.drive_to_ready().await;
    let worker = node_of_role(&world, MachineRole::Worker).await;
    assert_eq!(
        labels(&worker),
        ["node-role.kubernetes.io/db=", "rack=r1", "theirs=kept"],
        "pool=small was the documents' and is not any more"
    );
    assert_eq!(
        taints(&worker),
        ["dedicated=db:PreferNoSchedule", "theirs:NoSchedule"]
    );
    let member = node_of_role(&world, MachineRole::ControlPlane).await;
    assert_eq!(
        (labels(&member), taints(&member)),
        (
            vec!["tier=gold".to_owned()],
            vec!["quiet:PreferNoSchedule".to_owned()],
        )
    );
    assert_eq!(revisions(&world.machines().await), revisions(&machines));
    assert_eq!(world.names::<Plan>().await, plans, "nothing is planned for it");
    let keys = recorded(&world).await;
    assert_eq!(
        keys["md-0"].labels.iter().collect::<Vec<_>>(),
        ["node-role.kubernetes.io/db", "rack"]
    );
    assert_eq!(
        keys["cp"].taints.iter().collect::<Vec<_>>(),
        ["quiet:PreferNoSchedule"]
    );

    // What somebody changes comes back, and what is theirs stays.
    by_hand(&world, &worker, |node| {
        node.labels.insert("rack".to_owned(), "r9".to_owned());
        node.taints.retain(|taint| taint.key == "theirs");
    });
    world.rounds("demo", 2).await;
    let again = node_of_role(&world, MachineRole::Worker).await;
    assert_eq!(
        (labels(&again), taints(&again)),
        (labels(&worker), taints(&worker))
    );

    // A new machine of the group has the same.
    world.scale_workers(2).await;
    settles(&world, 1, 2).await;
    world.drive_to_ready().await;
    for machine in world.workers().await {
        let node = node(&world, &machine);
        assert!(labels(&node).contains(&"rack=r1".to_owned()), "{node:?}");
        assert!(
            taints(&node).contains(&"dedicated=db:PreferNoSchedule".to_owned()),
            "{node:?}"
        );
    }

    without_fields(&world, &worker.name).await;
}

/// Takes the fields out of the documents: the nodes are as kubeadm makes them, and keep what is not of the documents.
async fn without_fields(world: &World, worker: &str) {
    set_group(world, "labels", json!({})).await;
    set_group(world, "taints", json!([])).await;
    set_control_plane(world, json!({ "labels": null, "taints": null })).await;
    world.drive_to_ready().await;
    let bare = node(
        world,
        &world
            .workers()
            .await
            .into_iter()
            .find(|name| node(world, name).name == worker)
            .unwrap(),
    );
    assert_eq!(
        (labels(&bare), taints(&bare)),
        (
            vec!["theirs=kept".to_owned()],
            vec!["theirs:NoSchedule".to_owned()],
        )
    );
    let member = node_of_role(world, MachineRole::ControlPlane).await;
    assert_eq!(
        (labels(&member), taints(&member)),
        (vec![], vec![CONTROL_PLANE.to_owned()])
    );
    let keys = recorded(world).await;
    assert_eq!(
        keys["md-0"],
        NodeKeys::default(),
        "nothing of it is theirs any more"
    );
    let log = world.log();
    world.rounds("demo", 3).await;
    assert_eq!(world.log(), log, "and nothing is written again");
}

/// While nobody answers a label comes into the documents and goes again: the node that got it before is not forgotten.
#[tokio::test]
async fn what_was_wanted_in_between_goes_too() {
    let world = made(1).await;
    world.inside.with(|inside| inside.silent = true);
    for rack in ["rack", "zone", "row"] {
        set_group(&world, "labels", json!({ rack: "1" })).await;
        world.rounds("demo", 2).await;
    }
    let keys = recorded(&world).await["md-0"].labels.clone();
    assert_eq!(keys.iter().collect::<Vec<_>>(), ["pool", "rack", "row", "zone"]);
    // One of them reached the node, as when the coordinator was stopped after that.
    let worker = node_of_role(&world, MachineRole::Worker).await;
    by_hand(&world, &worker, |node| {
        node.labels.insert("zone".to_owned(), "1".to_owned());
    });
    world.inside.with(|inside| inside.silent = false);
    world.drive_to_ready().await;
    assert_eq!(
        labels(&node_of_role(&world, MachineRole::Worker).await),
        ["row=1"]
    );
    world.rounds("demo", 2).await;
    let keys = recorded(&world).await["md-0"].labels.clone();
    assert_eq!(keys.iter().collect::<Vec<_>>(), ["row"]);
}

#[tokio::test]
async fn a_node_that_does_not_keep_them_is_named_and_the_rest_goes_on() {
    let world = made(1).await;
    let worker = node_of_role(&world, MachineRole::Worker).await;
    world
        .inside
        .with(|inside| inside.puts_back.insert(worker.name.clone()));
    set_group(&world, "labels", json!({ "pool": "small", "rack": "r1" })).await;
    world.rounds("demo", 2).await;
    let status = world.cluster().await.unwrap().status.unwrap();
    let reason = status.reason.unwrap();
    assert!(
        reason.contains(&format!(
            "labels or taints of node {} back at once: rack",
            worker.name
        )),
        "{reason}"
    );
    assert_eq!(status.phase.as_deref(), Some("Running"));
    let ready = status
        .conditions
        .iter()
        .find(|known| known.type_ == "Ready")
        .unwrap();
    assert_eq!(ready.status, "False");
    world.scale_workers(2).await;
    settles(&world, 1, 2).await;
    world.inside.with(|inside| inside.puts_back.clear());
    world.drive_to_ready().await;
}

/// A person has approved a rollout, and labels are changed while it goes on: nobody has to approve it again.
#[tokio::test]
async fn a_rollout_goes_on_with_its_approval() {
    let world = made(1).await;
    world.add_hardware("f", "cp").await;
    use_image(&world, OTHER_IMAGE).await;
    waits_for_approval(&world).await;
    world.approve(&world.plan().await.name_any()).await;
    world.rounds("demo", 3).await;
    set_group(&world, "labels", json!({ "rack": "r1" })).await;
    world.drive_to_ready().await;
    for machine in world.machines().await {
        assert_eq!(machine.spec.image_url, OTHER_IMAGE);
    }
    assert_eq!(
        labels(&node_of_role(&world, MachineRole::Worker).await),
        ["rack=r1"]
    );
}

#[tokio::test]
async fn an_autoscaler_is_told_of_them_while_there_are_any() {
    let world = made(1).await;
    autoscale(&world, 1, 2).await;
    let taint = json!([{ "key": "dedicated", "effect": "PreferNoSchedule" }]);
    set_group(&world, "taints", taint).await;
    world.rounds("demo", 5).await;
    let annotations = async || {
        let found: MachineDeployment = world.api().get("demo-md-0").await.unwrap();
        let of = |key: &str| found.annotations().get(key).cloned();
        (of(keys::CAPACITY_LABELS), of(keys::CAPACITY_TAINTS))
    };
    let (labels, taints) = annotations().await;
    assert_eq!(labels.as_deref(), Some("pool=small"));
    assert_eq!(taints.as_deref(), Some("dedicated=:PreferNoSchedule"));
    set_group(&world, "labels", json!({})).await;
    set_group(&world, "taints", json!([])).await;
    world.rounds("demo", 5).await;
    assert_eq!(annotations().await, (None, None));
    // What a person writes about labels that the documents don't name is theirs.
    let change = json!({ "metadata": { "annotations": { keys::CAPACITY_LABELS: "gpu=yes" } } });
    let api: Api<MachineDeployment> = world.api();
    api.patch("demo-md-0", &PatchParams::default(), &Patch::Merge(change))
        .await
        .unwrap();
    world.rounds("demo", 3).await;
    assert_eq!(annotations().await.0.as_deref(), Some("gpu=yes"));
}
