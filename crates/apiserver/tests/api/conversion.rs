//! A kind in two versions whose fields differ: Machines of Cluster API.

use futures::{StreamExt, TryStreamExt};
use kube::api::{DynamicObject, ListParams, Patch, PatchParams, PostParams, WatchEvent, WatchParams};
use kube::discovery::ApiResource;
use kube::{Api, ResourceExt};
use resources::cluster_api::Machine;
use serde_json::{Value, json};

use crate::fixture::{Fixture, code};

const OLDER: &str = "v1beta1";

fn machines(f: &Fixture, version: &str) -> Api<DynamicObject> {
    let mut resource = ApiResource::erase::<Machine>(&());
    version.clone_into(&mut resource.version);
    resource.api_version = format!("cluster.x-k8s.io/{version}");
    Api::namespaced_with(f.client.clone(), "default", &resource)
}

/// A Machine as the coordinator writes it.
async fn stored(f: &Fixture) -> Api<DynamicObject> {
    let newer = machines(f, "v1beta2");
    let machine = json!({
        "apiVersion": "cluster.x-k8s.io/v1beta2", "kind": "Machine", "metadata": {"name": "m"},
        "spec": {"clusterName": "demo",
            "infrastructureRef": {"apiGroup": "gantry.dev", "kind": "ProviderMachine", "name": "m"}},
    });
    let status = json!({"status": {"phase": "Running", "nodeRef": {"name": "srv-1"},
        "initialization": {"infrastructureProvisioned": true},
        "conditions": [{"type": "Ready", "status": "True", "reason": "NodeReady", "message": "the node is Ready",
            "lastTransitionTime": "2026-01-02T03:04:05Z"}]}});
    let machine = serde_json::from_value(machine).unwrap();
    newer.create(&PostParams::default(), &machine).await.unwrap();
    newer
        .patch_status("m", &PatchParams::default(), &Patch::Merge(status))
        .await
        .unwrap();
    newer
}

fn assert_older(object: &DynamicObject) {
    assert_eq!(
        object.data["spec"]["infrastructureRef"],
        json!({"apiVersion": "gantry.dev/v1alpha1", "kind": "ProviderMachine", "name": "m", "namespace": "default"})
    );
    let status = &object.data["status"];
    assert_eq!(status["nodeRef"]["kind"], "Node", "{status}");
    assert_eq!(status["infrastructureReady"], true, "{status}");
    assert_eq!(status["conditions"][0]["type"], "Ready", "{status}");
    assert_eq!(
        status["v1beta2"]["conditions"][0]["reason"], "NodeReady",
        "{status}"
    );
}

#[tokio::test]
async fn every_read_of_the_older_version_has_its_fields() {
    let f = Fixture::new().await;
    stored(&f).await;
    let older = machines(&f, OLDER);
    assert_older(&older.get("m").await.unwrap());
    let list = older.list(&ListParams::default()).await.unwrap();
    assert_older(&list.items[0]);
    let mut events = older.watch(&WatchParams::default(), "0").await.unwrap().boxed();
    let Some(WatchEvent::Added(added)) = events.try_next().await.unwrap() else {
        panic!("the watch does not begin with the object");
    };
    assert_older(&added);
    let mut request = http::Request::get("/apis/cluster.x-k8s.io/v1beta1/namespaces/default/machines");
    let table = "application/json;as=Table;g=meta.k8s.io;v=v1";
    request
        .headers_mut()
        .unwrap()
        .insert(http::header::ACCEPT, table.parse().unwrap());
    let table: Value = f.client.request(request.body(Vec::new()).unwrap()).await.unwrap();
    assert!(
        table["rows"][0]["cells"]
            .as_array()
            .unwrap()
            .contains(&json!("srv-1")),
        "{table}"
    );
}

#[tokio::test]
async fn a_write_in_the_older_version_keeps_what_it_leaves_alone() {
    let f = Fixture::new().await;
    let newer = stored(&f).await;
    let before = newer.get("m").await.unwrap();
    let older = machines(&f, OLDER);
    // As cluster-autoscaler does it: the whole object, with an annotation more.
    let mut object = older.get("m").await.unwrap();
    object
        .annotations_mut()
        .insert("cluster.x-k8s.io/delete-machine".to_owned(), "yes".to_owned());
    let answer = older.replace("m", &PostParams::default(), &object).await.unwrap();
    assert_older(&answer);
    let after = newer.get("m").await.unwrap();
    assert_eq!(after.data, before.data);
    assert_eq!(after.annotations().len(), 1);
    assert_eq!(after.metadata.generation, before.metadata.generation);

    let status = json!({"status": {"infrastructureReady": false}});
    older
        .patch_status("m", &PatchParams::default(), &Patch::Merge(status))
        .await
        .unwrap();
    let after = newer.get("m").await.unwrap();
    assert_eq!(
        after.data["status"]["initialization"]["infrastructureProvisioned"],
        false
    );
    assert_eq!(
        after.data["status"]["conditions"],
        before.data["status"]["conditions"]
    );

    let unknown = Patch::Merge(json!({"spec": {"infrastructureRef": {"apiGroup": "gantry.dev"}}}));
    let strict = PatchParams {
        field_validation: Some(kube::api::ValidationDirective::Strict),
        ..PatchParams::default()
    };
    assert_eq!(code(older.patch("m", &strict, &unknown).await), 400);
}

#[tokio::test]
async fn the_newer_version_is_the_preferred_one() {
    let f = Fixture::new().await;
    let group: Value = f
        .client
        .request(
            http::Request::get("/apis/cluster.x-k8s.io")
                .body(Vec::new())
                .unwrap(),
        )
        .await
        .unwrap();
    assert_eq!(group["preferredVersion"]["version"], "v1beta2", "{group}");
    assert_eq!(group["versions"].as_array().unwrap().len(), 2, "{group}");
}
