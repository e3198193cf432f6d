//! Requests that would take the server down or hold it up: growth, size, depth, numbers, lists, warnings, HEAD.

use std::time::{Duration, Instant};

use http::{Method, Request};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::api::{ListParams, Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use crate::fixture::{Fixture, code, widget};
use crate::tls::{Listener, token};

fn maps(f: &Fixture) -> Api<ConfigMap> {
    Api::namespaced(f.client.clone(), "default")
}

fn map(name: &str, data: &Value) -> ConfigMap {
    serde_json::from_value(json!({"metadata": {"name": name}, "data": data})).unwrap()
}

async fn raw(f: &Fixture, method: Method, path: &str, media: &str, body: String) -> kube::Result<Value> {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("content-type", media);
    f.client.request(request.body(body.into_bytes()).unwrap()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_patch_that_copies_an_object_into_itself_is_refused_at_once() {
    let f = Fixture::new().await;
    let data = json!({"a": "x".repeat(50)});
    maps(&f)
        .create(&PostParams::default(), &map("m", &data))
        .await
        .unwrap();
    let copies: Vec<Value> = (0..24)
        .map(|i| json!({"op": "copy", "from": "/data", "path": format!("/data/k{i}")}))
        .collect();
    let patch: json_patch::Patch = serde_json::from_value(Value::Array(copies)).unwrap();
    let start = Instant::now();
    let done = maps(&f)
        .patch("m", &PatchParams::default(), &Patch::Json::<()>(patch))
        .await;
    assert_eq!(code(done), 422);
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
}

/// Three bodies below the limit of a body, and an object above the limit of an object.
#[tokio::test(flavor = "multi_thread")]
async fn no_write_makes_an_object_of_more_than_etcd_takes() {
    let f = Fixture::new().await;
    let text = |kilobytes: usize| "x".repeat(kilobytes * 1024);
    let large = json!({"spec": {"size": 1}, "metadata": {"annotations": {"a": text(1600)}}});
    let mut whole = widget("w", json!({"size": 1}));
    f.create(whole.clone()).await.unwrap();
    whole["metadata"]["annotations"] = large["metadata"]["annotations"].clone();
    let api = f.widgets();
    let mut other = whole.clone();
    other["metadata"]["name"] = "v".into();
    assert_eq!(code(f.create(other).await), 413, "create");
    let mut put: kube::api::DynamicObject = serde_json::from_value(whole.clone()).unwrap();
    put.metadata.resource_version = api.get("w").await.unwrap().metadata.resource_version;
    assert_eq!(
        code(api.replace("w", &PostParams::default(), &put).await),
        413,
        "update"
    );
    let plain = PatchParams::default();
    assert_eq!(
        code(api.patch("w", &plain, &Patch::Merge(&large)).await),
        413,
        "merge patch"
    );
    let apply = PatchParams::apply("m");
    assert_eq!(
        code(api.patch("w", &apply, &Patch::Apply(&whole)).await),
        413,
        "apply"
    );
    let add = json!([{"op": "add", "path": "/metadata/annotations", "value": {"a": text(1600)}}]);
    let add: json_patch::Patch = serde_json::from_value(add).unwrap();
    assert_eq!(
        code(api.patch("w", &plain, &Patch::Json::<()>(add)).await),
        413,
        "JSON patch"
    );
    let status = json!({"status": {"phase": text(1600)}});
    assert_eq!(
        code(api.patch_status("w", &plain, &Patch::Merge(&status)).await),
        413,
        "status"
    );
    // By steps it is the same.
    for (key, expected) in [("a", true), ("b", true), ("c", false)] {
        let grow = json!({"metadata": {"annotations": {key: text(600)}}});
        let done = api.patch("w", &plain, &Patch::Merge(grow)).await;
        assert_eq!(done.is_ok(), expected, "{key}: {done:?}");
    }
    let text = api.get("w").await.unwrap();
    assert_eq!(text.metadata.annotations.unwrap().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_that_its_managers_make_too_large_loses_them() {
    let f = Fixture::new().await;
    let data: serde_json::Map<String, Value> = (0..40_000).map(|i| (format!("k{i:05}"), "".into())).collect();
    let mut map = map("m", &Value::Object(data));
    let params = PostParams::default();
    let made = maps(&f).create(&params, &map).await.unwrap();
    assert!(made.metadata.managed_fields.is_some());
    map.metadata.name = Some("n".into());
    map.data
        .as_mut()
        .unwrap()
        .insert("z".into(), "x".repeat(750 * 1024));
    let made = maps(&f).create(&params, &map).await.unwrap();
    assert!(made.metadata.managed_fields.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn deep_bodies_are_refused() {
    let f = Fixture::new().await;
    let path = "/api/v1/namespaces/default/configmaps";
    for (media, open, close) in [
        ("application/json", "{\"a\":", "}"),
        ("application/yaml", "[", "]"),
        ("application/yaml", "{a: ", "}"),
    ] {
        for depth in [1_000, 100_000] {
            let body = format!("{}1{}", open.repeat(depth), close.repeat(depth));
            let done = raw(&f, Method::POST, path, media, body).await;
            assert_eq!(code(done), 400, "{media} {depth}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_list_takes_no_long_time_and_holds_nobody_up() {
    let f = Fixture::new().await;
    let finalizers: Vec<String> = (0..20_000).map(|i| format!("example.dev/{i}")).collect();
    let mut long = map("long", &json!({}));
    long.metadata.finalizers = Some(finalizers);
    let start = Instant::now();
    maps(&f).create(&PostParams::default(), &long).await.unwrap();
    let again = json!({"metadata": {"labels": {"a": "b"}}});
    maps(&f)
        .patch("long", &PatchParams::default(), &Patch::Strategic(again))
        .await
        .unwrap();
    assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn warnings_stay_within_what_clients_read() {
    let f = Fixture::new().await;
    let unknown: serde_json::Map<String, Value> =
        (0..20_000).map(|i| (format!("f{i:020}"), json!(1))).collect();
    let mut object = widget("a", Value::Object(unknown));
    object["spec"]["size"] = 1.into();
    let request = Request::post("/apis/example.dev/v1/namespaces/default/widgets")
        .header("content-type", "application/json")
        .body(kube::client::Body::from(object.to_string().into_bytes()))
        .unwrap();
    let response = f.client.send(request).await.unwrap();
    assert_eq!(response.status(), 201);
    let warnings: Vec<_> = response.headers().get_all("warning").iter().collect();
    let bytes: usize = warnings.iter().map(|w| w.len()).sum();
    assert!(
        (50..=100).contains(&warnings.len()) && bytes < 8 * 1024,
        "{} of {bytes}",
        warnings.len()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn numbers_in_queries_are_judged() {
    let f = Fixture::new().await;
    let path = "/api/v1/namespaces/default/configmaps";
    for query in [
        "watch=1&timeoutSeconds=18446744073709551615",
        "limit=18446744073709551616",
        "resourceVersion=-1",
        "watch=1&resourceVersion=18446744073709551616",
        "continue=AAAA",
    ] {
        let done = raw(&f, Method::GET, &format!("{path}?{query}"), "", String::new()).await;
        assert_eq!(code(done), 400, "{query}");
    }
    for (query, expected) in [
        ("watch=1&resourceVersion=18446744073709551615", 410),
        (
            "resourceVersion=18446744073709551615&resourceVersionMatch=NotOlderThan",
            410,
        ),
    ] {
        let done = raw(&f, Method::GET, &format!("{path}?{query}"), "", String::new()).await;
        assert_eq!(code(done), expected, "{query}");
    }
    // A watch that lasts for ever begins.
    let request = Request::get(format!("{path}?watch=1&timeoutSeconds=9223372036854775807"));
    let response = f
        .client
        .send(request.body(kube::client::Body::empty()).unwrap())
        .await;
    assert_eq!(response.unwrap().status(), 200);
}

/// HEAD over HTTP/2, followed by another request on the same connection.
#[tokio::test(flavor = "multi_thread")]
async fn head_has_no_body() {
    let f = Fixture::new().await;
    let listener = Listener::start(&f).await;
    let kubeconfig = serde_json::from_value(listener.kubeconfig(&token("fake-admin-token"))).unwrap();
    let config = kube::Config::from_custom_kubeconfig(kubeconfig, &Default::default())
        .await
        .unwrap();
    let client = kube::Client::try_from(config).unwrap();
    for path in [
        "/api/v1/namespaces",
        "/readyz",
        "/api/v1/namespaces?watch=1",
        "/nothing",
    ] {
        let request = Request::head(path).body(kube::client::Body::empty()).unwrap();
        let response = client.send(request).await.unwrap();
        assert_eq!(
            response.status().as_u16(),
            if path == "/nothing" { 404 } else { 200 },
            "{path}"
        );
        let body = http_body_util::BodyExt::collect(response.into_body());
        let body = tokio::time::timeout(Duration::from_secs(20), body)
            .await
            .unwrap()
            .unwrap();
        assert_eq!(body.to_bytes().len(), 0, "{path}");
    }
    let namespaces: Api<k8s_openapi::api::core::v1::Namespace> = Api::all(client);
    assert!(namespaces.list(&ListParams::default()).await.is_ok());
    listener.cancel.cancel();
}
