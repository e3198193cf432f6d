//! The coordinator on a real embedded API; the driver, the image store and the new cluster are played by the test.

use clusters::Options;
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::api::DeleteParams;
use resources::anywhere::Cluster;
use resources::cluster_api::{Cluster as CapiCluster, Machine, MachinePhase};
use resources::gantry::{ControlPlane, Plan, PlanClass, PlanPhase, ProviderMachine};

use crate::world::{self, World};

#[tokio::test]
async fn a_cluster_comes_up_one_machine_after_the_other() {
    let world = World::new().await;
    world.apply_documents().await;
    world.drive_to("Running", &world.client).await;

    let cluster = world.cluster().await.unwrap();
    let status = cluster.status.unwrap();
    for kind in [
        "ControlPlaneInitialized",
        "ControlPlaneReady",
        "DefaultCNIConfigured",
        "WorkersReady",
        "Ready",
    ] {
        let condition = status
            .conditions
            .iter()
            .find(|condition| condition.type_ == kind)
            .unwrap();
        assert_eq!(condition.status, "True", "{condition:?}");
    }
    assert_eq!((status.failure_reason, status.failure_message), (None, None));
    assert_eq!(status.plan.as_deref(), Some("demo-plan-1"));

    let plan: Plan = world.api().get("demo-plan-1").await.unwrap();
    let progress = plan.status.unwrap();
    assert_eq!(
        (progress.phase, progress.approved_by.as_deref()),
        (PlanPhase::Done, Some("policy"))
    );
    assert!(
        progress
            .steps
            .iter()
            .all(|step| step.ended_at >= step.started_at && step.deadline.is_some())
    );

    for (name, provider) in [
        ("demo-cp-0", "tinkerbell://eksa-system/a"),
        ("demo-md-0-0", "tinkerbell://eksa-system/b"),
    ] {
        let machine: Machine = world.api().get(name).await.unwrap();
        assert_eq!(machine.spec.provider_id.as_deref(), Some(provider));
        let status = machine.status.unwrap();
        assert_eq!((status.phase, status.reason), (Some(MachinePhase::Running), None));
        assert!(status.node_ref.is_some());
    }
    let control_plane: ControlPlane = world.api().get("demo").await.unwrap();
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
        log.iter()
            .position(|line| line == what)
            .unwrap_or_else(|| panic!("{what}: {log:?}"))
    };
    assert!(at("init node-a") < at("cni"));
    assert!(
        at("cni") < at("join node-b"),
        "workers come when there is a network: {log:?}"
    );
    assert!(world.tokens().is_empty(), "no token outlives its node");
}

#[tokio::test]
async fn it_is_deleted_and_made_again_with_new_keys() {
    let world = World::new().await;
    world.apply_documents().await;
    world.drive_to("Running", &world.client).await;
    let first: Secret = world.api().get("demo-ca").await.unwrap();
    world
        .api::<Cluster>()
        .delete("demo", &DeleteParams::default())
        .await
        .unwrap();
    world.drive_to_gone(&world.client).await;
    assert!(world.secrets().await.is_empty());
    assert!(world.names::<Plan>().await.is_empty());
    assert!(world.names::<Machine>().await.is_empty());
    assert!(world.names::<ProviderMachine>().await.is_empty());
    assert!(world.names::<ControlPlane>().await.is_empty());
    world.forget_nodes();
    world.apply_cluster().await;
    world.drive_to("Running", &world.client).await;
    let second: Secret = world.api().get("demo-ca").await.unwrap();
    assert_ne!(first.data, second.data);
}

#[tokio::test]
async fn a_kill_at_any_write_is_followed_up() {
    // Each run lets the coordinator make so many writes and then none, as if it had been killed there; another one
    // goes on. The last run is one in which it came to the end.
    let mut killed = true;
    let mut writes = 1;
    let mut runs = 0;
    while killed {
        let world = World::new().await;
        world.apply_documents().await;
        let (client, dead) = world.dying_client(writes);
        world.drive_until_dead("Running", &client, &dead).await;
        killed = world::is_dead(&dead);
        world.drive_to("Running", &world.client).await;
        let machines: Vec<String> = world.names::<ProviderMachine>().await;
        assert_eq!(machines, ["demo-cp-0", "demo-md-0-0"], "after {writes} writes");
        assert_eq!(
            world.names::<Plan>().await,
            ["demo-plan-1"],
            "after {writes} writes"
        );
        assert_eq!(
            world.log().iter().filter(|line| line.starts_with("init")).count(),
            1,
            "after {writes} writes"
        );
        writes += 7;
        runs += 1;
    }
    assert!(runs > 3, "{runs} runs");
}

#[tokio::test]
async fn workers_are_added_and_removed() {
    let world = World::new().await;
    world.apply_documents().await;
    world.drive_to("Running", &world.client).await;
    world.scale_workers(2).await;
    world
        .drive_to_machines(&["demo-cp-0", "demo-md-0-0", "demo-md-0-1"])
        .await;
    let plan: Plan = world.api().get("demo-plan-2").await.unwrap();
    assert_eq!(plan.spec.class, PlanClass::Scale);
    world.scale_workers(1).await;
    world.drive_to_machines(&["demo-cp-0", "demo-md-0-0"]).await;
    assert!(!world.log().contains(&"delete node-b".to_owned()));
    assert!(
        world.log().contains(&"delete node-c".to_owned()),
        "{:?}",
        world.log()
    );
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
    let status = world.settled().await;
    let message = status.failure_message.unwrap();
    assert!(
        message.contains("minimum hardware count not met for selector {type=worker}: have 0 free"),
        "{message}"
    );
    assert!(world.names::<Plan>().await.is_empty() && world.names::<ProviderMachine>().await.is_empty());
    assert!(world.secrets().await.is_empty());
}

#[tokio::test]
async fn a_failed_machine_fails_the_plan_with_its_reason() {
    let world = World::new().await;
    world.apply_documents().await;
    world.fail_machine(
        "demo-cp-0",
        "workflow demo-cp-0-2 (attempt 2): action stream-image: disk too small",
    );
    world.drive_to("Failed", &world.client).await;
    let status = world.cluster().await.unwrap().status.unwrap();
    assert!(status.failure_message.unwrap().contains("disk too small"));
    world
        .api::<Cluster>()
        .delete("demo", &DeleteParams::default())
        .await
        .unwrap();
    world.drive_to_gone(&world.client).await;
}

#[tokio::test]
async fn a_plan_that_needs_approval_waits_for_it() {
    let world = World::with(Options {
        self_approved: Vec::new(),
        ..Options::default()
    })
    .await;
    world.apply_documents().await;
    let status = world.settled().await;
    assert!(status.reason.unwrap().contains("waits for approval"));
    assert!(world.names::<ProviderMachine>().await.is_empty());
    world
        .annotate_plan("demo-plan-1", "gantry.dev/approved-by", "alice")
        .await;
    world.settled().await;
    let plan: Plan = world.api().get("demo-plan-1").await.unwrap();
    assert_eq!(plan.status.unwrap().approved_by.as_deref(), Some("alice"));
    let _: Api<Plan> = world.api();
}
