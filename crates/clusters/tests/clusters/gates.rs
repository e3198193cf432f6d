//! Upgrade gates: Jobs of a user that are run in the cluster after each machine of a rollout, and for which the next one waits.

use clusters::{GateJobState, GateTemplate, NamespacedName};
use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt as _;
use kube::api::{Api, Patch, PatchParams};
use resources::anywhere::ClusterStatus;
use resources::cluster_api::Machine;
use resources::conditions::UPGRADE_GATES_PASSED;
use resources::gantry::{Plan, PlanApproval, PlanPhase};
use resources::keys;
use serde_json::json;

use crate::life::{made, quorum_held};
use crate::upgrade::{OTHER_IMAGE, use_image, waits_for_approval};
use crate::world::World;

/// Names of the gates.
pub(crate) const GATES: [&str; 2] = ["check", "ping"];
const WHY: &str = "BackoffLimitExceeded: Job has reached the specified backoff limit; pod check-x wrote last: the shop is closed";

fn gate(name: &str) -> NamespacedName {
    NamespacedName {
        namespace: "shop".to_owned(),
        name: name.to_owned(),
    }
}

async fn annotate(world: &World, key: &str, value: Option<&str>) {
    let annotations = json!({ key: value });
    world
        .edit(json!({ "metadata": { "annotations": annotations } }))
        .await;
}

/// Makes CronJobs in the cluster and names them as its gates.
pub(crate) async fn name_gates(world: &World) {
    world.inside.with(|inside| {
        let container = json!({ "name": "check", "image": "shop/check:1" });
        let pod = json!({ "restartPolicy": "Never", "containers": [container] });
        let template = GateTemplate {
            uid: "5f1c".to_owned(),
            spec: json!({ "backoffLimit": 0, "template": { "spec": pod } }),
            ..GateTemplate::default()
        };
        let templates = GATES.map(|name| (gate(name), template.clone()));
        inside.gates.templates.extend(templates);
    });
    annotate(world, keys::UPGRADE_GATES, Some("shop/check, shop/ping")).await;
}

/// A rollout that a person has approved, with gates.
async fn rolling(world: &World) {
    world.add_hardware("f", "cp").await;
    name_gates(world).await;
    use_image(world, OTHER_IMAGE).await;
    waits_for_approval(world).await;
    world.approve(&world.plan().await.name_any()).await;
}

async fn status(world: &World) -> ClusterStatus {
    world.cluster().await.unwrap().status.unwrap()
}

fn run(world: &World) -> usize {
    world.inside.with(|inside| inside.gates.jobs.len())
}

fn end_all(world: &World, state: &GateJobState) {
    world.inside.with(|inside| inside.gates.end_all(state));
}

fn always(world: &World, state: GateJobState) {
    world.inside.with(|inside| inside.gates.end = Some(state));
}

fn failed() -> GateJobState {
    GateJobState::Failed(WHY.to_owned())
}

async fn is_done(world: &World) -> bool {
    let machines = world.machines().await;
    let mut images = machines.iter().map(|machine| machine.spec.image_url.as_str());
    world.is_at_rest().await && images.all(|image| image == OTHER_IMAGE)
}

async fn is_stopped(world: &World) -> bool {
    world.plan().await.phase() == PlanPhase::Failed
}

/// Condition of a machine: status, reason, message.
async fn passed(world: &World, machine: &str) -> Option<(String, String, String)> {
    let object: Machine = world.api().get(machine).await.unwrap();
    let conditions = object.status.unwrap().conditions;
    let known = conditions
        .into_iter()
        .find(|known| known.type_ == UPGRADE_GATES_PASSED)?;
    Some((known.status, known.reason, known.message))
}

#[tokio::test]
async fn the_next_machine_goes_when_the_gates_have_succeeded() {
    let world = made(3).await;
    let old = world.names::<Machine>().await;
    rolling(&world).await;
    for exchanged in 1..=4 {
        let runs = async |world: &World| run(world) == GATES.len() * exchanged;
        world.drive("the next gates", runs).await;
        let (drained, machines) = (world.count("drained"), world.machines().await.len());
        world.rounds("demo", 6).await;
        assert_eq!(
            world.count("drained"),
            drained,
            "nothing goes before: {:#?}",
            world.log()
        );
        assert_eq!(
            (run(&world), world.machines().await.len()),
            (GATES.len() * exchanged, machines)
        );
        let reason = status(&world).await.reason.unwrap();
        assert!(reason.contains("Job shop/gantry-gate-"), "{reason}");
        end_all(&world, &GateJobState::Succeeded);
    }
    world.drive("the new image", is_done).await;
    world.drive_to_ready().await;
    quorum_held(&world);
    // Each was run once after each machine.
    let machines = world.names::<Machine>().await;
    assert!(machines.iter().all(|name| !old.contains(name)));
    let twice: Vec<String> = machines
        .iter()
        .flat_map(|name| [name.clone(), name.clone()])
        .collect();
    assert_eq!(world.inside.with(|inside| inside.gates.machines()), twice);
    for name in &machines {
        let (holds, reason, _) = passed(&world, name).await.unwrap();
        assert_eq!((holds.as_str(), reason.as_str()), ("True", "Passed"));
    }
}

/// A plan that failed is tried anew after a minute: it has passed.
async fn rested(world: &World) {
    let failed = world.plan().await.name_any();
    let before = Timestamp::now() - SignedDuration::from_mins(2);
    let patch = Patch::Merge(json!({ "status": { "since": before.to_string() } }));
    let plans: Api<Plan> = world.api();
    plans
        .patch_status(&failed, &PatchParams::default(), &patch)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_gate_that_fails_stops_the_rollout_until_a_person_wants_it_once_more() {
    let world = made(1).await;
    rolling(&world).await;
    always(&world, failed());
    world.drive("stopped", is_stopped).await;
    rested(&world).await;
    world.rounds("demo", 6).await;
    assert!(is_stopped(&world).await, "nobody tries it by itself");
    assert_eq!(world.count("drained"), 0, "{:#?}", world.log());
    let new = world.inside.with(|inside| inside.gates.machines()).remove(0);
    let said = status(&world).await;
    let message = said.failure_message.unwrap();
    for text in [&format!("after {new} joined"), WHY, "gantry upgrade retry demo"] {
        assert!(message.contains(text), "{text}: {message}");
    }
    assert_eq!(said.phase.as_deref(), Some("Running"));
    let (holds, reason, text) = passed(&world, &new).await.unwrap();
    assert_eq!((holds.as_str(), reason.as_str()), ("False", "Failed"));
    assert!(
        text.contains("of CronJob check has failed: BackoffLimitExceeded"),
        "{text}"
    );
    let plan = world.plan().await;
    let row = plan
        .status
        .unwrap()
        .steps
        .into_iter()
        .find_map(|row| row.reason.filter(|why| why.contains(WHY)));
    assert!(row.is_some(), "the step says it too");

    // Everything else goes on.
    world.scale_workers(2).await;
    let two = async |world: &World| world.workers().await.len() == 2;
    world.drive("another worker", two).await;

    always(&world, GateJobState::Succeeded);
    annotate(&world, keys::GATES_RETRY, Some("2026-11-01T12:00:00Z")).await;
    goes_on(&world).await;
    assert_eq!(
        world
            .inside
            .with(|inside| inside.gates.machines())
            .iter()
            .filter(|name| **name == new)
            .count(),
        4
    );
}

/// Until the rollout has come to its end; a person approves what waits for it.
async fn goes_on(world: &World) {
    for _ in 0..40 {
        let plan = world.plan().await;
        match plan.phase() {
            PlanPhase::Failed => rested(world).await,
            PlanPhase::Pending if !world.names::<PlanApproval>().await.contains(&plan.name_any()) => {
                world.approve(&plan.name_any()).await;
            }
            _ => {}
        }
        world.rounds("demo", 3).await;
        if is_done(world).await {
            return world.drive_to_ready().await;
        }
    }
    panic!("it does not go on: {}", world.state().await);
}

#[tokio::test]
async fn a_rollout_that_a_gate_has_stopped_can_be_taken_back() {
    let world = made(1).await;
    let old = world.machines().await.remove(0).spec.image_url;
    rolling(&world).await;
    always(&world, failed());
    world.drive("stopped", is_stopped).await;
    always(&world, GateJobState::Succeeded);
    use_image(&world, &old).await;
    waits_for_approval(&world).await;
    world.approve(&world.plan().await.name_any()).await;
    let back = async |world: &World| {
        let machines = world.machines().await;
        machines.len() == 2
            && machines.iter().all(|machine| machine.spec.image_url == old)
            && world.is_at_rest().await
    };
    world.drive("the old image", back).await;
    world.drive_to_ready().await;
}

#[tokio::test]
async fn a_gate_that_is_not_wanted_any_more_holds_nothing_up() {
    let world = made(1).await;
    rolling(&world).await;
    always(&world, failed());
    world.drive("stopped", is_stopped).await;
    annotate(&world, keys::UPGRADE_GATES, None).await;
    goes_on(&world).await;
}

#[tokio::test]
async fn a_gate_that_hangs_has_failed_when_its_time_is_over() {
    let world = made(1).await;
    rolling(&world).await;
    let runs = async |world: &World| run(world) == GATES.len();
    world.drive("gates", runs).await;
    let waits = GateJobState::Running(Some("ErrImagePull: not found".to_owned()));
    world.inside.with(|inside| {
        for (_, job) in inside.gates.jobs.values_mut() {
            (job.state, job.created) = (waits.clone(), Timestamp::now() - SignedDuration::from_mins(30));
        }
    });
    world.rounds("demo", 4).await;
    let reason = status(&world).await.reason.unwrap();
    assert!(reason.contains("waits: ErrImagePull: not found"), "{reason}");
    world.inside.with(|inside| {
        for (_, job) in inside.gates.jobs.values_mut() {
            job.created = Timestamp::now() - SignedDuration::from_mins(36);
        }
    });
    world.drive("stopped", is_stopped).await;
    let text =
        "it has 30 min, and the cluster did not end it after that; its pod waits: ErrImagePull: not found";
    world.rounds("demo", 2).await;
    let message = status(&world).await.failure_message.unwrap();
    assert!(message.contains(text), "{message}");
    assert_eq!(world.count("drained"), 0);
}

#[tokio::test]
async fn a_gate_that_cannot_be_run_is_named_and_nothing_is_exchanged() {
    let world = made(1).await;
    world.add_hardware("f", "cp").await;
    let says = async |world: &World, text: &str| {
        let holds = async |world: &World| {
            let message = status(world).await.failure_message;
            message.is_some_and(|message| message.contains(text))
        };
        world.drive(text, holds).await;
    };
    annotate(&world, keys::UPGRADE_GATES, Some("shop/check")).await;
    world.drive_to_ready().await;
    use_image(&world, OTHER_IMAGE).await;
    says(&world, "upgrade gate shop/check (annotation gantry.dev/upgrade-gates) is to be a CronJob of the cluster: it is not in the cluster").await;
    annotate(&world, keys::UPGRADE_GATES, Some("check")).await;
    says(
        &world,
        "names \"check\"; write CronJobs of the cluster as NAMESPACE/NAME",
    )
    .await;
    // Everything else goes on.
    world.scale_workers(2).await;
    let two = async |world: &World| world.workers().await.len() == 2;
    world.drive("two workers", two).await;
    assert_eq!(world.count("drained"), 0);
    annotate(&world, keys::UPGRADE_GATES, None).await;
    waits_for_approval(&world).await;
}

/// Jobs are not made before the API answers again, and none is made twice.
#[tokio::test]
async fn an_api_that_is_silent_is_waited_for() {
    let world = made(3).await;
    rolling(&world).await;
    let runs = async |world: &World| run(world) == GATES.len();
    world.drive("gates", runs).await;
    world.inside.with(|inside| inside.silent = true);
    end_all(&world, &GateJobState::Succeeded);
    world.rounds("demo", 6).await;
    assert_eq!(world.count("drained"), 0);
    world.inside.with(|inside| inside.silent = false);
    always(&world, GateJobState::Succeeded);
    world.drive("the new image", is_done).await;
    assert_eq!(run(&world), GATES.len() * 4);
    quorum_held(&world);
}
