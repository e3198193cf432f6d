//! Nodes that no machine stands for, as after a restore of an older backup, become machines of their cluster.

use std::fmt::Debug;

use clusters_sim::node_of;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret as KubeSecret;
use kube::api::{DeleteParams, Patch, PatchParams};
use kube::core::NamespaceResourceScope;
use kube::{Resource, ResourceExt as _};
use resources::anywhere::{Cluster, TinkerbellDatacenterConfig, TinkerbellMachineConfig};
use resources::cluster_api::{Cluster as CapiCluster, Machine, MachineDeployment, MachineSet};
use resources::gantry::{
    AdoptedNode, Adoption, ControlPlane, Image, Plan, PlanClass, PlanPhase, ProviderCluster, ProviderMachine,
};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::life::{made, quorum_held, settles};
use crate::restore::{change, control_plane};
use crate::world::World;

/// Nothing is known here of a machine any more, while its node runs on. Its node.
pub(crate) async fn lose(world: &World, machine: &str) -> String {
    let host = world.driver().forget(machine).unwrap();
    erase::<ProviderMachine>(world, machine).await;
    erase::<Machine>(world, machine).await;
    node_of(&host)
}

/// An object is gone, whoever holds it.
async fn erase<K>(world: &World, name: &str)
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + Debug + DeserializeOwned,
{
    let api = world.api::<K>();
    let without = Patch::Merge(json!({ "metadata": { "finalizers": null } }));
    // It may have gone with its owner.
    let _ = api.patch(name, &PatchParams::default(), &without).await;
    let _ = api.delete(name, &DeleteParams::default()).await;
}

async fn erase_all<K>(world: &World)
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + Debug + DeserializeOwned,
{
    for name in world.names::<K>().await {
        erase::<K>(world, &name).await;
    }
}

/// A person wants a node to be a machine.
pub(crate) async fn wish(world: &World, node: &str, wish: Value) {
    change(world, json!({ "adoptions": { node: wish } })).await;
}

pub(crate) async fn wishes(world: &World) -> Vec<(String, Adoption)> {
    control_plane(world).await.spec.adoptions.into_iter().collect()
}

async fn is_adopted(world: &World) {
    let done = async |world: &World| wishes(world).await.is_empty();
    world.drive("adopted", done).await;
}

/// Why the node is not adopted.
async fn refusal(world: &World, node: &str) -> String {
    let refused = async |world: &World| {
        let wishes = wishes(world).await;
        wishes
            .iter()
            .any(|(name, wish)| name == node && wish.refused.is_some())
    };
    world.drive("refused", refused).await;
    let wishes = wishes(world).await.into_iter();
    let mut of_node = wishes.filter(|(name, _)| name == node);
    of_node.next().and_then(|(_, wish)| wish.refused).unwrap()
}

/// What was installed, joined, drained or switched off.
pub(crate) fn done(world: &World) -> Vec<String> {
    let log = world.log().into_iter();
    let kinds = ["install", "join", "init", "drain", "delete", "remove"];
    log.filter(|line| kinds.iter().any(|kind| line.starts_with(kind)))
        .collect()
}

#[tokio::test]
async fn a_worker_that_no_machine_stands_for_becomes_one_and_nothing_happens_to_it() {
    let world = made(1).await;
    world.scale_workers(2).await;
    settles(&world, 1, 2).await;
    world.drive_to_ready().await;
    let (kept, lost) = (world.workers().await.remove(0), world.workers().await.remove(1));
    let before = done(&world);
    let node = lose(&world, &lost).await;
    wish(&world, &node, json!({})).await;
    is_adopted(&world).await;
    world.drive_to_ready().await;

    let workers = world.workers().await;
    let adopted = workers.iter().find(|name| **name != kept).unwrap();
    assert_eq!(workers.len(), 2);
    assert_ne!(*adopted, lost);
    assert_eq!(node_of(&world.host(adopted)), node);
    let machine: Machine = world.api().get(adopted).await.unwrap();
    let provider: ProviderMachine = world.api().get(adopted).await.unwrap();
    let host = world.host(adopted);
    let known = AdoptedNode {
        node: node.clone(),
        provider_id: machine.spec.provider_id.clone().unwrap(),
        address: world.driver().address(&host).to_string(),
        system_uuid: provider
            .spec
            .adopts
            .as_ref()
            .and_then(|node| node.system_uuid.clone()),
    };
    assert_eq!(provider.spec.adopts, Some(known));
    assert!(provider.spec.adopts.unwrap().system_uuid.is_some());
    let first: Machine = world.api().get(&kept).await.unwrap();
    assert_eq!(machine.spec.version, first.spec.version);
    assert_eq!(
        machine.status.clone().unwrap().node_ref.map(|node| node.name),
        Some(node.clone())
    );
    let keys = |machine: &Machine| machine.labels().keys().cloned().collect::<Vec<_>>();
    assert_eq!(keys(&machine), keys(&first), "its group is that of the other one");
    assert_eq!(done(&world), before, "nothing was done to any machine");

    // The same again changes nothing.
    let objects = (machine, world.machines().await);
    wish(&world, &node, json!({})).await;
    is_adopted(&world).await;
    world.rounds("demo", 5).await;
    assert_eq!(world.api::<Machine>().get(adopted).await.unwrap(), objects.0);
    assert_eq!(world.machines().await, objects.1);
}

#[tokio::test]
async fn a_member_of_the_control_plane_becomes_a_machine_and_keeps_its_vote() {
    let world = made(3).await;
    let members = world.control_planes().await;
    let before = done(&world);
    let node = lose(&world, &members[1]).await;
    wish(&world, &node, json!({})).await;
    is_adopted(&world).await;
    world.drive_to_ready().await;
    assert_eq!(world.control_planes().await.len(), 3);
    assert_eq!(done(&world), before);
    quorum_held(&world);
    assert_eq!(world.inside.with(|inside| inside.voters()), (3, 3));
}

/// After a restore of an older backup the documents do not know of the node either.
#[tokio::test]
async fn a_machine_above_the_wanted_number_goes_only_with_approval() {
    let world = made(1).await;
    world.scale_workers(2).await;
    settles(&world, 1, 2).await;
    let lost = world.workers().await.remove(1);
    let node = lose(&world, &lost).await;
    world.scale_workers(1).await;
    world.drive_to_ready().await;
    let kept = world.workers().await;
    wish(&world, &node, json!({ "pool": "md-0" })).await;
    is_adopted(&world).await;
    let waits = async |world: &World| {
        let plan = world.plan().await;
        let why = plan.spec.requires_approval.clone();
        plan.phase() == PlanPhase::Pending && why.is_some_and(|why| why.contains("was adopted"))
    };
    world.drive("a plan that waits", waits).await;
    world.rounds("demo", 10).await;
    assert_eq!(world.workers().await.len(), 2);
    assert_eq!(world.count("drained"), 0, "{:?}", world.log());

    // It is wanted after all.
    world.scale_workers(2).await;
    world.drive_to_ready().await;
    assert_eq!(world.workers().await.len(), 2);
    assert!(world.workers().await.contains(&kept[0]));
    // Without it again, and a person agrees.
    world.scale_workers(1).await;
    world.drive("a plan that waits", waits).await;
    let plan = world.plan().await;
    assert_eq!(plan.spec.class, PlanClass::Scale);
    world.approve(&plan.name_any()).await;
    settles(&world, 1, 1).await;
    assert_eq!(world.workers().await, kept);
}

#[tokio::test]
async fn what_is_not_clear_is_refused_with_the_reason_and_leaves_nothing() {
    let world = made(1).await;
    let (member, worker) = (
        node_of(&world.host(&world.control_planes().await[0])),
        node_of(&world.host(&world.workers().await[0])),
    );
    let before = world.machines().await;
    wish(&world, "node-x", json!({})).await;
    let why = refusal(&world, "node-x").await;
    assert!(
        why.contains("the cluster has no node node-x") && why.contains("each of its nodes is a machine here"),
        "{why}"
    );
    change(&world, json!({ "adoptions": null })).await;
    for node in [&member, &worker] {
        wish(&world, node, json!({})).await;
        is_adopted(&world).await;
    }
    assert_eq!(world.machines().await, before, "they are machines already");

    let lost = world.workers().await.remove(0);
    let host = world.host(&lost);
    let node = lose(&world, &lost).await;
    wish(&world, &node, json!({ "pool": "cp" })).await;
    let why = refusal(&world, &node).await;
    assert!(
        why.contains("is no member of etcd, so that it can't be a machine of cp"),
        "{why}"
    );
    let reason = "the machine of node node-b has another UUID";
    world.driver().strangers.insert(host.clone(), reason.to_owned());
    change(&world, json!({ "adoptions": null })).await;
    wish(&world, &node, json!({})).await;
    assert_eq!(refusal(&world, &node).await, reason);
    let no_candidate = async |world: &World| {
        let machines = world.machines().await;
        machines.iter().all(|machine| machine.spec.adopts.is_none())
    };
    world.drive("its candidate is gone", no_candidate).await;
    // It was a mistake.
    world.driver().strangers.clear();
    change(&world, json!({ "adoptions": null })).await;
    wish(&world, &node, json!({})).await;
    is_adopted(&world).await;
    assert!(world.driver().claims().contains_key(&host));
}

#[tokio::test]
async fn it_waits_while_the_cluster_does_not_answer_and_says_so() {
    let world = made(1).await;
    let lost = world.workers().await.remove(0);
    let node = lose(&world, &lost).await;
    world.inside.with(|inside| inside.silent = true);
    wish(&world, &node, json!({})).await;
    let says = async |world: &World| {
        let status = control_plane(world).await.status.unwrap_or_default();
        let why = status.adoptions.get(&node);
        why.is_some_and(|why| why.contains("the cluster's API does not answer"))
    };
    world.drive("the reason", says).await;
    assert!(world.workers().await.is_empty());
    world.inside.with(|inside| inside.silent = false);
    is_adopted(&world).await;
    assert_eq!(world.workers().await.len(), 1);
}

/// What an appliance has of a cluster once its data are lost: nothing, but for the keys that `gantry rebuild cluster` brings.
async fn lose_everything(world: &mut World) {
    for machine in world.machines().await {
        lose(world, &machine.name_any()).await;
    }
    erase_all::<Cluster>(world).await;
    erase_all::<TinkerbellDatacenterConfig>(world).await;
    erase_all::<TinkerbellMachineConfig>(world).await;
    erase_all::<CapiCluster>(world).await;
    erase_all::<ProviderCluster>(world).await;
    erase_all::<MachineDeployment>(world).await;
    erase_all::<MachineSet>(world).await;
    erase_all::<Plan>(world).await;
    erase_all::<ControlPlane>(world).await;
    erase_all::<Image>(world).await;
    for secret in world.secrets().await {
        let keys = ["demo-ca", "demo-etcd", "demo-proxy", "demo-sa"];
        if !keys.contains(&secret.as_str()) {
            erase::<KubeSecret>(world, &secret).await;
        }
    }
    world.restart();
}

/// The ControlPlane that `gantry rebuild cluster` makes, for these nodes of the control plane and others.
async fn rebuild(world: &World, members: &[(String, String)], workers: &[String]) {
    let now = Timestamp::now();
    let members = members
        .iter()
        .map(|(node, address)| (node.clone(), json!({ "address": address })));
    let workers = workers.iter().map(|node| (node.clone(), json!({})));
    let wishes: serde_json::Map<String, Value> = members.chain(workers).collect();
    let spec = json!({
        "clusterUid": "b14e1c1e-0000-4000-8000-000000000001", "replicas": 3, "version": "", "adoptions": wishes,
        "initializedBy": { "machine": "node-a", "requestedAt": now, "answeredAt": now },
    });
    let mut object = ControlPlane::new("demo", serde_json::from_value(spec).unwrap());
    object
        .labels_mut()
        .insert("cluster.x-k8s.io/cluster-name".to_owned(), "demo".to_owned());
    world.create(&object).await;
    world.apply_documents_with(3).await;
}

#[tokio::test]
async fn an_appliance_without_data_takes_a_cluster_over_and_nothing_happens_to_its_machines() {
    let mut world = made(3).await;
    let (members, worker) = (
        world.control_planes().await,
        node_of(&world.host(&world.workers().await[0])),
    );
    let members: Vec<(String, String)> = members
        .iter()
        .map(|name| {
            let host = world.host(name);
            (node_of(&host), world.driver().address(&host).to_string())
        })
        .collect();
    let before = done(&world);
    lose_everything(&mut world).await;

    // Nobody starts it a second time while it is silent.
    world.inside.with(|inside| inside.silent = true);
    rebuild(&world, &members, &[worker]).await;
    world.rounds("demo", 10).await;
    assert!(world.machines().await.is_empty(), "{}", world.state().await);
    world.inside.with(|inside| inside.silent = false);
    is_adopted(&world).await;
    world.drive_to_ready().await;
    assert_eq!(
        (world.control_planes().await.len(), world.workers().await.len()),
        (3, 1)
    );
    assert_eq!(done(&world), before);
    quorum_held(&world);
    assert!(world.secrets().await.contains(&"demo-kubeconfig".to_owned()));

    // It is a cluster like any other from now on, though a person has to agree while its own number is ahead of the records.
    world.scale_workers(2).await;
    let grown = async |world: &World| {
        let plan = world.plan().await;
        if plan.phase() == PlanPhase::Pending && plan.spec.requires_approval.is_some() {
            let known = world.names::<resources::gantry::PlanApproval>().await;
            if !known.contains(&plan.name_any()) {
                world.approve(&plan.name_any()).await;
            }
        }
        world.workers().await.len() == 2 && world.is_at_rest().await
    };
    world.drive("another worker", grown).await;
    world.drive_to_ready().await;
}
