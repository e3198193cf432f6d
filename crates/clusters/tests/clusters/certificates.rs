//! Certificates: seen, renewed before they end or when a person asks for it, and what is said of those that are not.

use std::collections::BTreeMap;

use clusters_sim::{MemberCertificates, Renews, node_of};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Secret as KubeSecret;
use kube::ResourceExt as _;
use kube::api::{Api, Patch, PatchParams};
use resources::anywhere::{ClusterCertificateInfo, ClusterStatus};
use resources::gantry::{ControlPlane, Plan, PlanClass, PlanPhase, ProviderMachine};
use serde_json::json;

use crate::life::{made, quorum_held};
use crate::world::World;

pub(crate) fn days(days: i64) -> SignedDuration {
    SignedDuration::from_hours(24 * days)
}

/// A person asks for new certificates, by a clock that is ahead, and later than in the second in which the last ones were made: times
/// of objects are in whole seconds.
pub(crate) async fn ask(world: &World) {
    let machines = world.machines().await;
    let made = machines.iter().filter_map(|machine| {
        let renewed = machine.spec.certificates_renewed_at.as_ref();
        renewed.or(machine.metadata.creation_timestamp.as_ref())
    });
    let last = made.map(|time| time.0.as_second()).max().unwrap_or_default();
    while Timestamp::now().as_second() <= last {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    let asked = Timestamp::now() + SignedDuration::from_mins(5);
    let control_planes: Api<ControlPlane> = world.api();
    let patch = Patch::Merge(json!({ "spec": { "renewalRequestedAt": asked } }));
    control_planes
        .patch("demo", &PatchParams::default(), &patch)
        .await
        .unwrap();
}

pub(crate) async fn fulfilled(world: &World) {
    let is_done = async |world: &World| {
        let control_plane: ControlPlane = world.api().get("demo").await.unwrap();
        control_plane.spec.renewal_requested_at.is_none() && world.is_at_rest().await
    };
    world.drive("renewed", is_done).await;
}

pub(crate) fn certificates(world: &World) -> BTreeMap<String, MemberCertificates> {
    world.inside.with(|inside| inside.renewals.certificates.clone())
}

/// The coordinator that sees when certificates end has just started.
pub(crate) async fn end_in(world: &mut World, left: i64) {
    set_end(world, left).await;
    world.restart();
}

/// The certificates of all members were made a year before they end, in so many days.
pub(crate) async fn set_end(world: &World, left: i64) {
    let ends = Timestamp::now() + days(left);
    world.inside.with(|inside| {
        let all = inside.renewals.certificates.values_mut();
        all.for_each(|known| known.end(ends));
    });
    let machines: Api<ProviderMachine> = world.api();
    let patch = Patch::Merge(json!({ "spec": { "certificatesRenewedAt": ends - days(365) } }));
    for name in world.control_planes().await {
        machines
            .patch(&name, &PatchParams::default(), &patch)
            .await
            .unwrap();
    }
}

pub(crate) fn condition(status: &ClusterStatus) -> (String, String, String) {
    let mut conditions = status.conditions.iter();
    let known = conditions
        .find(|known| known.type_ == "CertificatesValid")
        .unwrap();
    (known.status.clone(), known.reason.clone(), known.message.clone())
}

async fn kubeconfig(world: &World) -> KubeSecret {
    world.api().get("demo-kubeconfig").await.unwrap()
}

/// The plans that renew certificates, in order.
pub(crate) async fn renewals(world: &World) -> Vec<Plan> {
    let mut plans = world.api::<Plan>().list(&Default::default()).await.unwrap().items;
    plans.retain(|plan| plan.spec.class == PlanClass::Maintain);
    plans.sort_by_key(|plan| plan.spec.number);
    plans
}

/// Tells what becomes of the next Pods on the node of a member.
fn next(world: &World, machine: &str, all: &[Renews]) {
    let node = node_of(&world.host(machine));
    world.inside.with(|inside| {
        inside.renewals.next.insert(node, all.iter().copied().collect());
    });
}

#[tokio::test]
async fn the_end_of_certificates_is_seen_and_written_once_a_day() {
    let mut world = made(3).await;
    let status = world.settled().await;
    let members = world.control_planes().await;
    let info = |expires_in_days| {
        let members = members.iter();
        let info = |machine: &String| ClusterCertificateInfo {
            machine: machine.clone(),
            expires_in_days,
        };
        members.map(info).collect::<Vec<_>>()
    };
    assert_eq!(status.cluster_certificate_info, info(364));
    assert_eq!(condition(&status).0, "True");
    let before = world.cluster().await.unwrap();
    world.rounds("demo", 3).await;
    let after = world.cluster().await.unwrap();
    assert_eq!(before.metadata.resource_version, after.metadata.resource_version);

    // They count for long, and somebody has set the clock of the machines.
    end_in(&mut world, 100).await;
    assert_eq!(world.settled().await.cluster_certificate_info, info(99));
    assert_eq!(renewals(&world).await.len(), 0);
}

#[tokio::test]
async fn certificates_are_renewed_one_member_after_the_other_before_they_end() {
    let mut world = made(3).await;
    let before = certificates(&world);
    end_in(&mut world, 80).await;
    let renewed = async |world: &World| world.count("renew") == 3 && world.is_at_rest().await;
    world.drive("renewed", renewed).await;
    quorum_held(&world);
    let plan = world.plan().await;
    assert_eq!(plan.spec.class, PlanClass::Maintain);
    assert_eq!(plan.status.unwrap().approved_by.as_deref(), Some("policy"));
    for (address, known) in certificates(&world) {
        assert!(known.api.not_after > Timestamp::now() + days(364), "{address}");
        assert_ne!(known.etcd.sha256, before[&address].etcd.sha256, "{address}");
    }
    world.drive_to_ready().await;
    let status = world.settled().await;
    assert!(
        status
            .cluster_certificate_info
            .iter()
            .all(|info| info.expires_in_days == 364)
    );
    assert_eq!(world.inside.with(|inside| inside.renewals.pods()), [""; 0]);
    world.rounds("demo", 3).await;
    assert_eq!(renewals(&world).await.len(), 1);
}

#[tokio::test]
async fn the_only_member_is_silent_for_a_moment_when_it_gets_new_ones() {
    let world = made(1).await;
    let (before, config) = (certificates(&world), kubeconfig(&world).await);
    ask(&world).await;
    let silent = async |world: &World| world.inside.with(|inside| inside.renewals.silence > 0);
    world.drive("silent", silent).await;
    fulfilled(&world).await;
    assert_eq!(world.count("renew"), 1);
    let after = certificates(&world);
    assert!(
        after
            .iter()
            .all(|(address, known)| known.api.sha256 != before[address].api.sha256)
    );
    assert_eq!(world.plan().await.spec.api_gap_seconds, Some(360));
    let renewed = kubeconfig(&world).await;
    assert_ne!(renewed.data, config.data);
    assert_eq!(renewed.metadata.uid, config.metadata.uid);
    assert!(renewed.data.unwrap().contains_key("value"));
    world.drive_to_ready().await;
}

#[tokio::test]
async fn a_kubeconfig_of_an_older_appliance_is_made_anew() {
    let world = made(1).await;
    let secrets: Api<KubeSecret> = world.api();
    let nothing = json!({ "metadata": { "annotations": {
        "gantry.dev/issued-at": null, "gantry.dev/expires-at": null,
    } } });
    secrets
        .patch("demo-kubeconfig", &PatchParams::default(), &Patch::Merge(nothing))
        .await
        .unwrap();
    let before = kubeconfig(&world).await;
    let is_new = async |world: &World| kubeconfig(world).await.data != before.data;
    world.drive("a new kubeconfig", is_new).await;
    let after = kubeconfig(&world).await;
    assert!(after.annotations().contains_key("gantry.dev/expires-at"));
    world.rounds("demo", 3).await;
    assert_eq!(
        kubeconfig(&world).await.metadata.resource_version,
        after.metadata.resource_version
    );
}

#[tokio::test]
async fn a_pod_that_fails_says_why_and_others_have_their_turn() {
    let mut world = made(1).await;
    let member = world.control_planes().await.remove(0);
    next(&world, &member, &[Renews::Fails]);
    end_in(&mut world, 20).await;
    let failed = async |world: &World| {
        let plans = renewals(world).await;
        plans
            .first()
            .is_some_and(|plan| plan.phase() == PlanPhase::Failed)
    };
    world.drive("failed", failed).await;
    let status = world.settled().await;
    let (holds, reason, message) = condition(&status);
    assert_eq!((holds.as_str(), reason.as_str()), ("False", "EndSoon"));
    assert!(
        message.contains("etcd was not restarted within 180 s"),
        "{message}"
    );
    assert!(message.contains("gantry renew certificates demo"), "{message}");

    world.scale_workers(2).await;
    let scaled = async |world: &World| world.workers().await.len() == 2 && world.is_at_rest().await;
    world.drive("two workers", scaled).await;
    assert_eq!(renewals(&world).await.len(), 1, "it is not tried again at once");
    assert_eq!(world.inside.with(|inside| inside.renewals.pods()), [""; 0]);

    // A person does not wait.
    ask(&world).await;
    fulfilled(&world).await;
    assert_eq!(world.count("renew"), 1);
    world.drive_to_ready().await;
    assert_eq!(condition(&world.settled().await).0, "True");
}

#[tokio::test]
async fn a_pod_that_vanishes_is_followed_by_another_one() {
    let world = made(3).await;
    let member = world.control_planes().await.remove(1);
    next(&world, &member, &[Renews::Vanishes]);
    ask(&world).await;
    fulfilled(&world).await;
    assert_eq!(world.count("renew"), 4, "{:?}", world.log());
    quorum_held(&world);
}

/// What the Pod says is not enough.
#[tokio::test]
async fn a_member_that_shows_its_old_certificate_is_not_done() {
    let world = made(1).await;
    let member = world.control_planes().await.remove(0);
    next(&world, &member, &[Renews::ShowsOldOnes]);
    ask(&world).await;
    let waits = async |world: &World| {
        let reason = world.cluster().await.unwrap().status.unwrap().reason;
        reason.is_some_and(|reason| reason.contains("does not show its new certificate yet"))
    };
    world.drive("waiting", waits).await;
    world.rounds("demo", 3).await;
    assert_eq!(world.plan().await.phase(), PlanPhase::Executing);
}

/// Another plan takes the place of one whose Pod is at work: that ends first.
#[tokio::test]
async fn the_pod_of_a_plan_that_is_given_up_ends_before_anything_else_is_disrupted() {
    let world = made(3).await;
    let member = world.control_planes().await.remove(0);
    next(&world, &member, &[Renews::Hangs]);
    ask(&world).await;
    let runs = async |world: &World| !world.inside.with(|inside| inside.renewals.pods()).is_empty();
    world.drive("a Pod", runs).await;
    world.rounds("demo", 2).await;
    // Nothing hangs any more.
    next(&world, &member, &[]);
    world.inside.with(|inside| inside.log.clear());
    world.scale_control_plane(1).await;
    for _ in 0..4 {
        for name in world.names::<Plan>().await {
            let plan: Plan = world.api().get(&name).await.unwrap();
            if plan.phase() == PlanPhase::Pending && plan.spec.requires_approval.is_some() {
                world.approve(&name).await;
            }
        }
        world.rounds("demo", 6).await;
    }
    let one = async |world: &World| world.control_planes().await.len() == 1 && world.is_at_rest().await;
    world.drive("one member", one).await;
    fulfilled(&world).await;
    quorum_held(&world);
}
