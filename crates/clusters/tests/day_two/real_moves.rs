//! Pods that a drain moves: a ReplicaSet makes them anew, the scheduler puts them onto another node, and the controller of
//! disruption budgets counts.

use clusters::Drained;
use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::ResourceExt;
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::json;

use crate::rack::{Rack, is_silence};

/// The last of them takes the taint from a node that has become Ready.
const CONTROLLERS: [&str; 3] = [
    "replicaset-controller",
    "disruption-controller",
    "node-lifecycle-controller",
];

/// Until a drain is over, or waits for something that contains this.
async fn drained(rack: &Rack, node: &str, waits_for: Option<&str>) -> String {
    let look = async || match rack.workload.drain(node.to_owned()).await.unwrap() {
        Drained::Yes => {
            assert_eq!(waits_for, None, "node {node} is drained");
            Some(String::new())
        }
        Drained::NotYet(reason) => waits_for
            .is_some_and(|text| reason.contains(text))
            .then_some(reason),
    };
    rack.until(waits_for.unwrap_or("drained"), look).await
}

/// Three pods of a ReplicaSet that run on this node.
async fn web(rack: &Rack, node: &str) {
    rack.create::<ReplicaSet>(json!({
        "metadata": { "name": "web" },
        "spec": {
            "replicas": 3, "selector": { "matchLabels": { "app": "web" } },
            "template": {
                "metadata": { "labels": { "app": "web" } },
                "spec": { "containers": [{ "name": "main", "image": "fake" }] },
            },
        },
    }))
    .await;
    let runs = async || (running(rack, node).await.len() == 3).then_some(());
    rack.until("three pods run", runs).await;
}

/// Pods `web` that are Ready on a node.
async fn running(rack: &Rack, node: &str) -> Vec<String> {
    let pods = rack.pods().list(&Default::default()).await.unwrap();
    let is_running = |pod: &&Pod| {
        let status = pod.status.clone().unwrap_or_default();
        let conditions = status.conditions.unwrap_or_default();
        let ready = conditions
            .iter()
            .any(|known| known.type_ == "Ready" && known.status == "True");
        let on = pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref()) == Some(node);
        on && ready && pod.metadata.deletion_timestamp.is_none() && pod.name_any().starts_with("web-")
    };
    pods.iter()
        .filter(is_running)
        .map(ResourceExt::name_any)
        .collect()
}

async fn budget(rack: &Rack, name: &str, least: i32) {
    let spec = json!({ "minAvailable": least, "selector": { "matchLabels": { "app": "web" } } });
    rack.create::<PodDisruptionBudget>(json!({ "metadata": { "name": name }, "spec": spec }))
        .await;
    counted(rack, name).await;
}

/// Until the controller has counted for the budget as it is now.
async fn counted(rack: &Rack, name: &str) {
    let look = async || {
        let budget = rack.api::<PodDisruptionBudget>().get(name).await.unwrap();
        let status = budget.status?;
        let current = status.observed_generation == budget.metadata.generation;
        (current && status.current_healthy == 3).then_some(())
    };
    rack.until("counted", look).await;
}

async fn cordon(rack: &Rack, node: &str, cordoned: bool) {
    let patch = Patch::Strategic(json!({ "spec": { "unschedulable": cordoned } }));
    rack.nodes()
        .patch(node, &PatchParams::default(), &patch)
        .await
        .unwrap();
}

#[tokio::test]
#[ignore = "needs kube-apiserver, etcd and KWOK: gantry image build kubernetes etcd; cargo xtask peers"]
async fn a_drain_keeps_to_budgets_leaves_what_stays_and_ends_when_the_rest_has_moved() {
    let rack = Rack::start(&CONTROLLERS).await;
    rack.add_node("w-1").await;
    web(&rack, "w-1").await;
    let none = || json!({});
    rack.pod("w-1", "daemon", Some("DaemonSet"), none()).await;
    let mirror = json!({ "annotations": { "kubernetes.io/config.mirror": "4b8f" } });
    rack.pod("w-1", "kube-proxy-w-1", None, mirror).await;
    rack.pod("w-1", "tool", None, none()).await;
    let held = json!({ "finalizers": ["example.com/backup"] });
    rack.pod("w-1", "held", Some("ReplicaSet"), held).await;
    budget(&rack, "web-stays", 3).await;

    let reason = drained(&rack, "w-1", Some("PodDisruptionBudget web-stays")).await;
    assert!(
        reason.contains("needs 3 healthy pods and has 3 currently"),
        "{reason}"
    );
    assert_eq!(running(&rack, "w-1").await.len(), 3, "none of them has gone");
    // It has ended, and its object stays for whoever has put the finalizer there. A drain does not wait for that.
    let ended = async || {
        let held = rack.pods().get("held").await.unwrap();
        let phase = held.status.and_then(|status| status.phase);
        (phase.as_deref() == Some("Succeeded")).then_some(())
    };
    rack.until("ended", ended).await;

    // Two are enough, so one may go, and the next when that one runs elsewhere.
    let least = json!({ "spec": { "minAvailable": 2 } });
    rack.merge::<PodDisruptionBudget>("web-stays", least).await;
    let one_less = async || {
        rack.workload.drain("w-1".to_owned()).await.unwrap();
        (running(&rack, "w-1").await.len() == 2).then_some(())
    };
    rack.until("one has gone", one_less).await;
    for _ in 0..3 {
        rack.workload.drain("w-1".to_owned()).await.unwrap();
    }
    assert_eq!(
        running(&rack, "w-1").await.len(),
        2,
        "no other node takes its successor"
    );
    rack.add_node("w-2").await;
    let moved = async || {
        rack.workload.drain("w-1".to_owned()).await.unwrap();
        (running(&rack, "w-2").await.len() == 3).then_some(())
    };
    rack.until("moved", moved).await;
    rack.merge::<Pod>("held", json!({ "metadata": { "finalizers": null } }))
        .await;
    drained(&rack, "w-1", None).await;
    assert_eq!(rack.pods_on("w-1").await, ["daemon", "kube-proxy-w-1"]);
    let nodes = rack.workload.nodes().await.unwrap();
    assert_eq!(nodes.len(), 2, "{nodes:?}");
    assert_eq!(
        rack.workload.drain("w-1".to_owned()).await.unwrap(),
        Drained::Yes,
        "again"
    );
}

#[tokio::test]
#[ignore = "needs kube-apiserver, etcd and KWOK: gantry image build kubernetes etcd; cargo xtask peers"]
async fn a_drain_bears_silence_and_a_node_that_vanishes() {
    let rack = Rack::start(&CONTROLLERS).await;
    rack.add_node("w-1").await;
    rack.add_node("w-2").await;
    cordon(&rack, "w-2", true).await;
    web(&rack, "w-1").await;
    budget(&rack, "one", 3).await;
    budget(&rack, "two", 1).await;
    // The API evicts no pod that two budgets are about, and both are named.
    let reason = drained(&rack, "w-1", Some("PodDisruptionBudget one and two")).await;
    assert!(reason.contains("more than one PodDisruptionBudget"), "{reason}");
    let budgets = rack.api::<PodDisruptionBudget>();
    budgets.delete("two", &DeleteParams::default()).await.unwrap();

    rack.kubernetes.hang_api().await;
    let why = rack.workload.drain("w-1".to_owned()).await.unwrap_err();
    assert!(is_silence(&why), "{why}");
    rack.kubernetes.answer_again().await;
    let answers = async || rack.workload.system().await.ok();
    rack.until("answering again", answers).await;
    drained(&rack, "w-1", Some("PodDisruptionBudget one:")).await;

    rack.nodes()
        .delete("w-1", &DeleteParams::default())
        .await
        .unwrap();
    let why = rack.workload.drain("w-1".to_owned()).await.unwrap_err();
    assert!(why.contains("the cluster has no node w-1"), "{why}");
    let gone = async || {
        let nodes = rack.workload.nodes().await.unwrap();
        (!nodes.iter().any(|node| node.name == "w-1")).then_some(())
    };
    rack.until("gone", gone).await;
    assert!(
        rack.nodes().get_opt("w-1").await.unwrap().is_none(),
        "nobody makes it anew"
    );

    // A machine of the same name joins later: nothing of the drain before sticks to it.
    rack.add_node("w-1").await;
    let fresh = rack.nodes().get("w-1").await.unwrap();
    assert_ne!(fresh.spec.and_then(|spec| spec.unschedulable), Some(true));
    budgets.delete("one", &DeleteParams::default()).await.unwrap();
    cordon(&rack, "w-2", false).await;
    drained(&rack, "w-1", None).await;
}
