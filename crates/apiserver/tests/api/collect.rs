//! Deletion: finalizers, owners, propagation, namespaces.
//!
//! `differences/deletion.rs` runs most of these sequences against kube-apiserver, too.

mod owners;
mod writers;

use std::time::Duration;

use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::Api;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams, Preconditions, PropagationPolicy};
use serde_json::json;

use crate::fixture::{Fixture, code, widget};

/// Finalizer that only a test removes.
const HOLD: &str = "example.dev/hold";

/// Waits until `check` gives a value.
async fn eventually<T, F: Future<Output = Option<T>>>(what: &str, check: impl Fn() -> F) -> T {
    for _ in 0..400 {
        if let Some(value) = check().await {
            return value;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("{what} did not happen");
}

/// Waits until a widget is gone.
async fn gone(f: &Fixture, name: &str) {
    let api = f.widgets();
    eventually(&format!("deletion of {name}"), || async {
        api.get_opt(name).await.unwrap().is_none().then_some(())
    })
    .await;
}

/// Waits until a widget is marked as being deleted.
async fn marked(f: &Fixture, name: &str) {
    let api = f.widgets();
    eventually(&format!("marking of {name}"), || async {
        api.get(name).await.unwrap().metadata.deletion_timestamp
    })
    .await;
}

/// Adds or removes the finalizer of the tests.
async fn hold(f: &Fixture, name: &str, held: bool) {
    let list = if held { json!([HOLD]) } else { json!(null) };
    let patch = Patch::Merge(json!({"metadata": {"finalizers": list}}));
    f.widgets()
        .patch(name, &PatchParams::default(), &patch)
        .await
        .unwrap();
}

async fn owned(f: &Fixture, name: &str, owner: &kube::api::DynamicObject, block: bool) {
    let mut object = widget(name, json!({"size": 1}));
    object["metadata"]["ownerReferences"] = json!([{"apiVersion": "example.dev/v1", "kind": "Widget",
        "name": owner.metadata.name, "uid": owner.metadata.uid, "blockOwnerDeletion": block}]);
    f.create(object).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn finalizers_hold_an_object() {
    let f = Fixture::new().await;
    let api = f.widgets();
    let mut object = widget("a", json!({"size": 1}));
    object["metadata"]["finalizers"] = json!(["example.dev/hold"]);
    f.create(object).await.unwrap();
    let held = api
        .delete("a", &DeleteParams::default())
        .await
        .unwrap()
        .left()
        .expect("object");
    assert!(held.metadata.deletion_timestamp.is_some());
    assert_eq!(held.metadata.generation, Some(2));
    // No new finalizer on a terminating object.
    let more = Patch::Merge(json!({"metadata": {"finalizers": ["example.dev/hold", "example.dev/late"]}}));
    assert_eq!(code(api.patch("a", &PatchParams::default(), &more).await), 422);
    let none = Patch::Merge(json!({"metadata": {"finalizers": null}}));
    api.patch("a", &PatchParams::default(), &none).await.unwrap();
    assert_eq!(code(api.get("a").await), 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn preconditions_guard_a_deletion() {
    let f = Fixture::new().await;
    f.create(widget("a", json!({"size": 1}))).await.unwrap();
    let wrong = Preconditions {
        uid: Some("other".into()),
        resource_version: None,
    };
    let params = DeleteParams {
        preconditions: Some(wrong),
        ..DeleteParams::default()
    };
    assert_eq!(code(f.widgets().delete("a", &params).await), 409);
}

#[tokio::test(flavor = "multi_thread")]
async fn dependents_follow_their_owner() {
    let f = Fixture::new().await;
    let api = f.widgets();
    let owner = f.create(widget("owner", json!({"size": 1}))).await.unwrap();
    owned(&f, "child", &owner, false).await;
    let child = api.get("child").await.unwrap();
    owned(&f, "grandchild", &child, false).await;
    api.delete("owner", &DeleteParams::default()).await.unwrap();
    eventually("collection", || async {
        api.list(&ListParams::default())
            .await
            .unwrap()
            .items
            .is_empty()
            .then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn orphans_stay_and_foreground_waits() {
    let f = Fixture::new().await;
    let api = f.widgets();
    let owner = f.create(widget("owner", json!({"size": 1}))).await.unwrap();
    owned(&f, "child", &owner, false).await;
    let orphan = DeleteParams {
        propagation_policy: Some(PropagationPolicy::Orphan),
        ..DeleteParams::default()
    };
    api.delete("owner", &orphan).await.unwrap();
    eventually("deletion", || async {
        api.get_opt("owner").await.unwrap().is_none().then_some(())
    })
    .await;
    assert_eq!(api.get("child").await.unwrap().metadata.owner_references, None);

    let owner = f.create(widget("owner", json!({"size": 1}))).await.unwrap();
    owned(&f, "kid", &owner, true).await;
    let hold = Patch::Merge(json!({"metadata": {"finalizers": ["example.dev/hold"]}}));
    api.patch("kid", &PatchParams::default(), &hold).await.unwrap();
    api.delete("owner", &DeleteParams::foreground()).await.unwrap();
    let kid_marked = || async { api.get("kid").await.unwrap().metadata.deletion_timestamp };
    eventually("marking of the dependent", kid_marked).await;
    assert!(
        api.get("owner")
            .await
            .unwrap()
            .metadata
            .deletion_timestamp
            .is_some()
    );
    let free = Patch::Merge(json!({"metadata": {"finalizers": null}}));
    api.patch("kid", &PatchParams::default(), &free).await.unwrap();
    eventually("deletion", || async {
        api.get_opt("owner").await.unwrap().is_none().then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_namespace_takes_its_contents_along() {
    let f = Fixture::new().await;
    let namespaces: Api<Namespace> = Api::all(f.client.clone());
    let made = serde_json::from_value(json!({"metadata": {"name": "rack"}})).unwrap();
    let made: Namespace = namespaces.create(&PostParams::default(), &made).await.unwrap();
    assert_eq!(made.status.unwrap().phase.unwrap(), "Active");
    let maps: Api<ConfigMap> = Api::namespaced(f.client.clone(), "rack");
    let map: ConfigMap =
        serde_json::from_value(json!({"metadata": {"name": "m", "finalizers": ["a.b/c"]}})).unwrap();
    maps.create(&PostParams::default(), &map).await.unwrap();
    namespaces.delete("rack", &DeleteParams::default()).await.unwrap();
    eventually("marking", || async {
        maps.get("m").await.unwrap().metadata.deletion_timestamp
    })
    .await;
    let other: ConfigMap = serde_json::from_value(json!({"metadata": {"name": "n"}})).unwrap();
    assert_eq!(code(maps.create(&PostParams::default(), &other).await), 403);
    let free = Patch::Merge(json!({"metadata": {"finalizers": null}}));
    maps.patch("m", &PatchParams::default(), &free).await.unwrap();
    eventually("deletion", || async {
        namespaces.get_opt("rack").await.unwrap().is_none().then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collection_is_deleted_by_selector() {
    let f = Fixture::new().await;
    for (name, label) in [("a", "x"), ("b", "x"), ("c", "y")] {
        let mut object = widget(name, json!({"size": 1}));
        object["metadata"]["labels"] = json!({"l": label});
        f.create(object).await.unwrap();
    }
    let params = ListParams::default().labels("l=x");
    f.widgets()
        .delete_collection(&DeleteParams::default(), &params)
        .await
        .unwrap();
    let left = f.widgets().list(&ListParams::default()).await.unwrap();
    assert_eq!(left.items.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn foreground_takes_late_dependents_along() {
    let f = Fixture::new().await;
    let owner = f.create(widget("owner", json!({"size": 1}))).await.unwrap();
    owned(&f, "first", &owner, true).await;
    hold(&f, "first", true).await;
    f.widgets()
        .delete("owner", &DeleteParams::foreground())
        .await
        .unwrap();
    marked(&f, "first").await;
    owned(&f, "late", &owner, true).await;
    hold(&f, "first", false).await;
    for name in ["first", "late", "owner"] {
        gone(&f, name).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn foreground_waits_only_for_dependents_that_block() {
    let f = Fixture::new().await;
    let owner = f.create(widget("owner", json!({"size": 1}))).await.unwrap();
    owned(&f, "held", &owner, false).await;
    hold(&f, "held", true).await;
    f.widgets()
        .delete("owner", &DeleteParams::foreground())
        .await
        .unwrap();
    gone(&f, "owner").await;
    marked(&f, "held").await;
    hold(&f, "held", false).await;
    gone(&f, "held").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn foreground_goes_from_the_last_generation_up() {
    let f = Fixture::new().await;
    let api = f.widgets();
    let owner = f.create(widget("owner", json!({"size": 1}))).await.unwrap();
    owned(&f, "child", &owner, true).await;
    owned(&f, "grandchild", &api.get("child").await.unwrap(), true).await;
    hold(&f, "grandchild", true).await;
    api.delete("owner", &DeleteParams::foreground()).await.unwrap();
    marked(&f, "grandchild").await;
    for name in ["owner", "child"] {
        assert!(
            api.get(name).await.unwrap().metadata.deletion_timestamp.is_some(),
            "{name}"
        );
    }
    hold(&f, "grandchild", false).await;
    for name in ["grandchild", "child", "owner"] {
        gone(&f, name).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn owners_in_a_circle_do_not_wait_for_each_other() {
    let f = Fixture::new().await;
    let owner = f.create(widget("owner", json!({"size": 1}))).await.unwrap();
    owned(&f, "child", &owner, true).await;
    let child = f.widgets().get("child").await.unwrap();
    let circle = json!({"metadata": {"ownerReferences": [{"apiVersion": "example.dev/v1", "kind": "Widget",
        "name": "child", "uid": child.metadata.uid, "blockOwnerDeletion": true}]}});
    let patch = Patch::Merge(circle);
    f.widgets()
        .patch("owner", &PatchParams::default(), &patch)
        .await
        .unwrap();
    f.widgets()
        .delete("owner", &DeleteParams::foreground())
        .await
        .unwrap();
    for name in ["owner", "child"] {
        gone(&f, name).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_namespace_keeps_plain_objects_until_the_held_ones_are_gone() {
    let f = Fixture::new().await;
    let namespaces: Api<Namespace> = Api::all(f.client.clone());
    let made = serde_json::from_value(json!({"metadata": {"name": "rack"}})).unwrap();
    namespaces.create(&PostParams::default(), &made).await.unwrap();
    let maps: Api<ConfigMap> = Api::namespaced(f.client.clone(), "rack");
    for metadata in [
        json!({"name": "keys"}),
        json!({"name": "machine", "finalizers": [HOLD]}),
    ] {
        let map: ConfigMap = serde_json::from_value(json!({"metadata": metadata})).unwrap();
        maps.create(&PostParams::default(), &map).await.unwrap();
    }
    namespaces
        .delete("rack", &DeleteParams::foreground())
        .await
        .unwrap();
    eventually("marking", || async {
        maps.get("machine").await.unwrap().metadata.deletion_timestamp
    })
    .await;
    // The collector has gone over the namespace; what holds a finalizer still finds what it needs.
    assert_eq!(maps.get("keys").await.unwrap().metadata.deletion_timestamp, None);
    let free = Patch::Merge(json!({"metadata": {"finalizers": null}}));
    maps.patch("machine", &PatchParams::default(), &free)
        .await
        .unwrap();
    eventually("deletion", || async {
        namespaces.get_opt("rack").await.unwrap().is_none().then_some(())
    })
    .await;
    assert_eq!(code(maps.get("keys").await), 404);
}
