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
