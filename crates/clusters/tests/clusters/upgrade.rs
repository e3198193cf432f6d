//! Another image, other settings, another version: machines are exchanged when a person has approved it.

use std::collections::BTreeSet;

use clusters_sim::next_release;
use kube::ResourceExt as _;
use kube::api::{Api, Patch, PatchParams, PostParams};
use resources::anywhere::TinkerbellDatacenterConfig;
use resources::cluster_api::Machine;
use resources::gantry::{ControlPlane, Image, Plan, PlanApproval, PlanClass, PlanPhase, Release};
use serde_json::json;

use crate::life::{made, quorum_held, settles};
use crate::world::{TURNS, World};

pub(crate) const OTHER_IMAGE: &str = "file:///srv/other-1.35.raw.zst";
pub(crate) const NEXT_IMAGE: &str = "file:///srv/debian-13-kubernetes-1.36.raw.zst";
const LAST_IMAGE: &str = "file:///srv/debian-13-kubernetes-1.37.raw.zst";

/// Names another image for all machines.
pub(crate) async fn use_image(world: &World, url: &str) {
    let datacenters: Api<TinkerbellDatacenterConfig> = world.api();
    let image = json!({ "spec": { "osImageURL": url } });
    let patch = Patch::Merge(image);
    datacenters
        .patch("demo", &PatchParams::default(), &patch)
        .await
        .unwrap();
}

pub(crate) async fn waits_for_approval(world: &World) {
    let waits = async |world: &World| {
        let reason = world.cluster().await.unwrap().status.unwrap().reason;
        reason.is_some_and(|reason| reason.contains("waits for approval"))
    };
    world.drive("waiting for approval", waits).await;
}

/// A person approves the plan that counts, and all machines come to this image.
pub(crate) async fn upgrades(world: &World, url: &str) {
    waits_for_approval(world).await;
    let plan = world.plan().await;
    assert_eq!(plan.spec.class, PlanClass::Upgrade);
    world.approve(&plan.name_any()).await;
    let done = async |world: &World| {
        let machines = world.machines().await;
        world.is_at_rest().await && machines.iter().all(|machine| machine.spec.image_url == url)
    };
    world.drive("the new image", done).await;
    world.drive_to_ready().await;
    quorum_held(world);
}

#[tokio::test]
async fn another_image_is_rolled_out_when_a_person_has_approved_it() {
    let world = made(3).await;
    world.add_hardware("f", "cp").await;
    let before = world.machines().await;
    use_image(&world, OTHER_IMAGE).await;
    waits_for_approval(&world).await;
    assert_eq!(world.machines().await.len(), 4, "nothing is touched before");
    upgrades(&world, OTHER_IMAGE).await;
    settles(&world, 3, 1).await;
    let after = world.machines().await;
    assert!(
        after
            .iter()
            .all(|machine| before.iter().all(|old| old.name_any() != machine.name_any()))
    );
    // The version is the same, so the add-ons are left alone.
    assert_eq!(world.inside.with(|inside| inside.addons.version.clone()), None);
    let log = world.log();
    let at = |what: &str| log.iter().position(|line| line.starts_with(what));
    assert!(at("kubeadm-config").is_some(), "{log:?}");
}

#[tokio::test]
async fn another_version_brings_control_plane_add_ons_and_workers() {
    let world = made(1).await;
    let releases: Api<Release> = Api::all(world.client.clone());
    releases
        .create(&PostParams::default(), &next_release())
        .await
        .unwrap();
    world.inside.with(|inside| {
        inside.addons.dns = Some("registry.k8s.io/coredns/coredns:v1.13.1".to_owned());
        inside.addons.proxy = Some("registry.k8s.io/kube-proxy:v1.35.4".to_owned());
    });
    use_image(&world, NEXT_IMAGE).await;
    world
        .edit(json!({ "spec": { "kubernetesVersion": "1.36" } }))
        .await;
    upgrades(&world, NEXT_IMAGE).await;
    let control_plane: ControlPlane = world.api().get("demo").await.unwrap();
    assert_eq!(control_plane.spec.version, "v1.36.0");
    assert_eq!(control_plane.spec.release_ref.as_deref(), Some("v1.36.0"));
    let addons = world.inside.with(|inside| inside.addons.clone());
    assert_eq!(
        addons.dns.as_deref(),
        Some("registry.k8s.io/coredns/coredns:v1.14.0")
    );
    assert_eq!(
        addons.proxy.as_deref(),
        Some("registry.k8s.io/kube-proxy:v1.36.0")
    );
    assert_eq!((addons.version.as_deref(), addons.held), (Some("v1.36.0"), false));
}

/// Releases of the two versions after that of the cluster.
pub(crate) async fn later_releases(world: &World) {
    let mut after = next_release();
    after.metadata.name = Some("v1.37.0".to_owned());
    (after.spec.kubernetes_version, after.spec.patch_version) = ("1.37".to_owned(), "v1.37.0".to_owned());
    let releases: Api<Release> = Api::all(world.client.clone());
    for release in [next_release(), after] {
        releases.create(&PostParams::default(), &release).await.unwrap();
    }
}

async fn use_version(world: &World, image: &str, version: &str) {
    use_image(world, image).await;
    world
        .edit(json!({ "spec": { "kubernetesVersion": version } }))
        .await;
}

/// Until every machine has 1.37; a person approves what waits for it. No two minor versions apart are there at once.
async fn comes_to_the_last(world: &World) {
    for _ in 0..2 * TURNS {
        let plan = world.plan().await;
        let approvals = world.names::<PlanApproval>().await;
        if plan.phase() == PlanPhase::Pending && !approvals.contains(&plan.name_any()) {
            world.approve(&plan.name_any()).await;
        }
        world.rounds("demo", 1).await;
        let machines = world.api::<Machine>().list(&Default::default()).await.unwrap();
        let versions: BTreeSet<String> = machines
            .items
            .into_iter()
            .filter_map(|one| one.spec.version)
            .collect();
        let apart = versions.contains("v1.35.4") && versions.contains("v1.37.0");
        assert!(!apart, "{versions:?}");
        if world.is_at_rest().await && versions.iter().eq(["v1.37.0"]) {
            world.drive_to_ready().await;
            return quorum_held(world);
        }
    }
    panic!("not 1.37: {}", world.state().await);
}

/// A second edit that comes while the first one is rolled out must not bring two minor versions together.
#[tokio::test]
async fn a_version_waits_until_every_machine_has_the_one_before() {
    let world = made(1).await;
    later_releases(&world).await;
    use_version(&world, NEXT_IMAGE, "1.36").await;
    waits_for_approval(&world).await;
    use_version(&world, LAST_IMAGE, "1.37").await;
    world.rounds("demo", 4).await;
    let control_plane: ControlPlane = world.api().get("demo").await.unwrap();
    assert_eq!(control_plane.spec.version, "v1.36.0");
    comes_to_the_last(&world).await;
}

#[tokio::test]
async fn one_edit_over_two_minor_versions_goes_through_the_one_between() {
    let world = made(1).await;
    later_releases(&world).await;
    use_version(&world, LAST_IMAGE, "1.37").await;
    let named = async |world: &World| {
        let message = world.cluster().await.unwrap().status.unwrap().failure_message;
        message.is_some_and(|message| {
            message.contains("from Kubernetes 1.35 to 1.37 goes through 1.36, and no Image with 1.36 in its URL holds Kubernetes v1.36.0 on debian")
        })
    };
    world.drive("the image that is missing", named).await;
    assert_eq!(world.machines().await.len(), 2);
    make_image(&world, NEXT_IMAGE).await;
    waits_for_approval(&world).await;
    let control_plane: ControlPlane = world.api().get("demo").await.unwrap();
    assert_eq!(control_plane.spec.version, "v1.36.0");
    comes_to_the_last(&world).await;
    let images = world.machines().await;
    assert!(images.iter().all(|machine| machine.spec.image_url == LAST_IMAGE));
    // One for each version.
    let plans = world.api::<Plan>().list(&Default::default()).await.unwrap();
    let upgrades = plans.iter().filter(|plan| plan.spec.class == PlanClass::Upgrade);
    let desired: BTreeSet<String> = upgrades.map(|plan| plan.spec.desired.hex()).collect();
    assert_eq!(desired.len(), 2);
}

async fn make_image(world: &World, url: &str) {
    let image = json!({ "metadata": { "name": "between" }, "spec": { "url": url } });
    world
        .create::<Image>(&serde_json::from_value(image).unwrap())
        .await;
}

/// An image that can't be had touches no machine, and the way back is open.
#[tokio::test]
async fn an_image_that_is_not_there_changes_nothing() {
    let world = made(1).await;
    let before = world.names::<resources::gantry::ProviderMachine>().await;
    world.driver().bad_image = Some("no such file".to_owned());
    use_image(&world, OTHER_IMAGE).await;
    let refused = async |world: &World| {
        let message = world.cluster().await.unwrap().status.unwrap().failure_message;
        message.is_some_and(|message| message.contains("no such file"))
    };
    world.drive("refused", refused).await;
    let status = world.cluster().await.unwrap().status.unwrap();
    assert_eq!(status.phase.as_deref(), Some("Running"));
    // It is driven on meanwhile.
    world.scale_workers(2).await;
    settles(&world, 1, 2).await;
    use_image(&world, "file:///srv/debian-13-kubernetes-1.35.raw.zst").await;
    world.driver().bad_image = None;
    world.drive_to_ready().await;
    let after = world.names::<resources::gantry::ProviderMachine>().await;
    assert!(before.iter().all(|name| after.contains(name)));
    assert_ne!(world.plan().await.phase(), PlanPhase::Pending);
}
