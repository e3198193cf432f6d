//! CustomResourceDefinitions through the API: served at once, refused when unsound, gone with their objects.

use std::time::Duration;

use apiserver::ApiServer;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams};
use kube::core::{ApiResource, GroupVersionKind};
use kube::{Api, ResourceExt};
use serde_json::{Value, json};

use crate::fixture::{Fixture, code, config, widget};

fn definition(plural: &str, kind: &str) -> Value {
    json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("{plural}.other.dev")},
        "spec": {"group": "other.dev", "scope": "Cluster", "names": {"plural": plural, "kind": kind},
            "versions": [
                {"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": {"type": "object",
                    "x-kubernetes-preserve-unknown-fields": true}}},
                {"name": "v1alpha1", "served": true, "storage": false, "schema": {"openAPIV3Schema": {"type": "object",
                    "x-kubernetes-preserve-unknown-fields": true}}}]}})
}

fn resource(version: &str) -> ApiResource {
    ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk("other.dev", version, "Gadget"), "gadgets")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_kind_is_served_at_once_in_all_versions() {
    let f = Fixture::new().await;
    let definitions: Api<CustomResourceDefinition> = Api::all(f.client.clone());
    let object = serde_json::from_value(definition("gadgets", "Gadget")).unwrap();
    let made = definitions.create(&PostParams::default(), &object).await.unwrap();
    let conditions = made.status.unwrap().conditions.unwrap();
    assert!(
        conditions
            .iter()
            .any(|c| c.type_ == "Established" && c.status == "True")
    );
    let old: Api<DynamicObject> = Api::all_with(f.client.clone(), &resource("v1alpha1"));
    let gadget = json!({"apiVersion": "other.dev/v1alpha1", "kind": "Gadget", "metadata": {"name": "g"}, "spec": {"x": 1}});
    old.create(&PostParams::default(), &serde_json::from_value(gadget).unwrap())
        .await
        .unwrap();
    let new: Api<DynamicObject> = Api::all_with(f.client.clone(), &resource("v1"));
    let found = new.get("g").await.unwrap();
    assert_eq!(found.types.unwrap().api_version, "other.dev/v1");
    assert_eq!(found.data["spec"]["x"], 1);
    assert_eq!(
        old.get("g").await.unwrap().types.unwrap().api_version,
        "other.dev/v1alpha1"
    );

    definitions
        .delete("gadgets.other.dev", &DeleteParams::default())
        .await
        .unwrap();
    for _ in 0..400 {
        if definitions.get_opt("gadgets.other.dev").await.unwrap().is_none() {
            assert_eq!(code(new.get("g").await), 404);
            return;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("the definition was not deleted");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_kinds_of_the_product_install_once() {
    let dir = tempfile::tempdir().unwrap();
    let mut versions = Vec::new();
    for _ in 0..2 {
        let mut config = config(dir.path());
        config.namespaces = vec!["eksa-system".into()];
        let began = std::time::Instant::now();
        let server = ApiServer::open(config).await.unwrap();
        println!("opened in {:?}", began.elapsed());
        let definitions: Api<CustomResourceDefinition> = Api::all(server.client());
        let list = definitions.list(&ListParams::default()).await.unwrap();
        assert_eq!(list.items.len(), resources::crds().len() + 1);
        versions.push(list.metadata.resource_version);
        server.close().await;
    }
    assert_eq!(versions[0], versions[1], "a second start changes nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stricter_schema_does_not_lock_old_objects() {
    let f = Fixture::new().await;
    f.create(widget("a", json!({"size": 1}))).await.unwrap();
    let definitions: Api<CustomResourceDefinition> = Api::all(f.client.clone());
    let stricter = json!([{"op": "replace", "value": 5,
        "path": "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/size/minimum"}]);
    let patch = Patch::Json::<()>(serde_json::from_value(stricter).unwrap());
    definitions
        .patch("widgets.example.dev", &PatchParams::default(), &patch)
        .await
        .unwrap();
    let status = Patch::Merge(json!({"status": {"phase": "Up"}}));
    f.widgets()
        .patch_status("a", &PatchParams::default(), &status)
        .await
        .unwrap();
    let small = Patch::Merge(json!({"spec": {"size": 2}}));
    assert_eq!(
        code(f.widgets().patch("a", &PatchParams::default(), &small).await),
        422
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn unsound_definitions_are_refused() {
    let f = Fixture::new().await;
    let definitions: Api<CustomResourceDefinition> = Api::all(f.client.clone());
    let mut bad = definition("gadgets", "Gadget");
    bad["metadata"]["name"] = json!("gadget.other.dev");
    bad["spec"]["versions"][1]["storage"] = json!(true);
    let object = serde_json::from_value(bad).unwrap();
    let Err(kube::Error::Api(status)) = definitions.create(&PostParams::default(), &object).await else {
        panic!("accepted")
    };
    assert_eq!(status.code, 422);
    assert_eq!(status.details.unwrap().causes.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_and_kinds_survive_a_restart() {
    let f = Fixture::new().await;
    let made = f.create(widget("a", json!({"size": 3}))).await.unwrap();
    let f = f.reopen().await;
    assert_eq!(f.widgets().get("a").await.unwrap(), made);
    let next = f.create(widget("b", json!({"size": 3}))).await.unwrap();
    let version = |o: &DynamicObject| o.resource_version().unwrap().parse::<u64>().unwrap();
    assert!(version(&next) > version(&made));
}

/// What of an answer to a definition tells how it went: the code and the fields of its causes.
async fn posted(f: &Fixture, definition: &Value) -> (u16, Vec<String>) {
    let definitions: Api<CustomResourceDefinition> = Api::all(f.client.clone());
    let object = serde_json::from_value(definition.clone()).unwrap();
    match definitions.create(&PostParams::default(), &object).await {
        Ok(_) => (201, Vec::new()),
        Err(kube::Error::Api(status)) => {
            let causes = status.details.unwrap().causes;
            (status.code, causes.into_iter().map(|cause| cause.field).collect())
        }
        Err(other) => panic!("{other}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_definition_takes_no_built_in_kind() {
    let f = Fixture::new().await;
    let mut lease = definition("leases", "Lease");
    lease["metadata"]["name"] = json!("leases.coordination.k8s.io");
    lease["spec"]["group"] = json!("coordination.k8s.io");
    let approval = "metadata.annotations[api-approved.kubernetes.io]".to_owned();
    assert_eq!(posted(&f, &lease).await, (422, vec![approval]));
    lease["metadata"]["annotations"] = json!({"api-approved.kubernetes.io": "unapproved, a test"});
    assert_eq!(posted(&f, &lease).await, (422, vec!["spec.group".to_owned()]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conversion_that_is_not_carried_out_is_refused() {
    let f = Fixture::new().await;
    let mut hook = definition("gadgets", "Gadget");
    hook["spec"]["conversion"] = json!({"strategy": "Webhook", "webhook": {"conversionReviewVersions": ["v1"],
        "clientConfig": {"url": "https://127.0.0.1:9/convert"}}});
    assert_eq!(
        posted(&f, &hook).await,
        (422, vec!["spec.conversion.strategy".to_owned()])
    );
    hook["spec"]["conversion"] = json!({"strategy": "None"});
    assert_eq!(posted(&f, &hook).await, (201, vec![]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kind_has_one_definition() {
    let f = Fixture::new().await;
    let definitions: Api<CustomResourceDefinition> = Api::all(f.client.clone());
    assert_eq!(posted(&f, &definition("gadgets", "Gadget")).await.0, 201);
    assert_eq!(posted(&f, &definition("gizmos", "Gadget")).await.0, 201);
    let condition = |found: &CustomResourceDefinition, kind: &str| {
        let conditions = found.status.as_ref().unwrap().conditions.as_ref().unwrap().iter();
        let found = conditions.filter(|c| c.type_ == kind).map(|c| c.status.clone());
        found.collect::<String>()
    };
    let second = definitions.get("gizmos.other.dev").await.unwrap();
    assert_eq!(condition(&second, "NamesAccepted"), "False");
    let gizmos =
        ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk("other.dev", "v1", "Gadget"), "gizmos");
    let gizmos: Api<DynamicObject> = Api::all_with(f.client.clone(), &gizmos);
    assert_eq!(code(gizmos.list(&ListParams::default()).await), 404);
    // The name is free once the first definition is gone.
    definitions
        .delete("gadgets.other.dev", &DeleteParams::default())
        .await
        .unwrap();
    for _ in 0..400 {
        if gizmos.list(&ListParams::default()).await.is_ok() {
            let second = definitions.get("gizmos.other.dev").await.unwrap();
            assert_eq!(condition(&second, "NamesAccepted"), "True");
            return;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("the second definition does not come into service");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_storage_version_moves_without_losing_one() {
    let f = Fixture::new().await;
    let definitions: Api<CustomResourceDefinition> = Api::all(f.client.clone());
    assert_eq!(posted(&f, &definition("gadgets", "Gadget")).await.0, 201);
    let [new, old] =
        ["v1", "v1alpha1"].map(|v| Api::<DynamicObject>::all_with(f.client.clone(), &resource(v)));
    let gadget =
        json!({"apiVersion": "other.dev/v1", "kind": "Gadget", "metadata": {"name": "g"}, "spec": {"x": 1}});
    let gadget = serde_json::from_value(gadget).unwrap();
    new.create(&PostParams::default(), &gadget).await.unwrap();
    let change = |patch: Value| {
        let patch = Patch::Json::<()>(serde_json::from_value(patch).unwrap());
        let definitions = definitions.clone();
        async move {
            definitions
                .patch("gadgets.other.dev", &PatchParams::default(), &patch)
                .await
        }
    };
    let moved = json!([{"op": "replace", "path": "/spec/versions/0/storage", "value": false},
        {"op": "replace", "path": "/spec/versions/1/storage", "value": true}]);
    let moved = change(moved).await.unwrap();
    assert_eq!(moved.status.unwrap().stored_versions.unwrap(), ["v1", "v1alpha1"]);
    // The row was written as v1.
    for (api, version) in [(&new, "other.dev/v1"), (&old, "other.dev/v1alpha1")] {
        let one = api.get("g").await.unwrap();
        assert_eq!(one.types.unwrap().api_version, version);
        let list = api.list(&ListParams::default()).await.unwrap();
        assert_eq!(list.items[0].types.as_ref().unwrap().api_version, version);
    }
    let removed = json!([{"op": "remove", "path": "/spec/versions/0"}]);
    assert_eq!(code(change(removed.clone()).await), 422);
    // A write without change brings the row into the new version; then the old one may go.
    let none = Patch::Merge(json!({}));
    let before = old.get("g").await.unwrap().resource_version();
    let after = old.patch("g", &PatchParams::default(), &none).await.unwrap();
    assert_ne!(after.resource_version(), before);
    let again = old.patch("g", &PatchParams::default(), &none).await.unwrap();
    assert_eq!(again.resource_version(), after.resource_version());
    let migrated = Patch::Merge(json!({"status": {"storedVersions": ["v1alpha1"]}}));
    definitions
        .patch_status("gadgets.other.dev", &PatchParams::default(), &migrated)
        .await
        .unwrap();
    change(removed).await.unwrap();
    assert_eq!(code(new.get("g").await), 404);
    assert_eq!(old.get("g").await.unwrap().data["spec"]["x"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_ends_with_its_definition() {
    use futures::StreamExt;
    use kube::api::{WatchEvent, WatchParams};
    let f = Fixture::new().await;
    f.create(widget("a", json!({"size": 1}))).await.unwrap();
    let watch = f.widgets().watch(&WatchParams::default(), "0").await.unwrap();
    let definitions: Api<CustomResourceDefinition> = Api::all(f.client.clone());
    // What changes nothing for the objects ends no watch.
    let label = Patch::Merge(json!({"metadata": {"labels": {"a": "b"}}}));
    definitions
        .patch("widgets.example.dev", &PatchParams::default(), &label)
        .await
        .unwrap();
    f.create(widget("b", json!({"size": 1}))).await.unwrap();
    definitions
        .delete("widgets.example.dev", &DeleteParams::default())
        .await
        .unwrap();
    let events = watch.map(|event| match event.unwrap() {
        WatchEvent::Added(object) => format!("added {}", object.name_any()),
        WatchEvent::Deleted(object) => format!("deleted {}", object.name_any()),
        other => panic!("{other:?}"),
    });
    let events: Vec<String> = tokio::time::timeout(Duration::from_secs(30), events.collect())
        .await
        .unwrap();
    assert_eq!(events[..2], ["added a", "added b"]);
    let deleted: std::collections::BTreeSet<&str> = events[2..].iter().map(String::as_str).collect();
    assert_eq!(deleted, ["deleted a", "deleted b"].into());
}
