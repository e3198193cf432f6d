//! The only member of a control plane is installed anew on its host, because there is no other one for it.

use kube::ResourceExt as _;
use kube::api::DeleteParams;
use resources::anywhere::Cluster;
use resources::gantry::{ControlPlane, PlanClass};

use crate::life::{made, settles};
use crate::upgrade::{OTHER_IMAGE, upgrades, use_image};
use crate::world::World;

/// One member and one worker, and no server for another one.
pub(crate) async fn alone() -> World {
    let world = made(1).await;
    let used: Vec<String> = world
        .machines()
        .await
        .iter()
        .map(|one| world.host(&one.name_any()))
        .collect();
    for name in ["a", "b", "c", "d", "e"] {
        if !used.iter().any(|host| host == name) {
            world.remove_hardware(name).await;
        }
    }
    world
}

/// Nothing that was saved or that counts as saved is left.
pub(crate) async fn nothing_is_left(world: &World) {
    let control_plane: ControlPlane = world.api().get("demo").await.unwrap();
    assert_eq!(control_plane.spec.saved_etcd, None);
    assert!(!world.inside.with(|inside| inside.frozen));
}

/// How many snapshots of the cluster are kept.
async fn kept(world: &World) -> usize {
    let files = world.options.files.as_ref().unwrap();
    files.list("eksa-system/demo").await.unwrap().len()
}

#[tokio::test]
async fn another_image_is_installed_on_the_only_server() {
    let world = alone().await;
    let before = world.control_planes().await;
    let host = world.host(&before[0]);
    use_image(&world, OTHER_IMAGE).await;
    upgrades(&world, OTHER_IMAGE).await;
    settles(&world, 1, 1).await;
    let after = world.control_planes().await;
    assert_ne!(before, after);
    assert_eq!(world.host(&after[0]), host);
    nothing_is_left(&world).await;
    assert_eq!(kept(&world).await, 1, "the data that it was started with");
    let log = world.log();
    let at = |what: &str| log.iter().position(|line| line.starts_with(what)).unwrap();
    assert!(
        at("drained") < at("freeze") && at("freeze") < at("restore") && at("restore") < at("thaw"),
        "{log:?}"
    );
    let clusters = world.api::<Cluster>();
    clusters.delete("demo", &DeleteParams::default()).await.unwrap();
    world.drive_to_gone().await;
    assert_eq!(kept(&world).await, 0);
}

/// A person wants another machine in its place.
#[tokio::test]
async fn it_is_replaced_by_itself_when_a_person_approves_that() {
    let world = alone().await;
    let before = world.control_planes().await;
    world.delete_machine(&before[0]).await;
    let waits = async |world: &World| {
        let reason = world.cluster().await.unwrap().status.unwrap().reason;
        reason.is_some_and(|reason| reason.contains("the cluster's API does not answer until"))
    };
    world.drive("waiting for approval", waits).await;
    let plan = world.plan().await;
    assert_eq!(plan.spec.class, PlanClass::Remediate);
    world.approve(&plan.name_any()).await;
    let replaced =
        async |world: &World| world.is_at_rest().await && !world.control_planes().await.contains(&before[0]);
    world.drive("another machine", replaced).await;
    world.drive_to_ready().await;
    nothing_is_left(&world).await;
}

/// While its data can't be saved it goes on as before, and says why; when they can, it continues.
#[tokio::test]
async fn it_goes_on_while_its_data_can_not_be_saved() {
    let world = alone().await;
    world.inside.with(|inside| inside.breaks_off = true);
    use_image(&world, OTHER_IMAGE).await;
    let waits = async |world: &World| {
        let reason = world.cluster().await.unwrap().status.unwrap().reason;
        reason.is_some_and(|reason| reason.contains("waits for approval"))
    };
    world.drive("waiting for approval", waits).await;
    world.approve(&world.plan().await.name_any()).await;
    let says = async |world: &World| {
        let reason = world.cluster().await.unwrap().status.unwrap().reason;
        reason.is_some_and(|reason| reason.contains("it takes writes again"))
    };
    world.drive("saving fails", says).await;
    assert!(!world.inside.with(|inside| inside.frozen));
    world.inside.with(|inside| inside.breaks_off = false);
    let done = async |world: &World| {
        let machines = world.machines().await;
        world.is_at_rest().await
            && machines
                .iter()
                .all(|machine| machine.spec.image_url == OTHER_IMAGE)
    };
    world.drive("the new image", done).await;
    world.drive_to_ready().await;
    nothing_is_left(&world).await;
}
