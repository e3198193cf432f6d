//! What comes after creation: scaling, replacing, failures, and a control plane of several members.

use clusters_sim::node_of;
use jiff::{SignedDuration, Timestamp};
use kube::api::{Api, DeleteParams, Patch, PatchParams};
use resources::cluster_api::Machine;
use resources::gantry::{ControlPlane, Plan, PlanClass, PlanPhase, ProviderMachine};
use resources::keys;
use serde_json::json;

use crate::world::World;

pub(crate) async fn made(control_planes: i32) -> World {
    let world = World::new().await;
    world.apply_documents_with(control_planes).await;
    world.drive_to_ready().await;
    world
}

/// Until no plan is under way and there are so many machines of each role.
pub(crate) async fn settles(world: &World, control_planes: usize, workers: usize) {
    let holds = async |world: &World| {
        let machines = (world.control_planes().await.len(), world.workers().await.len());
        machines == (control_planes, workers) && world.is_at_rest().await
    };
    world
        .drive(&format!("{control_planes} and {workers} machines"), holds)
        .await;
}

pub(crate) fn quorum_held(world: &World) {
    let lost = world.inside.with(|inside| inside.lost_quorum);
    assert_eq!(lost, None, "voters and healthy ones: {:?}", world.log());
    let without = world.inside.with(|inside| inside.proxies.without.clone());
    assert_eq!(without, None, "{:#?}", world.log());
}

#[tokio::test]
async fn workers_are_added_and_drained_and_removed() {
    let world = made(1).await;
    let first = world.workers().await;
    world.scale_workers(2).await;
    settles(&world, 1, 2).await;
    assert_eq!(world.plan().await.spec.class, PlanClass::Scale);
    world.drive_to_ready().await;
    let two = world.workers().await;
    assert!(two.contains(&first[0]));

    // Their pods can't go at first.
    for name in &two {
        let node = node_of(&world.host(name));
        world.inside.with(|inside| inside.held.insert(node));
    }
    world.scale_workers(1).await;
    let blocked = async |world: &World| {
        let status = world.cluster().await.unwrap().status.unwrap();
        status
            .reason
            .is_some_and(|reason| reason.contains("PodDisruptionBudget shop/web"))
    };
    world.drive("waiting for the budget", blocked).await;
    let status = world.cluster().await.unwrap().status.unwrap();
    assert_eq!(status.phase.as_deref(), Some("Running"));
    assert_eq!(world.workers().await.len(), 2);
    let control_plane: ControlPlane = world.api().get("demo").await.unwrap();
    let token = control_plane.spec.disruption.unwrap();
    assert_eq!(token.plan, "demo-plan-3");
    let node = node_of(&world.host(&token.machine));
    world.inside.with(|inside| inside.held.clear());
    settles(&world, 1, 1).await;
    assert!(!world.workers().await.contains(&token.machine));
    let log = world.log();
    let at = |what: String| log.iter().position(|line| *line == what).unwrap();
    assert!(at(format!("drained {node}")) < at(format!("delete {node}")));
    let control_plane: ControlPlane = world.api().get("demo").await.unwrap();
    assert_eq!(control_plane.spec.disruption, None);
    world.drive_to_ready().await;
}

#[tokio::test]
async fn the_marked_machine_goes_first() {
    let world = made(1).await;
    let first = world.workers().await.remove(0);
    world.scale_workers(2).await;
    settles(&world, 1, 2).await;
    let mark = json!({ "metadata": { "annotations": { keys::DELETE_MACHINE: "" } } });
    let machines: Api<Machine> = world.api();
    machines
        .patch(&first, &PatchParams::default(), &Patch::Merge(mark))
        .await
        .unwrap();
    world.scale_workers(1).await;
    settles(&world, 1, 1).await;
    assert!(!world.workers().await.contains(&first));
}

#[tokio::test]
async fn a_deleted_machine_is_replaced() {
    let world = made(1).await;
    let old = world.workers().await.remove(0);
    let host = world.host(&old);
    world.delete_machine(&old).await;
    let replaced = async |world: &World| {
        let workers = world.workers().await;
        !workers.contains(&old) && workers.len() == 1 && world.is_at_rest().await
    };
    world.drive("replaced", replaced).await;
    world.drive_to_ready().await;
    let new = world.workers().await.remove(0);
    assert_ne!(world.host(&new), host, "a free server is taken at once");
    assert!(world.log().contains(&format!("drained {}", node_of(&host))));
    let machines = world.names::<Machine>().await;
    assert!(!machines.contains(&old), "{machines:?}");
}

#[tokio::test]
async fn a_deleted_provider_machine_is_replaced() {
    let world = made(1).await;
    let old = world.workers().await.remove(0);
    let machines: Api<ProviderMachine> = world.api();
    machines.delete(&old, &DeleteParams::default()).await.unwrap();
    let replaced = async |world: &World| {
        let workers = world.workers().await;
        !workers.contains(&old) && workers.len() == 1 && world.is_at_rest().await
    };
    world.drive("replaced", replaced).await;
    world.drive_to_ready().await;
    assert!(!world.names::<Machine>().await.contains(&old));
}

#[tokio::test]
async fn a_machine_that_fails_is_followed_by_another_one() {
    let world = World::new().await;
    world.apply_documents().await;
    let reason = "workflow demo-md-0-1 (attempt 3): action stream-image: the disk does not take the data";
    world.driver().broken.insert("b".to_owned(), reason.to_owned());
    world.drive_to_ready().await;
    let worker = world.workers().await.remove(0);
    assert_eq!(world.host(&worker), "c");
    let object: ProviderMachine = world.api().get(&worker).await.unwrap();
    assert_eq!(object.spec.replacement, 1);
}

#[tokio::test]
async fn a_running_cluster_stays_running_when_a_new_machine_fails_too_often() {
    let world = made(1).await;
    for host in ["c", "f", "g"] {
        let reason = format!("the disk of {host} does not take the data");
        world.driver().broken.insert(host.to_owned(), reason);
    }
    world.add_hardware("f", "worker").await;
    world.add_hardware("g", "worker").await;
    world.scale_workers(2).await;
    let blocked = async |world: &World| {
        let status = world.cluster().await.unwrap().status.unwrap();
        status
            .conditions
            .iter()
            .any(|known| known.type_ == "Progressing" && known.status == "False")
            && world.is_at_rest().await
    };
    world.drive("blocked", blocked).await;
    let status = world.cluster().await.unwrap().status.unwrap();
    assert_eq!(status.phase.as_deref(), Some("Running"));
    let message = status.failure_message.unwrap();
    let workers = world.workers().await;
    assert_eq!(workers.len(), 2, "it is kept for a person to look at");
    let failed = workers
        .iter()
        .find(|name| message.contains(&format!("gantry retry machine {name}")));
    let failed = failed.unwrap_or_else(|| panic!("{message}")).clone();
    assert!(message.contains("as the 2 machines before it"), "{message}");
    assert_eq!(world.count("join "), 1, "{:?}", world.log());
    let tried: Vec<String> = world.driver().history().to_vec();
    assert_eq!(tried[2..], ["c", "f", "g"], "each server once");

    // The cause is fixed, and a person says so.
    world.driver().broken.clear();
    let retry = json!({ "spec": { "retry": "once more" } });
    let machines: Api<ProviderMachine> = world.api();
    machines
        .patch(&failed, &PatchParams::default(), &Patch::Merge(retry))
        .await
        .unwrap();
    world.drive_to_ready().await;
    assert!(!world.workers().await.contains(&failed));
}

#[tokio::test]
async fn a_machine_that_never_joins_is_given_up_and_replaced() {
    let world = made(1).await;
    world.scale_workers(2).await;
    world
        .drive("made", async |world: &World| world.workers().await.len() == 2)
        .await;
    let plan = world.plan().await;
    let join = plan.spec.steps.iter().find(|step| step.pool.is_some()).unwrap();
    let name = join.machine.clone().unwrap();
    world.driver().never_joins.insert(name.clone());
    let asked = async |world: &World| {
        let object: ProviderMachine = world.api().get(&name).await.unwrap();
        object
            .status
            .is_some_and(|status| status.bootstrap_requested_at.is_some())
    };
    world.drive("asking", asked).await;
    world.rounds("demo", 3).await;
    // Two hours later.
    let mut status = world.plan().await.status.unwrap();
    let row = status.steps.iter_mut().find(|row| row.id == join.id).unwrap();
    let earlier = row.started_at.clone().unwrap().0 - SignedDuration::from_hours(3);
    row.started_at = Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(earlier));
    let plans: Api<Plan> = world.api();
    let patch = json!({ "apiVersion": "gantry.dev/v1alpha1", "kind": "Plan", "status": status });
    let params = PatchParams::apply(keys::MANAGER_CLUSTERS).force();
    let (name_of_plan, patch) = (format!("demo-plan-{}", plan.spec.number), Patch::Apply(patch));
    plans.patch_status(&name_of_plan, &params, &patch).await.unwrap();
    world.drive_to_ready().await;
    let workers = world.workers().await;
    assert!(workers.len() == 2 && !workers.contains(&name), "{workers:?}");
}

#[tokio::test]
async fn a_dead_worker_is_replaced_without_a_drain() {
    let world = made(1).await;
    let old = world.workers().await.remove(0);
    let node = node_of(&world.host(&old));
    world
        .inside
        .with(|inside| inside.power_off(&node, SignedDuration::from_mins(6)));
    let replaced = async |world: &World| {
        let workers = world.workers().await;
        !workers.contains(&old) && workers.len() == 1 && world.is_at_rest().await
    };
    world.drive("replaced", replaced).await;
    assert_eq!(world.plan().await.spec.class, PlanClass::Remediate);
    assert!(!world.log().contains(&format!("drained {node}")));
    world.drive_to_ready().await;
}

/// Its network comes only after it, and takes its time: a node that has never been Ready has as long as a machine that
/// starts.
#[tokio::test]
async fn a_node_that_starts_is_not_dead() {
    let world = made(1).await;
    let old = world.workers().await;
    let node = node_of(&world.host(&old[0]));
    let joined = |ago: SignedDuration| {
        world.inside.with(|inside| {
            let view = inside.nodes.get_mut(&node).unwrap();
            view.ready = false;
            view.created = Some(Timestamp::now() - ago);
            view.since = view.created.map(|created| created + SignedDuration::from_secs(1));
        });
    };
    joined(SignedDuration::from_mins(10));
    world.rounds("demo", 5).await;
    assert_eq!(world.workers().await, old);
    joined(SignedDuration::from_mins(21));
    world
        .drive("replaced", async |world: &World| world.workers().await != old)
        .await;
}

#[tokio::test]
async fn many_dead_workers_have_a_common_cause() {
    let world = made(1).await;
    world.scale_workers(2).await;
    settles(&world, 1, 2).await;
    world.drive_to_ready().await;
    let workers = world.workers().await;
    for name in &workers {
        let node = node_of(&world.host(name));
        world
            .inside
            .with(|inside| inside.power_off(&node, SignedDuration::from_mins(6)));
    }
    world.rounds("demo", 5).await;
    assert_eq!(world.workers().await, workers);
    let message = world.settled().await.failure_message.unwrap();
    assert!(message.contains("2 of 2 machines of md-0 are dead"), "{message}");
    assert_eq!(world.phase().await.as_deref(), Some("Running"));
}

#[tokio::test]
async fn three_members_and_one_that_dies() {
    let world = made(3).await;
    assert_eq!(world.inside.with(|inside| inside.voters()), (3, 3));
    world.add_hardware("f", "cp").await;
    let members = world.control_planes().await;
    let control_plane: ControlPlane = world.api().get("demo").await.unwrap();
    let founder = control_plane.spec.initialized_by.clone().unwrap();
    let node = node_of(&world.host(&founder.machine));
    world
        .inside
        .with(|inside| inside.power_off(&node, SignedDuration::from_mins(6)));
    let replaced = async |world: &World| {
        let now = world.control_planes().await;
        now.len() == 3 && !now.contains(&founder.machine) && world.is_at_rest().await
    };
    world.drive("replaced", replaced).await;
    world.drive_to_ready().await;
    quorum_held(&world);
    assert_eq!(world.inside.with(|inside| inside.voters()), (3, 3));
    let kept = world
        .control_planes()
        .await
        .iter()
        .filter(|name| members.contains(name))
        .count();
    assert_eq!((kept, world.count("init")), (2, 1));
    assert!(world.log().contains(&format!("remove member {node}")));
    let after: ControlPlane = world.api().get("demo").await.unwrap();
    assert_eq!(
        after.spec.initialized_by,
        Some(founder),
        "the founder is who it was"
    );
}

#[tokio::test]
async fn three_members_become_one_with_an_approval() {
    let world = made(3).await;
    world.scale_control_plane(1).await;
    let waits = async |world: &World| {
        let plan = world.plan().await;
        plan.spec.requires_approval.is_some()
            && plan
                .status
                .is_some_and(|status| status.phase == PlanPhase::Pending)
    };
    world.drive("waiting for approval", waits).await;
    world.rounds("demo", 3).await;
    assert_eq!(world.control_planes().await.len(), 3);
    let plan = world.plan().await;
    let why = plan.spec.requires_approval.clone().unwrap();
    assert!(why.contains("2 voting members of etcd are left"), "{why}");
    world.approve(&plan.metadata.name.unwrap()).await;
    settles(&world, 1, 1).await;
    quorum_held(&world);
    assert_eq!(world.inside.with(|inside| inside.voters()), (1, 1));
    let log = world.log();
    for host in ["d", "e"] {
        let at = |what: &str| {
            let line = format!("{what} {}", node_of(host));
            log.iter()
                .position(|known| *known == line)
                .unwrap_or_else(|| panic!("{line}: {log:?}"))
        };
        assert!(at("remove member") < at("drained") && at("drained") < at("delete"));
    }
    world.drive_to_ready().await;
}

#[tokio::test]
async fn one_member_becomes_three() {
    let world = made(1).await;
    world.scale_control_plane(3).await;
    settles(&world, 3, 1).await;
    world.drive_to_ready().await;
    quorum_held(&world);
    assert_eq!((world.count("join-control-plane"), world.count("init")), (2, 1));
}

#[tokio::test]
async fn the_only_member_is_not_taken_away() {
    let world = made(1).await;
    for host in ["d", "e"] {
        world.remove_hardware(host).await;
    }
    world.rounds("demo", 1).await;
    let only = world.control_planes().await;
    world.delete_machine(&only[0]).await;
    world.rounds("demo", 6).await;
    assert_eq!(world.control_planes().await, only);
    let reason = world.settled().await.reason.unwrap();
    assert!(
        reason.contains("waits for approval, because") && reason.contains("is the only member"),
        "{reason}"
    );
    assert_eq!(world.inside.with(|inside| inside.voters()), (1, 1));
}

#[tokio::test]
async fn nothing_that_has_joined_goes_while_the_cluster_is_silent() {
    let world = made(3).await;
    let all = [world.control_planes().await, world.workers().await].concat();
    world.inside.with(|inside| inside.silent = true);
    world.scale_workers(0).await;
    world.delete_machine(&all[0]).await;
    world.rounds("demo", 8).await;
    let now = [world.control_planes().await, world.workers().await].concat();
    assert!(all.iter().all(|name| now.contains(name)), "{now:?}");
    let status = world.settled().await;
    let condition = |kind: &str| {
        let found = status.conditions.iter().find(|known| known.type_ == kind);
        found.map(|known| known.status.clone()).unwrap()
    };
    assert_eq!(
        (condition("ControlPlaneInitialized"), condition("WorkersReady")),
        ("True".into(), "Unknown".into())
    );
}

#[tokio::test]
async fn a_stray_member_that_is_dead_is_taken_out_and_a_living_one_is_not() {
    let world = made(3).await;
    world.inside.with(|inside| {
        inside.add_member("lost", "192.0.2.77");
        inside
            .etcd
            .values_mut()
            .find(|voter| voter.name == "lost")
            .unwrap()
            .alive = false;
    });
    world
        .drive("without it", async |world: &World| {
            world.inside.with(|inside| inside.voters()) == (3, 3)
        })
        .await;
    assert_eq!(world.plan().await.spec.class, PlanClass::Remediate);
    world
        .inside
        .with(|inside| inside.add_member("foreign", "192.0.2.78"));
    world.rounds("demo", 6).await;
    assert_eq!(world.inside.with(|inside| inside.voters()), (4, 4));
    let message = world.settled().await.failure_message.unwrap();
    assert!(
        message.contains("etcd has a member foreign that answers"),
        "{message}"
    );
    quorum_held(&world);
}

#[tokio::test]
async fn after_a_restore_of_older_data_each_machine_that_goes_needs_an_approval() {
    let world = made(1).await;
    // A later plan has changed the cluster than any that is known here.
    world.inside.with(|inside| inside.last_plan = Some(17));
    let worker = world.workers().await;
    world.scale_workers(0).await;
    world.rounds("demo", 5).await;
    assert_eq!(world.workers().await, worker);
    let plan = world.plan().await;
    assert_eq!(
        (plan.spec.number, plan.status.clone().unwrap().phase),
        (18, PlanPhase::Pending)
    );
    let why = plan.spec.requires_approval.clone().unwrap();
    assert!(why.contains("as after a restore"), "{why}");
    assert_eq!(world.inside.with(|inside| inside.last_plan), Some(17));
    world.approve(&plan.metadata.name.unwrap()).await;
    settles(&world, 1, 0).await;
    assert_eq!(world.inside.with(|inside| inside.last_plan), Some(18));
}

#[tokio::test]
async fn a_plan_under_way_takes_nothing_away_after_a_restore_or_in_silence() {
    for ahead in [true, false] {
        let world = made(1).await;
        let worker = world.workers().await.remove(0);
        let node = node_of(&world.host(&worker));
        world.inside.with(|inside| inside.held.insert(node));
        world.scale_workers(0).await;
        let drains = async |world: &World| world.count("cordon") == 1;
        world.drive("draining", drains).await;
        // The plan is being carried out when the records turn out to be old, or the API falls silent.
        world.inside.with(|inside| {
            inside.held.clear();
            inside.last_plan = Some(if ahead { 17 } else { 2 });
            inside.silent = !ahead;
        });
        world.rounds("demo", 8).await;
        assert_eq!(
            world.workers().await,
            [worker.as_str()],
            "{}",
            world.state().await
        );
        if ahead {
            let plan = world.plan().await;
            assert!(plan.spec.requires_approval.is_some(), "{:?}", plan.spec);
            world.approve(&plan.metadata.name.unwrap()).await;
        }
        world.inside.with(|inside| inside.silent = false);
        settles(&world, 1, 0).await;
    }
}
