//! Certificates that have ended: a person approves that the members of the control plane start the installer, one after the other,
//! which renews them.

use clusters_sim::node_of;
use jiff::Timestamp;
use kube::api::{Patch, PatchParams};
use resources::gantry::{Plan, PlanPhase, PlanStepKind};
use serde_json::json;

use crate::certificates::{ask, certificates, condition, days, end_in, fulfilled, renewals, set_end};
use crate::life::made;
use crate::world::World;

/// The certificates of all members have ended, so the cluster is silent, and a person asks for new ones.
pub(crate) async fn end(world: &World) {
    set_end(world, -3).await;
    world.inside.with(|inside| inside.silent = true);
    ask(world).await;
}

/// A cluster whose certificates have ended, and the plan that waits for an approval.
async fn ended(members: i32) -> (World, Plan) {
    let mut world = made(members).await;
    world.inside.with(|inside| inside.silent = true);
    end_in(&mut world, -3).await;
    let plan = proposed(&world).await;
    world.inside.with(|inside| inside.log.clear());
    (world, plan)
}

async fn proposed(world: &World) -> Plan {
    let waits = async |world: &World| {
        let plans = renewals(world).await;
        plans
            .last()
            .is_some_and(|plan| plan.phase() == PlanPhase::Pending)
    };
    world.drive("a plan that waits for an approval", waits).await;
    renewals(world).await.pop().unwrap()
}

async fn approve(world: &World, plan: &Plan) {
    world.approve(plan.metadata.name.as_deref().unwrap()).await;
}

/// What was done to the nodes, in order.
fn done(world: &World) -> Vec<String> {
    let mut log = world.log();
    log.retain(|line| line.starts_with("installer ") || line.starts_with("repair "));
    log
}

#[tokio::test]
async fn members_start_the_installer_one_after_the_other_when_a_person_has_approved_it() {
    for members in [1, 3] {
        let (world, plan) = ended(members).await;
        let status = world.settled().await;
        let (holds, reason, message) = condition(&status);
        assert_eq!((holds.as_str(), reason.as_str()), ("False", "Ended"));
        let day = (Timestamp::now() - days(3)).strftime("%Y-%m-%d").to_string();
        let name = plan.metadata.name.clone().unwrap();
        assert!(
            message.contains(&day) && message.ends_with(&format!("gantry approve {name}")),
            "{message}"
        );
        assert!(status.cluster_certificate_info[0].expires_in_days < 0);
        let why = plan.spec.requires_approval.clone().unwrap();
        assert!(why.contains("have ended") && why.contains("powered off"), "{why}");
        world.rounds("demo", 5).await;
        assert_eq!(done(&world), [""; 0], "nothing happens before");

        approve(&world, &plan).await;
        let repaired = async |world: &World| {
            let plan = world.plan().await;
            plan.spec.number == renewals(world).await[0].spec.number && plan.phase() == PlanPhase::Done
        };
        world.drive("repaired", repaired).await;
        let expected: Vec<String> = plan
            .spec
            .steps
            .iter()
            .filter(|step| step.kind == PlanStepKind::RepairCertificates)
            .flat_map(|step| {
                let node = node_of(&world.host(step.machine.as_deref().unwrap()));
                [format!("installer {node}"), format!("repair {node}")]
            })
            .collect();
        assert_eq!(expected.len(), 2 * usize::try_from(members).unwrap());
        assert_eq!(done(&world), expected);
        assert!(
            certificates(&world)
                .values()
                .all(|known| known.etcd.not_after > Timestamp::now())
        );
        world.drive_to_ready().await;
        world.rounds("demo", 5).await;
        assert_eq!(renewals(&world).await.len(), 1, "once is enough");
        assert_eq!(done(&world), expected);
    }
}

#[tokio::test]
async fn a_repair_that_fails_is_said_and_tried_again_with_the_approval_that_it_had() {
    let (world, plan) = ended(1).await;
    let member = world.control_planes().await.remove(0);
    let host = world.host(&member);
    let why = "a program of the installed system has failed (exit status 1): this machine has no kubeadm";
    world
        .driver()
        .bad_repairs
        .insert(host.clone(), [why.to_owned()].into());
    approve(&world, &plan).await;
    let failed = async |world: &World| renewals(world).await[0].phase() == PlanPhase::Failed;
    world.drive("failed", failed).await;
    let (holds, reason, message) = condition(&world.settled().await);
    assert_eq!((holds.as_str(), reason.as_str()), ("False", "Ended"));
    assert!(message.contains("this machine has no kubeadm"), "{message}");
    world.rounds("demo", 5).await;
    assert_eq!(renewals(&world).await.len(), 1, "it is not tried again at once");
    assert_eq!(
        certificates(&world)
            .values()
            .filter(|known| known.etcd.not_after > Timestamp::now())
            .count(),
        0
    );

    // A plan that failed stands for a minute.
    let failed = renewals(&world).await.remove(0);
    let patch = Patch::Merge(json!({ "status": { "since": Timestamp::now() - days(1) } }));
    world
        .api::<Plan>()
        .patch_status(
            failed.metadata.name.as_deref().unwrap(),
            &PatchParams::default(),
            &patch,
        )
        .await
        .unwrap();
    ask(&world).await;
    fulfilled(&world).await;
    assert_eq!(renewals(&world).await.len(), 2);
    let node = node_of(&host);
    assert_eq!(
        done(&world),
        [
            format!("installer {node}"),
            format!("installer {node}"),
            format!("repair {node}")
        ]
    );
}

#[tokio::test]
async fn a_plan_that_waits_is_dropped_when_the_cluster_answers() {
    let (mut world, plan) = ended(1).await;
    // Somebody has renewed them by hand.
    end_in(&mut world, 300).await;
    world.inside.with(|inside| inside.silent = false);
    let dropped = async |world: &World| renewals(world).await[0].phase() == PlanPhase::Superseded;
    world.drive("dropped", dropped).await;
    approve(&world, &plan).await;
    world.rounds("demo", 5).await;
    assert_eq!(done(&world), [""; 0]);
    assert_eq!(condition(&world.settled().await).0, "True");
}

/// The API is silent for another cause: nothing is proposed by itself, and what a person wants all the same changes nothing on the
/// disk.
#[tokio::test]
async fn certificates_that_count_are_never_renewed_in_the_installer() {
    let mut world = made(1).await;
    world.inside.with(|inside| inside.silent = true);
    let before = certificates(&world);
    world.rounds("demo", 5).await;
    world.restart();
    world.rounds("demo", 5).await;
    assert_eq!(renewals(&world).await.len(), 0);

    ask(&world).await;
    let plan = proposed(&world).await;
    let why = plan.spec.requires_approval.clone().unwrap();
    assert!(why.contains("shows none"), "{why}");
    approve(&world, &plan).await;
    let failed = async |world: &World| renewals(world).await[0].phase() == PlanPhase::Failed;
    world.drive("failed", failed).await;
    let reason = renewals(&world).await[0].status.clone().unwrap().reason.unwrap();
    assert!(
        reason.contains("the certificates of this machine count"),
        "{reason}"
    );
    for (address, known) in certificates(&world) {
        assert_eq!(known.etcd.sha256, before[&address].etcd.sha256);
    }
}
