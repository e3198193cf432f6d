//! Watches: order, resumption, selectors, expiry, initial events.

use std::time::Duration;

use futures::{StreamExt, TryStreamExt};
use kube::api::{DeleteParams, DynamicObject, ListParams, Patch, PatchParams, WatchEvent, WatchParams};
use serde_json::json;

use crate::fixture::{Fixture, code, widget};

type Events = std::pin::Pin<Box<dyn futures::Stream<Item = kube::Result<WatchEvent<DynamicObject>>> + Send>>;

async fn watch(f: &Fixture, params: &WatchParams, version: &str) -> kube::Result<Events> {
    Ok(f.widgets().watch(params, version).await?.boxed())
}

async fn take(events: &mut Events, count: usize) -> Vec<String> {
    let mut found = Vec::new();
    while found.len() < count {
        let event = tokio::time::timeout(Duration::from_secs(10), events.try_next()).await;
        let event = event
            .unwrap_or_else(|_| panic!("only {found:?} came"))
            .unwrap()
            .expect("stream ended");
        found.push(match event {
            WatchEvent::Added(o) => format!("+{}", o.metadata.name.unwrap()),
            WatchEvent::Modified(o) => format!("~{}", o.metadata.name.unwrap()),
            WatchEvent::Deleted(o) => format!("-{}", o.metadata.name.unwrap()),
            WatchEvent::Bookmark(b) => format!("={}", b.metadata.annotations.len()),
            WatchEvent::Error(e) => format!("!{}", e.code),
        });
    }
    found
}

async fn label(f: &Fixture, name: &str, value: &str) {
    let patch = Patch::Merge(json!({"metadata": {"labels": {"l": value}}}));
    f.widgets()
        .patch(name, &PatchParams::default(), &patch)
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_resumes_exactly_where_it_was() {
    let f = Fixture::new().await;
    let first = f.create(widget("a", json!({"size": 1}))).await.unwrap();
    let version = first.metadata.resource_version.unwrap();
    let mut live = watch(&f, &WatchParams::default(), &version).await.unwrap();
    f.create(widget("b", json!({"size": 1}))).await.unwrap();
    label(&f, "a", "1").await;
    label(&f, "a", "2").await;
    f.widgets().delete("b", &DeleteParams::default()).await.unwrap();
    let expected = ["+b", "~a", "~a", "-b"];
    assert_eq!(take(&mut live, 4).await, expected);
    let mut resumed = watch(&f, &WatchParams::default(), &version).await.unwrap();
    assert_eq!(take(&mut resumed, 4).await, expected);
    let mut fresh = watch(&f, &WatchParams::default(), "0").await.unwrap();
    assert_eq!(take(&mut fresh, 1).await, ["+a"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_resumes_over_a_restart() {
    let f = Fixture::new().await;
    f.create(widget("a", json!({"size": 1}))).await.unwrap();
    let b = f.create(widget("b", json!({"size": 1}))).await.unwrap();
    f.create(widget("c", json!({"size": 1}))).await.unwrap();
    label(&f, "a", "1").await;
    f.widgets().delete("b", &DeleteParams::default()).await.unwrap();
    let f = f.reopen().await;
    let mut resumed = watch(&f, &WatchParams::default(), &b.metadata.resource_version.unwrap())
        .await
        .unwrap();
    assert_eq!(take(&mut resumed, 3).await, ["+c", "~a", "-b"]);
    for name in ["a", "c"] {
        f.widgets().delete(name, &DeleteParams::default()).await.unwrap();
    }
    let version = f
        .widgets()
        .list(&ListParams::default())
        .await
        .unwrap()
        .metadata
        .resource_version
        .unwrap();
    let before = (version.parse::<u64>().unwrap() - 1).to_string();
    let f = f.reopen().await;
    let mut resumed = watch(&f, &WatchParams::default(), &before).await.unwrap();
    assert_eq!(take(&mut resumed, 1).await, ["-c"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn selectors_turn_changes_into_comings_and_goings() {
    let f = Fixture::new().await;
    f.create(widget("a", json!({"size": 1}))).await.unwrap();
    let mut events = watch(&f, &WatchParams::default().labels("l=1"), "0")
        .await
        .unwrap();
    label(&f, "a", "1").await;
    label(&f, "a", "2").await;
    label(&f, "a", "1").await;
    f.widgets().delete("a", &DeleteParams::default()).await.unwrap();
    assert_eq!(take(&mut events, 4).await, ["+a", "-a", "+a", "-a"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_from_the_future_is_gone() {
    let f = Fixture::new().await;
    let Err(kube::Error::Api(status)) = watch(&f, &WatchParams::default(), "99999999").await.map(drop) else {
        panic!("accepted");
    };
    assert_eq!((status.code, status.reason.as_str()), (410, "Expired"));
    assert_eq!(
        code(watch(&f, &WatchParams::default(), "abc").await.map(drop)),
        400
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn initial_events_end_with_a_bookmark() {
    let f = Fixture::new().await;
    f.create(widget("a", json!({"size": 1}))).await.unwrap();
    let params = WatchParams::default().initial_events();
    let mut events = watch(&f, &params, "").await.unwrap();
    assert_eq!(take(&mut events, 2).await, ["+a", "=1"]);
    f.create(widget("b", json!({"size": 1}))).await.unwrap();
    assert_eq!(take(&mut events, 1).await, ["+b"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_ends_with_its_time() {
    let f = Fixture::new().await;
    let mut events = watch(&f, &WatchParams::default().timeout(1), "0").await.unwrap();
    let end = tokio::time::timeout(Duration::from_secs(20), events.try_next())
        .await
        .unwrap();
    assert!(end.unwrap().is_none());
}

/// Large objects that come and go: what is kept of them is bounded, in the file, too.
#[tokio::test(flavor = "multi_thread")]
async fn deleted_objects_take_bounded_room() {
    let f = Fixture::new().await;
    let maps: kube::Api<k8s_openapi::api::core::v1::ConfigMap> =
        kube::Api::namespaced(f.client.clone(), "default");
    let mut versions = Vec::new();
    for i in 0..80 {
        let name = format!("m{i}");
        let map = json!({"metadata": {"name": name}, "data": {"k": "x".repeat(500_000)}});
        let map = serde_json::from_value(map).unwrap();
        let made = maps.create(&Default::default(), &map).await.unwrap();
        versions.push(made.metadata.resource_version.unwrap());
        maps.delete(&name, &DeleteParams::default()).await.unwrap();
    }
    let bytes: i64 = sqlx::query_scalar("SELECT sum(length(json)) FROM tombstones")
        .fetch_one(f.server.database().readers())
        .await
        .unwrap();
    assert!(bytes <= 33 * 1024 * 1024, "{bytes}");
    let f = f.reopen().await;
    let maps: kube::Api<k8s_openapi::api::core::v1::ConfigMap> =
        kube::Api::namespaced(f.client.clone(), "default");
    let params = WatchParams::default();
    assert_eq!(code(maps.watch(&params, &versions[0]).await.map(drop)), 410);
    // The last one was there at its version, and its deletion comes with its last state.
    let mut events = maps.watch(&params, &versions[79]).await.unwrap().boxed();
    let event = tokio::time::timeout(Duration::from_secs(20), events.try_next()).await;
    let Some(WatchEvent::Deleted(map)) = event.unwrap().unwrap() else {
        panic!("no deletion")
    };
    assert_eq!(map.data.unwrap()["k"].len(), 500_000);
}
