//! The watch against an API that lists two machines and then reports a change.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test ends by panicking"
)]

use std::convert::Infallible;
use std::pin::Pin;
use std::time::Duration;

use boot_script::{ViewHandle, follow};
use bytes::Bytes;
use futures::{Stream, StreamExt, stream};
use http_body_util::StreamBody;
use kube::client::Body;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

type Frames = Pin<Box<dyn Stream<Item = Result<http_body::Frame<Bytes>, Infallible>> + Send>>;

fn frame(value: &Value) -> Result<http_body::Frame<Bytes>, Infallible> {
    Ok(http_body::Frame::data(Bytes::from(format!("{value}\n"))))
}

fn hardware(name: &str, mac: &str) -> Value {
    json!({
        "apiVersion": "tinkerbell.org/v1alpha1", "kind": "Hardware",
        "metadata": {"name": name, "namespace": "eksa-system", "resourceVersion": "5"},
        "spec": {"interfaces": [{"dhcp": {"mac": mac, "ip": {"address": "10.0.0.5"}}}]},
    })
}

fn server(boot_id: &str) -> Value {
    json!({
        "apiVersion": "gantry.dev/v1alpha1", "kind": "Server",
        "metadata": {"name": "a", "namespace": "eksa-system", "resourceVersion": "6"},
        "spec": {"machineId": "m", "hardware": "a"},
        "status": {"bootSession": {
            "attempt": 1, "boot": 1, "bootId": boot_id, "phase": "arming",
            "armedAt": "2026-11-21T00:00:00Z", "deadline": "2026-11-21T00:30:00Z",
        }},
    })
}

fn answer(path: &str, query: &str) -> Frames {
    let servers = path.contains("servers");
    if query.contains("watch=true") {
        let events: Vec<_> = servers
            .then(|| frame(&json!({"type": "MODIFIED", "object": server("second")})))
            .into_iter()
            .collect();
        return Box::pin(stream::iter(events).chain(stream::pending()));
    }
    let items = if servers {
        vec![server("first")]
    } else {
        let broken = json!({
            "apiVersion": "tinkerbell.org/v1alpha1", "kind": "Hardware",
            "metadata": {"name": "broken", "namespace": "eksa-system"},
            "spec": {"interfaces": [{"dhcp": {"mac": "not a mac"}}]},
        });
        vec![broken, hardware("a", "52:54:00:00:00:01")]
    };
    let kind = if servers { "ServerList" } else { "HardwareList" };
    let list =
        json!({"kind": kind, "apiVersion": "v1", "metadata": {"resourceVersion": "7"}, "items": items});
    Box::pin(stream::iter([frame(&list)]))
}

#[tokio::test]
async fn the_view_follows_lists_and_watches() {
    let service = tower::service_fn(|request: http::Request<Body>| async move {
        let uri = request.uri();
        let frames = answer(uri.path(), uri.query().unwrap_or_default());
        Ok::<_, Infallible>(http::Response::new(StreamBody::new(frames)))
    });
    let client = kube::Client::new(service, "default");
    let handle = ViewHandle::new();
    let cancel = CancellationToken::new();
    let task = tokio::spawn(follow(client, handle.clone(), cancel.clone()));
    let seen = handle.wait(|view| {
        view.session("eksa-system", "a")
            .is_some_and(|s| s.boot_id == "second")
    });
    tokio::time::timeout(Duration::from_secs(20), seen)
        .await
        .expect("the change is not in the view");
    assert!(handle.has_session("eksa-system", "a", "second"));
    assert!(!handle.has_session("eksa-system", "a", "first"));
    let view = handle.load();
    assert_eq!(view.len(), 1, "the object that cannot be read is left out");
    assert_eq!(view.peer([10, 0, 0, 5].into()).target().unwrap().name(), "a");
    cancel.cancel();
    task.await.unwrap().unwrap();
}
