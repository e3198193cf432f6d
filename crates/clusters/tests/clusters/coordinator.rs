//! A cluster's creation, and the way back.

use std::collections::BTreeSet;

use clusters::Options;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{DeleteParams, Patch, PatchParams};
use resources::anywhere::Cluster;
use resources::cluster_api::{Cluster as CapiCluster, Machine, MachineDeployment, MachinePhase, MachineSet};
use resources::gantry::{ControlPlane, Plan, PlanPhase, ProviderCluster, ProviderMachine};
use resources::keys;

use crate::world::World;

#[tokio::test]
async fn a_cluster_comes_up() {
    let world = World::new().await;
    world.apply_documents().await;
    world.drive_to_ready().await;

    let cluster = world.cluster().await.unwrap();
    let status = cluster.status.unwrap();
    for kind in [
        "ControlPlaneInitialized",
        "ControlPlaneReady",
        "DefaultCNIConfigured",
        "WorkersReady",
        "Progressing",
        "Ready",
    ] {
        let condition = status
            .conditions
            .iter()
            .find(|condition| condition.type_ == kind)
            .unwrap();
        assert_eq!(condition.status, "True", "{condition:?}");
    }
    assert_eq!(status.phase.as_deref(), Some("Running"));
    assert_eq!((status.failure_reason, status.failure_message), (None, None));
    assert_eq!(status.plan.as_deref(), Some("demo-plan-1"), "one plan makes it");

    let plan: Plan = world.api().get("demo-plan-1").await.unwrap();
    let progress = plan.status.unwrap();
    assert_eq!(
        (progress.phase, progress.approved_by.as_deref()),
        (PlanPhase::Done, Some("policy"))
    );
    assert_eq!(progress.steps.len(), plan.spec.steps.len());
    assert!(progress.steps.iter().all(|step| step.ended_at >= step.started_at));

    let control_plane: ControlPlane = world.api().get("demo").await.unwrap();
    let founder = control_plane.spec.initialized_by.unwrap();
    let cluster_uid = control_plane.spec.cluster_uid;
    assert!(founder.answered_at.is_some() && !cluster_uid.is_empty());
    assert_eq!(control_plane.spec.disruption, None);
    let mut uids = BTreeSet::new();
    for (machines, pool, provider) in [
        (world.control_planes().await, "cp", "tinkerbell://eksa-system/a"),
        (world.workers().await, "md-0", "tinkerbell://eksa-system/b"),
    ] {
        let [name] = machines.as_slice() else {
            panic!("{machines:?}")
        };
        assert!(
            name.starts_with(&format!("demo-{pool}-")) && name.len() == "demo--".len() + pool.len() + 5,
            "{name}"
        );
        let object: ProviderMachine = world.api().get(name).await.unwrap();
        assert_eq!(
            (object.spec.pool.as_str(), object.spec.cluster_uid.as_str()),
            (pool, cluster_uid.as_str())
        );
        assert_eq!(object.spec.revision.len(), 12);
        let machine: Machine = world.api().get(name).await.unwrap();
        assert_eq!(
            machine.metadata.annotations.unwrap()[keys::MACHINE_UID],
            object.spec.machine_uid
        );
        uids.insert(object.spec.machine_uid);
        assert_eq!(machine.spec.provider_id.as_deref(), Some(provider));
        let status = machine.status.unwrap();
        assert_eq!((status.phase, status.reason), (Some(MachinePhase::Running), None));
        assert!(status.node_ref.is_some());
    }
    assert_eq!(uids.len(), 2);
    assert!(uids.contains(&founder.machine_uid));
    assert!(control_plane.status.unwrap().initialized);
    let capi: CapiCluster = world.api().get("demo").await.unwrap();
    assert_eq!(capi.spec.control_plane_endpoint.unwrap().host, "192.0.2.10");

    assert_eq!(
        world.secrets().await,
        ["demo-ca", "demo-etcd", "demo-kubeconfig", "demo-proxy", "demo-sa"]
    );
    let ca: Secret = world.api().get("demo-ca").await.unwrap();
    assert_eq!(ca.type_.as_deref(), Some("cluster.x-k8s.io/secret"));
    let log = world.log();
    let at = |what: &str| {
        let found = log.iter().position(|line| line == what);
        found.unwrap_or_else(|| panic!("{what}: {log:?}"))
    };
    assert!(at("init node-a") < at("cni"));
    assert!(
        at("cni") < at("join node-b"),
        "workers come when there is a network: {log:?}"
    );
    assert_eq!(world.tokens(), 0, "no token outlives its node");
    assert_eq!(world.inside.with(|inside| inside.last_plan), Some(1));
}

#[tokio::test]
async fn it_is_deleted_and_made_again_with_new_keys_and_ids() {
    let world = World::new().await;
    world.apply_documents().await;
    world.drive_to_ready().await;
    let first: Secret = world.api().get("demo-ca").await.unwrap();
    let machines = [world.control_planes().await, world.workers().await].concat();
    let clusters = world.api::<Cluster>();
    clusters.delete("demo", &DeleteParams::default()).await.unwrap();
    world.drive_to_gone().await;
    assert!(world.secrets().await.is_empty());
    assert!(world.names::<Plan>().await.is_empty());
    assert!(world.names::<Machine>().await.is_empty());
    assert!(world.names::<ProviderMachine>().await.is_empty());
    assert!(world.names::<MachineSet>().await.is_empty());
    assert!(world.names::<MachineDeployment>().await.is_empty());
    assert!(world.names::<ControlPlane>().await.is_empty());
    assert!(world.names::<ProviderCluster>().await.is_empty());
    assert!(world.driver().claims().is_empty());
    world.forget_nodes();
    world.apply_cluster().await;
    world.drive_to_ready().await;
    let second: Secret = world.api().get("demo-ca").await.unwrap();
    assert_ne!(first.data, second.data);
    for name in [world.control_planes().await, world.workers().await].concat() {
        assert!(!machines.contains(&name), "{name} is of another cluster");
    }
}

#[tokio::test]
async fn what_is_wanted_of_the_provider_stands_behind_the_infrastructure_of_the_cluster() {
    let world = World::new().await;
    world.apply_documents().await;
    world.drive_to_ready().await;
    let control_plane: ControlPlane = world.api().get("demo").await.unwrap();
    let cluster_uid = control_plane.spec.cluster_uid;
    let capi: CapiCluster = world.api().get("demo").await.unwrap();
    let infrastructure = capi.spec.infrastructure_ref.unwrap();
    assert_eq!(
        (infrastructure.kind.as_str(), infrastructure.name.as_str()),
        ("ProviderCluster", "demo")
    );
    let status = capi.status.unwrap();
    assert_eq!(
        status.initialization.unwrap().infrastructure_provisioned,
        Some(true)
    );
    assert!(
        status
            .conditions
            .iter()
            .any(|known| known.type_ == "InfrastructureReady" && known.status == "True")
    );
    let object: ProviderCluster = world.api().get("demo").await.unwrap();
    let pools: Vec<_> = object
        .spec
        .pools
        .iter()
        .map(|pool| (pool.name.as_str(), pool.count))
        .collect();
    assert_eq!(
        (object.spec.cluster_uid.as_str(), pools),
        (cluster_uid.as_str(), vec![("cp", 1), ("md-0", 1)])
    );
    assert_eq!(object.metadata.owner_references.unwrap()[0].name, "demo");
}

#[tokio::test]
async fn a_cluster_goes_when_its_driver_has_taken_apart_what_the_machines_shared() {
    let world = World::new().await;
    world.apply_documents().await;
    world.drive_to_ready().await;
    let hold = async |finalizers: &[&str]| {
        let patch = Patch::Merge(serde_json::json!({ "metadata": { "finalizers": finalizers } }));
        let api = world.api::<ProviderCluster>();
        api.patch("demo", &PatchParams::default(), &patch).await.unwrap();
    };
    hold(&["example.com/driver"]).await;
    let clusters = world.api::<Cluster>();
    clusters.delete("demo", &DeleteParams::default()).await.unwrap();
    let waits = async |world: &World| {
        let status = world.cluster().await.unwrap().status.unwrap();
        status.reason.as_deref() == Some("ProviderCluster demo: waits for its driver")
    };
    world.drive("waiting for the driver", waits).await;
    hold(&[]).await;
    world.drive_to_gone().await;
}

#[tokio::test]
async fn what_is_wrong_is_said_and_nothing_is_made() {
    let world = World::new().await;
    world.apply_cluster().await;
    let status = world.settled().await;
    assert_eq!(
        status.failure_message.as_deref(),
        Some("TinkerbellDatacenterConfig demo is missing; apply it")
    );
    world.apply_configs().await;
    world.remove_hardware("b").await;
    world.remove_hardware("c").await;
    world.driver().mute = true;
    let reason = async |world: &World| world.cluster().await.unwrap().status.unwrap().reason;
    let waits = async |world: &World| {
        let reason = reason(world).await.unwrap_or_default();
        reason.contains("waits for the driver of provider metal to say in ProviderCluster demo")
    };
    world.drive("waiting for the driver", waits).await;
    world.driver().mute = false;
    let too_few = async |world: &World| {
        let status = world.cluster().await.unwrap().status.unwrap();
        let message = status.failure_message.unwrap_or_default();
        message.contains("md-0: minimum hardware count not met for selector {type=worker}: have 0 free")
    };
    world.drive("too few hosts", too_few).await;
    assert!(world.names::<Plan>().await.is_empty() && world.names::<ProviderMachine>().await.is_empty());
    assert!(world.secrets().await.is_empty());
}

#[tokio::test]
async fn a_plan_that_needs_approval_waits_for_it() {
    let world = World::with(Options {
        self_approved: Vec::new(),
        ..Options::default()
    })
    .await;
    world.apply_documents().await;
    let waits = async |world: &World| {
        let status = world.cluster().await.and_then(|cluster| cluster.status);
        let reason = status.and_then(|status| status.reason).unwrap_or_default();
        reason.contains("waits for approval: gantry approve demo-plan-1")
    };
    world.drive("waiting for approval", waits).await;
    assert_eq!(world.phase().await.as_deref(), Some("Planning"));
    assert!(world.names::<ProviderMachine>().await.is_empty());
    let plan: Plan = world.api().get("demo-plan-1").await.unwrap();
    let digest = plan.metadata.annotations.unwrap()[keys::PLAN_DIGEST].clone();
    assert_eq!(digest, plan.spec.digest().to_string());
    // The word for another plan is none for this one.
    let other = serde_json::json!({ "plan": "demo-plan-1", "digest": format!("sha256:{}", "11".repeat(32)) });
    let other = resources::gantry::PlanApproval::new("other", serde_json::from_value(other).unwrap());
    world.create(&other).await;
    world.rounds("demo", 3).await;
    assert!(world.names::<ProviderMachine>().await.is_empty());
    world.approve("demo-plan-1").await;
    world.drive_to_ready().await;
    let plan: Plan = world.api().get("demo-plan-1").await.unwrap();
    assert_eq!(plan.status.unwrap().approved_by.as_deref(), Some("alice"));
}
