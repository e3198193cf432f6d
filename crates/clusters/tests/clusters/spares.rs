//! What follows which when a machine that works is replaced: with a free host its successor joins first, without one it
//! goes first where that is safe, and while nobody knows nothing waits.

use std::sync::atomic::{AtomicUsize, Ordering};

use clusters_sim::node_of;
use resources::gantry::{PlanPhase, PlanStepKind};

use crate::life::{made, quorum_held, settles};
use crate::world::World;

/// Where a line of the log stands.
fn at(world: &World, line: &str) -> usize {
    let log = world.log();
    let found = log.iter().position(|known| known == line);
    found.unwrap_or_else(|| panic!("{line}: {log:?}"))
}

async fn replaced(world: &World, old: &str) {
    let gone = async |world: &World| {
        let machines = [world.control_planes().await, world.workers().await].concat();
        !machines.iter().any(|name| name == old) && world.is_at_rest().await
    };
    world.drive(&format!("{old} replaced"), gone).await;
    world.drive_to_ready().await;
}

#[tokio::test]
async fn the_only_member_goes_when_its_successor_has_joined_on_a_free_host() {
    let world = made(1).await;
    let old = world.control_planes().await.remove(0);
    let node = node_of(&world.host(&old));
    world.delete_machine(&old).await;
    replaced(&world, &old).await;
    let new = node_of(&world.host(&world.control_planes().await[0]));
    let joined = at(&world, &format!("join-control-plane {new}"));
    assert!(joined < at(&world, &format!("remove member {node}")));
    quorum_held(&world);
    assert_eq!(world.inside.with(|inside| inside.voters()), (1, 1));
}

#[tokio::test]
async fn a_host_that_is_added_lets_the_only_member_be_replaced() {
    let world = made(1).await;
    for host in ["d", "e"] {
        world.remove_hardware(host).await;
    }
    // Its driver says so.
    world.rounds("demo", 1).await;
    let old = world.control_planes().await.remove(0);
    world.delete_machine(&old).await;
    world.rounds("demo", 4).await;
    assert_eq!(world.control_planes().await, std::slice::from_ref(&old));
    world.add_hardware("f", "cp").await;
    replaced(&world, &old).await;
    assert_eq!(world.host(&world.control_planes().await[0]), "f");
    quorum_held(&world);
}

#[tokio::test]
async fn without_a_free_host_a_member_of_three_goes_first_with_an_approval() {
    let world = made(3).await;
    let old = world.control_planes().await.remove(0);
    let host = world.host(&old);
    world.delete_machine(&old).await;
    let waits = async |world: &World| {
        let plan = world.plan().await;
        let status = plan.status.unwrap_or_default();
        plan.spec.requires_approval.is_some() && status.phase == PlanPhase::Pending
    };
    world.drive("waiting for approval", waits).await;
    world
        .approve(&format!("demo-plan-{}", world.plan().await.spec.number))
        .await;
    replaced(&world, &old).await;
    let node = node_of(&host);
    let log = world.log();
    let joins = log
        .iter()
        .rposition(|line| *line == format!("join-control-plane {node}"));
    assert!(
        Some(at(&world, &format!("remove member {node}"))) < joins,
        "{log:?}"
    );
    quorum_held(&world);
    assert_eq!(world.inside.with(|inside| inside.voters()), (3, 3));
}

#[tokio::test]
async fn a_host_that_is_added_makes_the_approval_needless() {
    let world = made(3).await;
    let old = world.control_planes().await.remove(0);
    let node = node_of(&world.host(&old));
    world.delete_machine(&old).await;
    let waits = async |world: &World| world.plan().await.spec.requires_approval.is_some();
    world.drive("waiting for approval", waits).await;
    world.add_hardware("f", "cp").await;
    replaced(&world, &old).await;
    assert!(at(&world, "join-control-plane node-f") < at(&world, &format!("remove member {node}")));
    quorum_held(&world);
}

#[tokio::test]
async fn a_worker_goes_when_another_one_has_joined_on_a_free_host() {
    let world = made(1).await;
    let old = world.workers().await.remove(0);
    let node = node_of(&world.host(&old));
    world.delete_machine(&old).await;
    replaced(&world, &old).await;
    assert!(at(&world, "join node-c") < at(&world, &format!("drained {node}")));
}

#[tokio::test]
async fn without_a_free_host_a_worker_goes_first_and_its_host_is_used_again() {
    let world = made(1).await;
    world.remove_hardware("c").await;
    world.rounds("demo", 1).await;
    let old = world.workers().await.remove(0);
    world.delete_machine(&old).await;
    replaced(&world, &old).await;
    assert_eq!(world.host(&world.workers().await[0]), "b");
    let log = world.log();
    let joins = log.iter().rposition(|line| line == "join node-b");
    assert!(Some(at(&world, "delete node-b")) < joins, "{log:?}");
}

#[tokio::test]
async fn one_free_host_serves_all_workers_that_are_replaced_one_after_the_other() {
    let world = made(1).await;
    world.scale_workers(2).await;
    settles(&world, 1, 2).await;
    world.add_hardware("f", "worker").await;
    world.rounds("demo", 1).await;
    let old = world.workers().await;
    for name in &old {
        world.delete_machine(name).await;
    }
    // Never fewer workers than are wanted.
    let least = AtomicUsize::new(usize::MAX);
    let replaced = async |world: &World| {
        let nodes = world.inside.with(|inside| {
            let workers = ["node-b", "node-c", "node-f"].into_iter();
            workers
                .filter(|node| inside.nodes.get(*node).is_some_and(|node| node.ready))
                .count()
        });
        least.fetch_min(nodes, Ordering::SeqCst);
        let workers = world.workers().await;
        workers.len() == 2 && !workers.iter().any(|name| old.contains(name)) && world.is_at_rest().await
    };
    world.drive("replaced", replaced).await;
    assert_eq!(least.load(Ordering::SeqCst), 2, "{:?}", world.log());
    world.drive_to_ready().await;
}

#[tokio::test]
async fn a_free_host_that_somebody_else_takes_is_not_waited_for() {
    let world = made(1).await;
    let old = world.workers().await.remove(0);
    world.delete_machine(&old).await;
    // The successor is made for the free host, and does not get it.
    let made = async |world: &World| world.workers().await.len() == 2;
    world.drive("made", made).await;
    let plan = world.plan().await;
    let drain = plan
        .spec
        .steps
        .iter()
        .find(|step| step.kind == PlanStepKind::Drain)
        .unwrap();
    assert!(!drain.after.is_empty(), "{:?}", plan.spec.steps);
    world.remove_hardware("c").await;
    replaced(&world, &old).await;
    assert_eq!(world.host(&world.workers().await[0]), "b");
}

#[tokio::test]
async fn a_status_of_an_earlier_spec_is_not_taken_for_no_free_host() {
    let world = made(1).await;
    world.remove_hardware("c").await;
    world.rounds("demo", 2).await;
    let old = world.workers().await.remove(0);
    // The old status says that none is free. It speaks of one worker; two are wanted now.
    world.driver().mute = true;
    world.scale_workers(2).await;
    let made = async |world: &World| world.workers().await.len() == 2;
    world.drive("made", made).await;
    let node = node_of(&world.host(&old));
    world.inside.with(|inside| inside.held.insert(node));
    world.delete_machine(&old).await;
    let goes = async |world: &World| {
        let plan = world.plan().await;
        plan.spec
            .steps
            .iter()
            .any(|step| step.kind == PlanStepKind::Drain)
    };
    world.drive("to go", goes).await;
    let plan = world.plan().await;
    let joins = plan
        .spec
        .steps
        .iter()
        .filter(|step| step.kind == PlanStepKind::JoinWorker);
    assert!(
        joins.clone().count() > 0 && joins.clone().all(|step| step.after.is_empty()),
        "{plan:?}"
    );
    // The driver answers: none is free, so the new ones come when the old one is gone.
    world.driver().mute = false;
    world.inside.with(|inside| inside.held.clear());
    world.add_hardware("f", "worker").await;
    replaced(&world, &old).await;
    assert_eq!(world.workers().await.len(), 2);
}
