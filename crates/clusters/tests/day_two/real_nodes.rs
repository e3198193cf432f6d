//! The nodes of a cluster as the coordinator's client sees them: many, watched, labelled, deleted, and an API that falls silent.

use std::collections::BTreeMap;

use clusters::{LabelsAndTaints, NodeView};
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::{Value, json};

use crate::rack::{Rack, is_silence};

const MANY: usize = 1000;

async fn seen(rack: &Rack) -> BTreeMap<String, NodeView> {
    let nodes = rack.workload.nodes().await.unwrap();
    nodes.into_iter().map(|node| (node.name.clone(), node)).collect()
}

fn name(number: usize) -> String {
    format!("node-{number:04}")
}

#[tokio::test]
#[ignore = "needs kube-apiserver, etcd and KWOK: gantry image build kubernetes etcd; cargo xtask peers"]
async fn a_thousand_nodes_are_listed_once_and_then_watched() {
    let rack = Rack::start(&[]).await;
    for number in 0..MANY {
        rack.add_node(&name(number)).await;
    }
    let ready = async || {
        let nodes = rack.nodes().list(&Default::default()).await.unwrap();
        let mut statuses = nodes.items.into_iter().filter_map(|node| node.status);
        let all = statuses.all(|status| {
            let conditions = status.conditions.unwrap_or_default();
            conditions
                .iter()
                .any(|known| known.type_ == "Ready" && known.status == "True")
        });
        all.then_some(())
    };
    rack.until("Ready", ready).await;

    let before = rack.asked_for_nodes("LIST").await;
    let nodes = seen(&rack).await;
    assert_eq!(nodes.len(), MANY);
    let first = &nodes[&name(0)];
    assert!(
        first.ready && first.since.is_some() && first.created.is_some(),
        "{first:?}"
    );
    assert_eq!(
        first.provider_id.as_deref(),
        Some("tinkerbell://eksa-system/node-0000")
    );
    assert_eq!(rack.asked_for_nodes("LIST").await - before, 2, "two pages of 500");

    // At rest, and while nodes change, come and go.
    let before = (
        rack.asked_for_nodes("LIST").await,
        rack.asked_for_nodes("WATCH").await,
    );
    for _ in 0..20 {
        assert_eq!(seen(&rack).await.len(), MANY);
    }
    let dead = json!({ "status": { "conditions": [
        { "type": "Ready", "status": "Unknown", "reason": "NodeStatusUnknown", "message": "Kubelet stopped posting node status." },
    ] } });
    let patch = Patch::Strategic(dead);
    let params = PatchParams::default();
    rack.nodes()
        .patch_status(&name(1), &params, &patch)
        .await
        .unwrap();
    rack.nodes()
        .delete(&name(2), &DeleteParams::default())
        .await
        .unwrap();
    rack.add_node("node-new").await;
    let shows = async || {
        let nodes = seen(&rack).await;
        let new = nodes.get("node-new").is_some_and(|node| node.ready);
        let dead = nodes.get(&name(1)).is_some_and(|node| !node.ready);
        (nodes.len() == MANY && !nodes.contains_key(&name(2)) && new && dead).then_some(())
    };
    rack.until("watched", shows).await;
    let own = LabelsAndTaints {
        labels: BTreeMap::from([("pool".to_owned(), "small".to_owned())]),
        ..LabelsAndTaints::default()
    };
    let written = rack.workload.set_labels_and_taints(name(3), own.clone()).await;
    assert_eq!(written.unwrap().labels["pool"], "small");
    let labelled = seen(&rack).await.remove(&name(3)).unwrap();
    assert_eq!(labelled.labels["pool"], "small", "our own write shows at once");
    assert_eq!(
        labelled.labels["kubernetes.io/hostname"],
        name(3),
        "others are left"
    );
    rack.workload.delete_node(name(4)).await.unwrap();
    assert!(!seen(&rack).await.contains_key(&name(4)));
    assert_eq!(rack.workload.node(name(4)).await.unwrap(), None);
    assert!(rack.workload.node(name(5)).await.unwrap().unwrap().ready);
    let after = (
        rack.asked_for_nodes("LIST").await,
        rack.asked_for_nodes("WATCH").await,
    );
    assert_eq!(after.0 - before.0, 0, "nobody lists nodes that are watched");
    assert_eq!(after.1, before.1, "and the watch is the same");

    // A node that has gone is not made anew for a label, and gone is what a deletion wants.
    let why = rack
        .workload
        .set_labels_and_taints(name(4), own)
        .await
        .unwrap_err();
    assert!(why.contains("not found"), "{why}");
    assert!(rack.nodes().get_opt(&name(4)).await.unwrap().is_none());
    rack.workload.delete_node(name(4)).await.unwrap();

    is_silent_for_a_while(&rack).await;
}

/// Silence is told by whatever has to be asked for, and the watch goes on after it.
async fn is_silent_for_a_while(rack: &Rack) {
    rack.kubernetes.hang_api().await;
    let (system, node, drain) = tokio::join!(
        rack.workload.system(),
        rack.workload.node(name(0)),
        rack.workload.drain(name(0)),
    );
    for why in [system.unwrap_err(), node.unwrap_err(), drain.unwrap_err()] {
        assert!(is_silence(&why), "{why}");
    }
    rack.kubernetes.answer_again().await;
    let answers = async || rack.workload.system().await.ok();
    rack.until("answering again", answers).await;
    rack.add_node("node-after").await;
    let shows = async || seen(rack).await.contains_key("node-after").then_some(());
    rack.until("watched after silence", shows).await;
}

/// The Secret of a bootstrap token, as kubeadm writes it.
fn token(secret: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Secret", "type": "bootstrap.kubernetes.io/token",
        "metadata": { "name": "bootstrap-token-abcdef", "namespace": "kube-system" },
        "stringData": {
            "token-id": "abcdef", "token-secret": secret, "expiration": "2099-01-01T00:00:00Z",
            "usage-bootstrap-authentication": "true", "usage-bootstrap-signing": "true",
        },
    })
}

#[tokio::test]
#[ignore = "needs kube-apiserver, etcd and KWOK: gantry image build kubernetes etcd; cargo xtask peers"]
async fn tokens_and_notes_are_written_again_and_deleted_twice() {
    let rack = Rack::start(&[]).await;
    let secrets = kube::Api::<Secret>::namespaced(rack.client.clone(), "kube-system");
    for secret in ["0123456789abcdef", "fedcba9876543210"] {
        rack.workload.apply(vec![token(secret)]).await.unwrap();
        let written = secrets.get("bootstrap-token-abcdef").await.unwrap();
        let data = written.data.unwrap();
        assert_eq!(data["token-secret"].0, secret.as_bytes(), "the last one counts");
    }
    for _ in 0..2 {
        let name = "bootstrap-token-abcdef".to_owned();
        rack.workload.delete_token(name).await.unwrap();
    }
    let all = secrets.list(&Default::default()).await.unwrap();
    let tokens = all
        .iter()
        .filter(|secret| secret.name_any().starts_with("bootstrap-token-"));
    assert_eq!(tokens.count(), 0);

    let note = |number: &str| {
        json!({
            "apiVersion": "v1", "kind": "ConfigMap", "data": { "number": number },
            "metadata": { "name": "gantry-last-plan", "namespace": "kube-system" },
        })
    };
    for number in ["7", "8"] {
        rack.workload.apply(vec![note(number)]).await.unwrap();
    }
    let system = rack.workload.system().await.unwrap();
    assert_eq!((system.last_plan, system.cni_applied), (Some(8), false));
    // What the API does not take is told by kind and name, and nothing after it is applied.
    let wrong = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "data": "none",
        "metadata": { "name": "wrong", "namespace": "kube-system" },
    });
    let why = rack.workload.apply(vec![wrong, note("9")]).await.unwrap_err();
    assert!(why.starts_with("ConfigMap wrong: "), "{why}");
    assert_eq!(rack.workload.system().await.unwrap().last_plan, Some(8));
}
