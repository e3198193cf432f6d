//! Labels and taints of nodes on a real API, beside those that a person and the controllers of Kubernetes set.

use std::collections::BTreeMap;

use clusters::{LabelsAndTaints, NodeView};
use k8s_openapi::api::core::v1::Node;
use kube::api::{Patch, PatchParams};
use resources::anywhere::Taint;
use resources::gantry::NodeKeys;
use serde_json::{Value, json};

use crate::rack::Rack;

const NODE: &str = "node-1";

fn taint(key: &str, value: Option<&str>, effect: &str) -> Taint {
    Taint {
        key: key.to_owned(),
        value: value.map(str::to_owned),
        effect: effect.to_owned(),
        time_added: None,
    }
}

fn wanted(labels: &[(&str, &str)], taints: &[Taint], before: &[(&[&str], &[&str])]) -> LabelsAndTaints {
    let labels: BTreeMap<String, String> = labels
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect();
    let mut keys = NodeKeys {
        labels: labels.keys().cloned().collect(),
        taints: taints.iter().map(Taint::id).collect(),
    };
    for (labels, taints) in before {
        keys.labels.extend(labels.iter().map(|key| (*key).to_owned()));
        keys.taints.extend(taints.iter().map(|id| (*id).to_owned()));
    }
    LabelsAndTaints {
        labels,
        taints: taints.to_vec(),
        keys,
    }
}

/// A person changes the node.
async fn patch(rack: &Rack, change: Value) -> Node {
    let patch = Patch::Merge(change);
    let params = PatchParams::default();
    rack.nodes().patch(NODE, &params, &patch).await.unwrap()
}

fn ids(node: &NodeView) -> Vec<String> {
    let mut ids: Vec<String> = node.taints.iter().map(Taint::id).collect();
    ids.sort();
    ids
}

#[tokio::test]
#[ignore = "needs kube-apiserver, etcd and KWOK: gantry image build kubernetes etcd; cargo xtask peers"]
async fn labels_and_taints_come_and_go_beside_those_of_others() {
    let rack = Rack::start(&["node-lifecycle-controller"]).await;
    rack.add_node(NODE).await;
    let settled = async || {
        let node = rack.workload.node(NODE.to_owned()).await.unwrap()?;
        let is_started = |taint: &Taint| taint.key == "node.kubernetes.io/not-ready";
        (node.ready && !node.taints.iter().any(is_started)).then_some(())
    };
    rack.until("Ready without a taint of its start", settled).await;
    // A person sets a label and a taint, and somebody cordons the node: its controller adds a taint, with the time.
    patch(
        &rack,
        json!({ "metadata": { "labels": { "theirs": "kept" } }, "spec": {
            "taints": [{ "key": "theirs", "effect": "PreferNoSchedule" }], "unschedulable": true,
        } }),
    )
    .await;
    let cordoned = async || {
        let node = rack.workload.node(NODE.to_owned()).await.unwrap()?;
        let ids = ids(&node);
        ids.contains(&"node.kubernetes.io/unschedulable:NoSchedule".to_owned())
            .then_some(node)
    };
    let before = rack.until("cordoned", cordoned).await;
    let added = |node: &NodeView| {
        let mut taints = node.taints.iter();
        let cordon = taints.find(|taint| taint.key == "node.kubernetes.io/unschedulable");
        cordon.unwrap().time_added.clone()
    };

    // A key of kubernetes.io, which the kubelet of the node may not set, is set by the coordinator.
    let role = "node-role.kubernetes.io/db";
    let first = wanted(
        &[("rack", "r1"), (role, "")],
        &[taint("dedicated", Some("db"), "NoSchedule")],
        &[],
    );
    let set = async |wanted: &LabelsAndTaints| {
        let written = rack
            .workload
            .set_labels_and_taints(NODE.to_owned(), wanted.clone());
        written.await.unwrap()
    };
    let after = set(&first).await;
    assert!(first.change(&after.labels, &after.taints).is_empty(), "{after:?}");
    assert_eq!(after.labels["theirs"], "kept");
    assert_eq!(after.labels["kubernetes.io/hostname"], NODE);
    let theirs = [
        "node.kubernetes.io/unschedulable:NoSchedule",
        "theirs:PreferNoSchedule",
    ];
    assert_eq!(ids(&after), [&["dedicated:NoSchedule"], &theirs[..]].concat());
    assert_eq!(
        added(&after),
        added(&before),
        "what the controller wrote is as it was"
    );

    // Somebody takes a label away and gives the taint another value: both come back.
    patch(&rack, json!({ "metadata": { "labels": { "rack": null } } })).await;
    let mut taints: Vec<Value> = after.taints.iter().map(|taint| json!(taint)).collect();
    for taint in taints.iter_mut().filter(|taint| taint["key"] == "dedicated") {
        taint["value"] = json!("web");
    }
    patch(&rack, json!({ "spec": { "taints": taints } })).await;
    let again = set(&first).await;
    assert_eq!(again.labels, after.labels);
    assert_eq!(ids(&again), ids(&after));
    assert!(first.change(&again.labels, &again.taints).is_empty());
    let version = async || rack.nodes().get(NODE).await.unwrap().metadata.resource_version;
    let unchanged = version().await;
    set(&first).await;
    assert_eq!(
        version().await,
        unchanged,
        "what is as it is to be is not written"
    );

    // What is wanted no longer goes; a taint of the same key and another effect comes in its place.
    let second = wanted(
        &[("rack", "r2")],
        &[taint("dedicated", None, "NoExecute")],
        &[(&["rack", role], &["dedicated:NoSchedule"])],
    );
    let after = set(&second).await;
    assert_eq!(after.labels["rack"], "r2");
    assert_eq!(after.labels.get(role), None);
    assert_eq!(after.labels["theirs"], "kept");
    assert_eq!(ids(&after), [&["dedicated:NoExecute"], &theirs[..]].concat());
    let third = wanted(&[], &[], &[(&["rack"], &["dedicated:NoExecute"])]);
    let after = set(&third).await;
    assert_eq!(ids(&after), theirs);
    assert_eq!(after.labels.get("rack"), None);

    // What the API refuses is told with its reason, and changes nothing.
    let wrong = wanted(&[("rack", "not a value")], &[], &[]);
    let why = rack.workload.set_labels_and_taints(NODE.to_owned(), wrong).await;
    assert!(why.unwrap_err().contains("not a value"));
    assert_eq!(
        rack.nodes()
            .get(NODE)
            .await
            .unwrap()
            .metadata
            .labels
            .unwrap()
            .get("rack"),
        None
    );
}
