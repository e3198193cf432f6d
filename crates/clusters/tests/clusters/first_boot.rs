//! First boots that fail: the machine is installed anew on its host, once, then another one takes its place; and at no time is
//! a node taken away by it.

use clusters_sim::{Failing, Leaves, node_of};
use resources::cluster_api::{Machine, MachinePhase};
use resources::gantry::{ControlPlane, Plan, PlanPhase, ProviderMachine, StepState};

use crate::world::World;

const REASON: &str =
    "first boot failed at kubeadm-join (exit status 1): couldn't validate the identity of the API Server";

fn fail(world: &World, host: &str, times: u32, leaves: Leaves) {
    let failing = Failing { times, leaves };
    world.driver().failing.insert(host.to_owned(), failing);
}

/// How often the system of a server was installed anew.
fn installed_anew(world: &World, host: &str) -> usize {
    world.count(&format!("install {} anew", node_of(host)))
}

async fn provider(world: &World, name: &str) -> ProviderMachine {
    world.api().get(name).await.unwrap()
}

#[tokio::test]
async fn a_worker_is_installed_anew_on_its_host() {
    let world = World::new().await;
    world.apply_documents().await;
    fail(&world, "b", 1, Leaves::Nothing);
    world.drive_to_ready().await;
    let worker = world.workers().await.remove(0);
    let object = provider(&world, &worker).await;
    assert_eq!((object.spec.installation, object.spec.replacement), (2, 0));
    assert_eq!(
        (world.host(&worker).as_str(), installed_anew(&world, "b")),
        ("b", 1)
    );
    assert_eq!(world.count("join node-b"), 1);
    assert_eq!(world.tokens(), 0, "the token of the first one is gone too");
    assert_eq!(
        world.names::<Plan>().await,
        ["demo-plan-1"],
        "the same step goes on"
    );
    let machine: Machine = world.api().get(&worker).await.unwrap();
    let status = machine.status.unwrap();
    assert_eq!((status.phase, status.reason), (Some(MachinePhase::Running), None));
}

#[tokio::test]
async fn a_worker_that_fails_again_is_replaced_at_once_with_the_reason() {
    let world = World::new().await;
    world.apply_documents().await;
    fail(&world, "b", 9, Leaves::Nothing);
    let given_up = async |world: &World| {
        let machines = world.machines().await;
        machines.iter().any(|machine| machine.spec.given_up.is_some())
    };
    world.drive("given up", given_up).await;
    let machines = world.machines().await;
    let failed = machines
        .iter()
        .find(|machine| machine.spec.given_up.is_some())
        .unwrap();
    let (name, why) = (failed.spec.machine.clone(), failed.spec.given_up.clone().unwrap());
    assert_eq!(why, format!("{REASON} (installation 2 on this host)"));
    let plan: Plan = world.api().get("demo-plan-1").await.unwrap();
    let step = plan
        .spec
        .steps
        .iter()
        .find(|step| step.pool.as_deref() == Some("md-0"))
        .unwrap();
    world.drive_to_ready().await;
    let plan: Plan = world.api().get("demo-plan-1").await.unwrap();
    let rows = plan.status.unwrap().steps;
    let row = rows.iter().find(|row| row.id == step.id).unwrap();
    assert_eq!(
        (row.state, row.reason.as_deref()),
        (StepState::Failed, Some(why.as_str()))
    );
    let worker = world.workers().await.remove(0);
    assert_ne!(worker, name);
    let object = provider(&world, &worker).await;
    assert_eq!((object.spec.installation, object.spec.replacement), (1, 1));
    assert_eq!(
        (world.host(&worker).as_str(), installed_anew(&world, "b")),
        ("c", 1)
    );
    assert_eq!(world.tokens(), 0);
}

#[tokio::test]
async fn where_every_host_fails_a_person_is_told_stage_line_and_next_step() {
    let world = World::new().await;
    world.apply_documents().await;
    for host in ["b", "c"] {
        fail(&world, host, 99, Leaves::Nothing);
    }
    let blocked = async |world: &World| {
        let status = world.cluster().await.unwrap().status.unwrap_or_default();
        let message = status.failure_message.unwrap_or_default();
        message.contains("gantry retry machine") && world.is_at_rest().await
    };
    world.drive("blocked", blocked).await;
    let status = world.cluster().await.unwrap().status.unwrap();
    let message = status.failure_message.unwrap();
    assert!(
        message.contains(REASON) && message.contains("as the 2 machines before it"),
        "{message}"
    );
    let worker = world.workers().await.remove(0);
    let machine: Machine = world.api().get(&worker).await.unwrap();
    let status = machine.status.unwrap();
    assert_eq!(status.phase, Some(MachinePhase::Failed));
    assert!(status.reason.unwrap().starts_with(REASON));
    let condition = status
        .conditions
        .iter()
        .find(|known| known.type_ == "FirstBootSucceeded")
        .unwrap();
    assert_eq!(
        (condition.status.as_str(), condition.reason.as_str()),
        ("False", "Failed")
    );
    assert!(
        condition
            .message
            .contains("[preflight] Running pre-flight checks"),
        "{condition:?}"
    );
}

#[tokio::test]
async fn a_founder_is_installed_anew_before_its_cluster_answers() {
    let world = World::new().await;
    world.apply_documents().await;
    fail(&world, "a", 1, Leaves::Nothing);
    world.drive_to_ready().await;
    let control_plane: ControlPlane = world.api().get("demo").await.unwrap();
    let founder = control_plane.spec.initialized_by.unwrap();
    let object = provider(&world, &founder.machine).await;
    assert_eq!(
        (world.host(&founder.machine).as_str(), object.spec.installation),
        ("a", 2)
    );
    assert_eq!(
        Some(founder.requested_at),
        object.status.unwrap().bootstrap_requested_at
    );
    assert_eq!((world.count("init"), installed_anew(&world, "a")), (1, 1));
}

#[tokio::test]
async fn a_founder_that_fails_again_is_followed_by_another() {
    let world = World::new().await;
    world.apply_documents().await;
    fail(&world, "a", 9, Leaves::Nothing);
    world.drive_to_ready().await;
    let control_plane: ControlPlane = world.api().get("demo").await.unwrap();
    let founder = control_plane.spec.initialized_by.unwrap();
    assert_eq!(
        world.control_planes().await,
        std::slice::from_ref(&founder.machine)
    );
    assert_eq!(
        (world.host(&founder.machine).as_str(), world.count("init")),
        ("d", 1)
    );
    assert_eq!(installed_anew(&world, "a"), 1);
}

#[tokio::test]
async fn a_founder_whose_cluster_has_answered_is_left_alone() {
    let world = World::new().await;
    world.apply_documents().await;
    fail(&world, "a", 1, Leaves::Node);
    world.drive_to_ready().await;
    let founder = world.control_planes().await.remove(0);
    let object = provider(&world, &founder).await;
    assert_eq!((object.spec.installation, object.spec.given_up), (1, None));
    assert_eq!((world.count("init"), installed_anew(&world, "a")), (1, 0));
}

#[tokio::test]
async fn a_node_that_has_joined_is_never_given_up_for_it() {
    let world = World::new().await;
    world.apply_documents().await;
    fail(&world, "b", 1, Leaves::Node);
    world.drive_to_ready().await;
    world.rounds("demo", 4).await;
    let worker = world.workers().await.remove(0);
    let object = provider(&world, &worker).await;
    assert!(object.status.unwrap().bootstrap_failure.is_some());
    assert_eq!((object.spec.installation, object.spec.given_up), (1, None));
    assert_eq!(
        (world.host(&worker).as_str(), installed_anew(&world, "b")),
        ("b", 0)
    );
    assert_eq!(world.tokens(), 0);
}

#[tokio::test]
async fn a_node_that_a_watch_does_not_show_yet_is_not_taken_away() {
    let world = World::new().await;
    world.apply_documents().await;
    world.drive_to_ready().await;
    fail(&world, "c", 1, Leaves::Node);
    world
        .inside
        .with(|inside| inside.behind = Some(inside.nodes.clone()));
    world.scale_workers(2).await;
    world.rounds("demo", 12).await;
    assert_eq!((installed_anew(&world, "c"), world.count("join node-c")), (0, 1));
    let reason = world.plan().await.status.unwrap().reason.unwrap_or_default();
    assert!(
        reason.contains("node node-c is in the cluster by now"),
        "{reason}"
    );
    world.inside.with(|inside| inside.behind = None);
    world.drive_to_ready().await;
    assert_eq!((installed_anew(&world, "c"), world.workers().await.len()), (0, 2));
}

#[tokio::test]
async fn a_machine_that_may_be_a_node_waits_while_its_cluster_is_silent() {
    let world = World::new().await;
    world.apply_documents().await;
    world.drive_to_ready().await;
    world.scale_workers(2).await;
    fail(&world, "c", 1, Leaves::Nothing);
    let failed = async |world: &World| {
        let machines = world.machines().await;
        let failure = |machine: &ProviderMachine| machine.status.as_ref()?.bootstrap_failure.clone();
        machines.iter().any(|machine| failure(machine).is_some())
    };
    // It falls silent before the coordinator has seen the failure.
    loop {
        world.rounds("demo", 1).await;
        if failed(&world).await {
            break;
        }
    }
    world.inside.with(|inside| inside.silent = true);
    world.rounds("demo", 6).await;
    assert_eq!(installed_anew(&world, "c"), 0);
    let machines = world.machines().await;
    assert!(
        machines
            .iter()
            .all(|machine| machine.spec.given_up.is_none() && machine.spec.installation == 1)
    );
    let plan = world.plan().await;
    let reason = plan.status.unwrap().reason.unwrap_or_default();
    assert!(
        reason.contains(REASON) && reason.contains("does not answer"),
        "{reason}"
    );
    world.inside.with(|inside| inside.silent = false);
    world.drive_to_ready().await;
    assert_eq!(installed_anew(&world, "c"), 1);
}

#[tokio::test]
async fn a_machine_that_is_half_a_member_of_etcd_is_replaced_and_taken_out() {
    let world = World::new().await;
    world.apply_documents_with(3).await;
    world.add_hardware("f", "cp").await;
    fail(&world, "d", 1, Leaves::Learner);
    world.drive_to_ready().await;
    assert_eq!(
        world.inside.with(|inside| (inside.voters(), inside.etcd.len())),
        ((3, 3), 3)
    );
    assert_eq!(world.inside.with(|inside| inside.lost_quorum), None);
    assert_eq!(installed_anew(&world, "d"), 0);
    let hosts: Vec<String> = {
        let names = world.control_planes().await;
        names.iter().map(|name| world.host(name)).collect()
    };
    assert!(!hosts.contains(&"d".to_owned()), "{hosts:?}");
    assert_eq!(world.plan().await.status.unwrap().phase, PlanPhase::Done);
}

#[tokio::test]
async fn a_node_whose_member_got_no_vote_is_replaced_at_once() {
    let world = World::new().await;
    world.apply_documents_with(3).await;
    world.add_hardware("f", "cp").await;
    fail(&world, "d", 1, Leaves::NodeAndLearner);
    world.drive_to_ready().await;
    assert_eq!(
        world.inside.with(|inside| (inside.voters(), inside.etcd.len())),
        ((3, 3), 3)
    );
    assert_eq!(world.inside.with(|inside| inside.lost_quorum), None);
    assert_eq!(installed_anew(&world, "d"), 0);
    let log = world.log();
    let at = |line: &str| log.iter().position(|known| known == line);
    assert!(
        at("remove member node-d").is_some() && at("remove member node-d") < at("delete node-d"),
        "{log:?}"
    );
}

#[tokio::test]
async fn a_member_that_etcd_does_not_know_is_installed_anew() {
    let world = World::new().await;
    world.apply_documents_with(3).await;
    fail(&world, "d", 1, Leaves::Nothing);
    world.drive_to_ready().await;
    assert_eq!(world.inside.with(|inside| inside.voters()), (3, 3));
    assert_eq!(installed_anew(&world, "d"), 1);
    let control_plane: ControlPlane = world.api().get("demo").await.unwrap();
    assert_eq!(control_plane.spec.disruption, None);
}
