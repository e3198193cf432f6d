//! The only member of a control plane is installed anew on its host, because there is no other one for it.

use kube::ResourceExt as _;
use kube::api::{DeleteParams, Patch, PatchParams};
use resources::anywhere::Cluster;
use resources::gantry::{ControlPlane, Plan, PlanClass, PlanStepKind, StepState};
use serde_json::json;

use crate::life::{made, settles};
use crate::upgrade::{OTHER_IMAGE, upgrades, use_image, waits_for_approval};
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

/// A coordinator that is killed may not have noted that the pods are moved, although it has stopped etcd since.
#[tokio::test]
async fn pods_that_were_moved_before_etcd_was_stopped_are_not_waited_for() {
    let world = alone().await;
    use_image(&world, OTHER_IMAGE).await;
    waits_for_approval(&world).await;
    world.approve(&world.plan().await.name_any()).await;
    let is_saved = async |world: &World| {
        let control_plane: ControlPlane = world.api().get("demo").await.unwrap();
        control_plane
            .spec
            .saved_etcd
            .is_some_and(|saved| saved.snapshot.is_some())
    };
    world.drive("saved", is_saved).await;
    assert!(world.inside.with(|inside| inside.frozen));
    let plan = world.plan().await;
    let kind = |id: &str| {
        plan.spec
            .steps
            .iter()
            .find(|step| step.id == id)
            .map(|step| step.kind)
    };
    let mut status = plan.status.clone().unwrap();
    status.steps.retain(|row| {
        matches!(
            kind(&row.id),
            Some(PlanStepKind::UpdateClusterConfig | PlanStepKind::Drain)
        )
    });
    for row in &mut status.steps {
        if kind(&row.id) == Some(PlanStepKind::Drain) {
            (row.state, row.ended_at) = (StepState::Running, None);
        }
    }
    let patch = Patch::Merge(json!({ "status": { "steps": status.steps } }));
    let plans = world.api::<Plan>();
    plans
        .patch_status(&plan.name_any(), &PatchParams::default(), &patch)
        .await
        .unwrap();
    let done = async |world: &World| {
        let machines = world.machines().await;
        let mut images = machines.iter().map(|machine| machine.spec.image_url.as_str());
        world.is_at_rest().await && images.all(|image| image == OTHER_IMAGE)
    };
    world.drive("the new image", done).await;
    world.drive_to_ready().await;
    nothing_is_left(&world).await;
}
