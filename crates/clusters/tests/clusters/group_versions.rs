//! Worker groups that are one minor version behind the control plane: they stay there when it is upgraded, follow later, and may
//! be made so; the nodes of each version have pods of kube-proxy that run on them.

use clusters_sim::next_release;
use kube::ResourceExt as _;
use kube::api::{Api, Patch, PatchParams, PostParams};
use resources::anywhere::{Cluster, TinkerbellDatacenterConfig, TinkerbellMachineConfig};
use resources::cluster_api::{Machine, MachineDeployment, MachineSet};
use resources::gantry::{ControlPlane, PlanClass, Release};
use serde_json::{Value, json};

use crate::life::{made, quorum_held, settles};
use crate::upgrade::{NEXT_IMAGE, later_releases, waits_for_approval};
use crate::world::World;

pub(crate) const IMAGE: &str = "file:///srv/debian-13-kubernetes-1.35.raw.zst";
const OLD: &str = "v1.35.4";
const NEW: &str = "v1.36.0";

async fn patch<K>(world: &World, name: &str, change: Value)
where
    K: kube::Resource<Scope = kube::core::NamespaceResourceScope, DynamicType = ()>
        + Clone
        + std::fmt::Debug
        + serde::Serialize
        + serde::de::DeserializeOwned,
{
    let api: Api<K> = world.api();
    let change = Patch::Merge(change);
    api.patch(name, &PatchParams::default(), &change).await.unwrap();
}

/// Names an image for each of the two machine configurations.
pub(crate) async fn use_images(world: &World, control_plane: &str, workers: &str) {
    let none = json!({ "spec": { "osImageURL": null } });
    patch::<TinkerbellDatacenterConfig>(world, "demo", none).await;
    for (name, url) in [("demo-cp", control_plane), ("demo-md", workers)] {
        let image = json!({ "spec": { "osImageURL": url } });
        patch::<TinkerbellMachineConfig>(world, name, image).await;
    }
}

/// Writes the cluster's version, and that of its only worker group.
pub(crate) async fn use_versions(world: &World, cluster: &str, group: Option<&str>) {
    let mut groups = world.cluster().await.unwrap().spec;
    let groups = &mut groups.worker_node_group_configurations;
    groups[0].kubernetes_version = group.map(str::to_owned);
    world
        .edit(json!({ "spec": { "kubernetesVersion": cluster, "workerNodeGroupConfigurations": groups } }))
        .await;
}

/// The control plane comes to the next version, and the worker group stays.
pub(crate) async fn leave_behind(world: &World) {
    use_images(world, NEXT_IMAGE, IMAGE).await;
    use_versions(world, "1.36", Some("1.35")).await;
}

/// The group follows.
pub(crate) async fn catch_up(world: &World) {
    use_images(world, NEXT_IMAGE, NEXT_IMAGE).await;
    use_versions(world, "1.36", None).await;
}

pub(crate) async fn next(world: &World) {
    let releases: Api<Release> = Api::all(world.client.clone());
    releases
        .create(&PostParams::default(), &next_release())
        .await
        .unwrap();
}

/// Versions of the Machines of the control plane and of the workers.
async fn machine_versions(world: &World) -> Vec<String> {
    let machines = world.api::<Machine>().list(&Default::default()).await.unwrap();
    let mut versions: Vec<String> = machines
        .iter()
        .map(|machine| {
            let name = machine.name_any();
            let pool = name.trim_start_matches("demo-").rsplit_once('-').unwrap().0;
            format!("{pool} {}", machine.spec.version.as_deref().unwrap_or_default())
        })
        .collect();
    versions.sort();
    versions
}

async fn rolls_out(world: &World) {
    waits_for_approval(world).await;
    let plan = world.plan().await;
    assert_eq!(plan.spec.class, PlanClass::Upgrade);
    world.approve(&plan.name_any()).await;
    world
        .drive("done", async |world: &World| world.is_at_rest().await)
        .await;
    world.drive_to_ready().await;
    quorum_held(world);
}

fn of_versions(world: &World) -> Vec<String> {
    world.inside.with(|inside| {
        let addons = &inside.addons;
        assert_eq!(
            addons.of_versions, addons.cni_of_versions,
            "flannel's image differs, too"
        );
        addons.of_versions.iter().cloned().collect()
    })
}

async fn group_version(world: &World) -> Option<String> {
    let group: MachineDeployment = world.api().get("demo-md-0").await.unwrap();
    group.spec.template.spec.version
}

#[tokio::test]
async fn a_group_stays_behind_and_follows_later() {
    let world = made(1).await;
    world.add_hardware("f", "cp").await;
    next(&world).await;
    let workers = world.workers().await;
    leave_behind(&world).await;
    rolls_out(&world).await;
    assert_eq!(world.workers().await, workers, "the workers stay as they are");
    assert_eq!(
        machine_versions(&world).await,
        [format!("cp {NEW}"), format!("md-0 {OLD}")]
    );
    assert_eq!(group_version(&world).await.as_deref(), Some(OLD));
    let control_plane: ControlPlane = world.api().get("demo").await.unwrap();
    let older = control_plane.spec.older_release.unwrap();
    assert_eq!((older.name.as_str(), &*older.release.patch_version), (OLD, OLD));
    assert_eq!(control_plane.spec.version, NEW);
    assert_eq!(of_versions(&world), [OLD]);
    // Its pods are there before the others leave its node out.
    let log = world.log();
    let at = |what: &str| log.iter().position(|line| line == what).unwrap();
    assert!(at(&format!("pods for {OLD}")) < at("kube-proxy"), "{log:#?}");

    // Another machine of the group is of its version, without an approval.
    world.scale_workers(2).await;
    settles(&world, 1, 2).await;
    world.drive_to_ready().await;
    assert_eq!(
        machine_versions(&world).await,
        [format!("cp {NEW}"), format!("md-0 {OLD}"), format!("md-0 {OLD}")]
    );

    catch_up(&world).await;
    rolls_out(&world).await;
    assert_eq!(
        machine_versions(&world).await,
        [format!("cp {NEW}"), format!("md-0 {NEW}"), format!("md-0 {NEW}")]
    );
    assert_eq!(group_version(&world).await.as_deref(), Some(NEW));
    let control_plane: ControlPlane = world.api().get("demo").await.unwrap();
    assert_eq!(control_plane.spec.older_release, None);
    assert_eq!(of_versions(&world), [""; 0], "no node needs it any more");
    let log = world.log();
    world.rounds("demo", 3).await;
    assert_eq!(world.log(), log, "and nothing is written again");
}

#[tokio::test]
async fn the_control_plane_waits_for_a_group_that_is_behind() {
    let world = made(1).await;
    later_releases(&world).await;
    leave_behind(&world).await;
    rolls_out(&world).await;
    use_versions(&world, "1.37", Some("1.35")).await;
    let refused = async |world: &World| {
        let message = world.cluster().await.unwrap().status.unwrap().failure_message;
        message.is_some_and(|message| {
            message.contains("worker group md-0 has Kubernetes 1.35, and would be more than one")
        })
    };
    world.drive("refused by name", refused).await;
    let control_plane: ControlPlane = world.api().get("demo").await.unwrap();
    assert_eq!(control_plane.spec.version, NEW);
}

#[tokio::test]
async fn a_group_is_made_with_the_version_before() {
    let world = World::new().await;
    next(&world).await;
    world.apply_configs().await;
    use_images(&world, NEXT_IMAGE, IMAGE).await;
    let mut cluster = clusters_sim::NewCluster::default().documents().cluster;
    cluster.spec.kubernetes_version = "1.36".to_owned();
    cluster.spec.worker_node_group_configurations[0].kubernetes_version = Some("1.35".to_owned());
    world.create::<Cluster>(&cluster).await;
    world.drive_to_ready().await;
    quorum_held(&world);
    assert_eq!(
        machine_versions(&world).await,
        [format!("cp {NEW}"), format!("md-0 {OLD}")]
    );
    assert_eq!(of_versions(&world), [OLD]);
    let sets = world.api::<MachineSet>().list(&Default::default()).await.unwrap();
    let versions: Vec<_> = sets
        .iter()
        .map(|set| set.spec.template.spec.version.clone())
        .collect();
    assert_eq!(versions, [Some(OLD.to_owned())]);
    // Nobody has to approve what a new cluster is made of.
    assert!(world.names::<resources::gantry::PlanApproval>().await.is_empty());
}

/// A cluster from before there was a label of the version, and before its pods were of a version.
#[tokio::test]
async fn nodes_without_the_label_get_it_before_they_are_left_out() {
    let world = made(1).await;
    world.add_hardware("f", "cp").await;
    next(&world).await;
    world.inside.with(|inside| {
        for node in inside.nodes.values_mut() {
            node.labels.remove(resources::keys::KUBERNETES_VERSION);
        }
    });
    leave_behind(&world).await;
    rolls_out(&world).await;
    assert_eq!(of_versions(&world), [OLD]);
}

/// A group of the version before is added to a cluster that exists.
#[tokio::test]
async fn a_group_of_the_version_before_is_added() {
    let world = made(1).await;
    world.add_hardware("f", "cp").await;
    next(&world).await;
    let mut old: TinkerbellMachineConfig = world.api().get("demo-md").await.unwrap();
    old.metadata = kube::core::ObjectMeta {
        name: Some("demo-old".to_owned()),
        ..Default::default()
    };
    world.create(&old).await;
    use_images(&world, NEXT_IMAGE, NEXT_IMAGE).await;
    use_versions(&world, "1.36", None).await;
    rolls_out(&world).await;
    let image = json!({ "spec": { "osImageURL": IMAGE } });
    patch::<TinkerbellMachineConfig>(&world, "demo-old", image).await;
    let mut groups = world
        .cluster()
        .await
        .unwrap()
        .spec
        .worker_node_group_configurations;
    let mut group = groups[0].clone();
    group.name = Some("old".to_owned());
    group.kubernetes_version = Some("1.35".to_owned());
    group.machine_group_ref.as_mut().unwrap().name = "demo-old".to_owned();
    groups.push(group);
    world
        .edit(json!({ "spec": { "workerNodeGroupConfigurations": groups } }))
        .await;
    let there = async |world: &World| machine_versions(world).await.contains(&format!("old {OLD}"));
    world.drive("made", there).await;
    world.drive_to_ready().await;
    quorum_held(&world);
    assert_eq!(of_versions(&world), [OLD]);
    // And goes again.
    groups.pop();
    world
        .edit(json!({ "spec": { "workerNodeGroupConfigurations": groups } }))
        .await;
    let gone = async |world: &World| {
        let versions = machine_versions(world).await;
        versions == [format!("cp {NEW}"), format!("md-0 {NEW}")]
            && world.is_at_rest().await
            && world.inside.with(|inside| inside.addons.of_versions.is_empty())
    };
    world.drive("without it", gone).await;
}
