//! Lists and initial states that are longer than a piece of a body, lookups by selectors, and what controllers see.

use futures::{StreamExt as _, TryStreamExt as _};
use http::Request;
use http_body_util::BodyExt as _;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{ListParams, ObjectMeta, Patch, PatchParams, PostParams, WatchEvent, WatchParams};
use kube::{Api, ResourceExt as _};
use serde_json::{Value, json};

use crate::fixture::{Fixture, widget};

/// Objects of 10 kB: more than one piece, less than two of its pages.
const COUNT: usize = 30;

async fn filled() -> Fixture {
    let f = Fixture::new().await;
    let maps: Api<ConfigMap> = Api::namespaced(f.client.clone(), "default");
    for number in 0..COUNT {
        let map = ConfigMap {
            metadata: ObjectMeta {
                name: Some(format!("map-{number:02}")),
                labels: Some([("parity".to_owned(), (number % 2).to_string())].into()),
                ..ObjectMeta::default()
            },
            data: Some([("text".to_owned(), "x".repeat(10_000))].into()),
            ..ConfigMap::default()
        };
        maps.create(&PostParams::default(), &map).await.unwrap();
    }
    f
}

async fn get(f: &Fixture, path: &str, accept: &str) -> (usize, Value) {
    let request = Request::get(path).header("accept", accept);
    let body = request.body(kube::client::Body::empty()).unwrap();
    let response = f.client.clone().send(body).await.unwrap();
    assert!(response.status().is_success(), "{}", response.status());
    let (mut frames, mut bytes) = (0, Vec::new());
    let mut body = response.into_body();
    while let Some(frame) = body.frame().await {
        frames += 1;
        bytes.extend_from_slice(&frame.unwrap().into_data().unwrap());
    }
    (frames, serde_json::from_slice(&bytes).unwrap())
}

const MAPS: &str = "/api/v1/namespaces/default/configmaps";

#[tokio::test]
async fn a_long_list_comes_in_pieces_in_every_form() {
    let f = filled().await;
    for (as_, items, name) in [
        ("application/json", "items", "/metadata/name"),
        (
            "application/json;as=Table;g=meta.k8s.io;v=v1",
            "rows",
            "/object/metadata/name",
        ),
        (
            "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1",
            "items",
            "/metadata/name",
        ),
    ] {
        let (frames, list) = get(&f, &format!("{MAPS}?includeObject=Object"), as_).await;
        let found = list[items].as_array().unwrap().iter();
        let found: Vec<&str> = found
            .map(|item| item.pointer(name).unwrap().as_str().unwrap())
            .collect();
        let wanted: Vec<String> = (0..COUNT).map(|number| format!("map-{number:02}")).collect();
        assert_eq!(found, wanted, "{as_}");
        assert!(list["metadata"]["resourceVersion"].is_string(), "{as_}");
        let whole = as_.contains("Partial");
        assert_eq!(frames == 1, whole, "{frames} pieces as {as_}");
        let (frames, list) = get(&f, &format!("{MAPS}?labelSelector=parity%3D9"), as_).await;
        assert_eq!((frames, list[items].as_array().unwrap().len()), (1, 0), "{as_}");
    }
}

#[tokio::test]
async fn a_long_initial_state_is_whole_and_changes_follow_it() {
    let f = filled().await;
    let maps: Api<ConfigMap> = Api::namespaced(f.client.clone(), "default");
    let params = WatchParams::default();
    let mut events = maps.watch(&params, "0").await.unwrap().boxed();
    let first = events.try_next().await.unwrap().unwrap();
    // A change that comes while most of the initial state is still to be read.
    let patch = json!({"metadata": {"annotations": {"a": "b"}}});
    maps.patch("map-29", &PatchParams::default(), &Patch::Merge(patch))
        .await
        .unwrap();
    let mut seen = vec![first];
    while seen.len() < COUNT + 1 {
        seen.push(events.try_next().await.unwrap().unwrap());
    }
    let mut names = Vec::new();
    for event in &seen[..COUNT] {
        match event {
            WatchEvent::Added(map) => names.push(map.name_any()),
            other => panic!("{other:?}"),
        }
    }
    let wanted: Vec<String> = (0..COUNT).map(|number| format!("map-{number:02}")).collect();
    assert_eq!(names, wanted);
    match &seen[COUNT] {
        WatchEvent::Modified(map) => assert_eq!(map.name_any(), "map-29"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn selectors_find_what_has_changed_since_they_were_first_asked() {
    let f = Fixture::new().await;
    let servers = "/apis/gantry.dev/v1alpha1/namespaces/default/servers";
    let names = async |query: &str| -> Vec<String> {
        let (_, list) = get(&f, &format!("{servers}?{query}"), "application/json").await;
        let items = list["items"].as_array().unwrap().iter();
        items
            .map(|item| item["metadata"]["name"].as_str().unwrap().to_owned())
            .collect()
    };
    let api: Api<resources::gantry::Server> = Api::namespaced(f.client.clone(), "default");
    let make = async |name: &str, bmc: &str, zone: &str| {
        let server = json!({"apiVersion": "gantry.dev/v1alpha1", "kind": "Server",
            "metadata": {"name": name, "labels": {"zone": zone}},
            "spec": {"machineId": format!("id-{name}"), "hardware": name, "bmc": bmc}});
        let server = serde_json::from_value(server).unwrap();
        api.create(&PostParams::default(), &server).await.unwrap();
    };
    make("a", "one", "east").await;
    make("b", "one", "west").await;
    assert_eq!(names("fieldSelector=spec.bmc%3Done").await, ["a", "b"]);
    assert_eq!(names("labelSelector=zone%3Deast").await, ["a"]);
    make("c", "one", "east").await;
    let patch = json!({"metadata": {"labels": {"zone": "west"}}, "spec": {"bmc": "two"}});
    api.patch("a", &PatchParams::default(), &Patch::Merge(patch))
        .await
        .unwrap();
    api.delete("b", &Default::default()).await.unwrap();
    assert_eq!(names("fieldSelector=spec.bmc%3Done").await, ["c"]);
    assert_eq!(names("fieldSelector=spec.bmc%3Dtwo").await, ["a"]);
    assert_eq!(names("fieldSelector=spec.bmc%21%3Dtwo").await, ["c"]);
    assert_eq!(
        names("fieldSelector=spec.bmc%3D").await,
        [""; 0],
        "none is without a BMC"
    );
    assert_eq!(names("labelSelector=zone%3Dwest").await, ["a"]);
    assert_eq!(
        names("labelSelector=zone%3Dwest&fieldSelector=spec.bmc%3Done").await,
        [""; 0]
    );
    assert_eq!(
        names("labelSelector=zone+in+(east,west)&fieldSelector=spec.machineId%3Did-c").await,
        ["c"]
    );
    // More keys than are looked up by index.
    for number in 0..20 {
        assert_eq!(names(&format!("labelSelector=key-{number}%3Dx")).await, [""; 0]);
    }
    assert_eq!(names("labelSelector=key-19%3Dx,zone%3Dwest").await, [""; 0]);
    let other = Api::<resources::gantry::Server>::namespaced(f.client.clone(), "elsewhere");
    let none = other.list(&ListParams::default().fields("spec.bmc=two")).await;
    assert_eq!(none.unwrap().items.len(), 0, "another namespace");
}

#[tokio::test]
async fn controllers_see_no_managers_and_keep_them() {
    let f = Fixture::new().await;
    f.create(widget("w", json!({"size": 1}))).await.unwrap();
    let lean = crate::fixture::widgets(&f.server.controller_client());
    let mut seen = lean.get("w").await.unwrap();
    assert!(seen.metadata.managed_fields.is_none());
    let listed = lean.list(&ListParams::default()).await.unwrap();
    assert!(listed.items[0].metadata.managed_fields.is_none());
    let listed = lean.list_metadata(&ListParams::default()).await.unwrap();
    assert!(listed.items[0].metadata.managed_fields.is_none());
    let mut events = lean.watch(&WatchParams::default(), "0").await.unwrap().boxed();
    match events.try_next().await.unwrap() {
        Some(WatchEvent::Added(widget)) => assert!(widget.metadata.managed_fields.is_none()),
        other => panic!("{other:?}"),
    }
    let before = f.widgets().get("w").await.unwrap();
    let managers = before.managed_fields().to_vec();
    assert!(!managers.is_empty());
    seen.data["spec"]["size"] = 2.into();
    let written = lean.replace("w", &PostParams::default(), &seen).await.unwrap();
    assert!(written.metadata.managed_fields.is_none());
    let after = f.widgets().get("w").await.unwrap();
    assert_eq!(after.data["spec"]["size"], 2);
    assert!(!after.managed_fields().is_empty());
    assert_eq!(after.managed_fields()[0].operation, managers[0].operation);
}
