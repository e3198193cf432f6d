//! A change costs what it touches, however many machines there are, and a start what there is, counted in allocated
//! bytes.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test ends by panicking"
)]

use std::convert::Infallible;
use std::net::Ipv4Addr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use boot_script::{ViewHandle, follow};
use bytes::Bytes;
use futures::channel::mpsc::{UnboundedReceiver, unbounded};
use futures::{Stream, StreamExt, stream};
use http_body::Frame;
use http_body_util::StreamBody;
use kube::client::Body;
use serde_json::{Value, json};
use sim::CountingAllocator;
use tokio_util::sync::CancellationToken;

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

const CHANGES: u32 = 20;

type Frames = Pin<Box<dyn Stream<Item = Result<Frame<Bytes>, Infallible>> + Send>>;

fn frame(value: &Value) -> Result<Frame<Bytes>, Infallible> {
    Ok(Frame::data(Bytes::from(format!("{value}\n"))))
}

fn address(number: u32) -> Ipv4Addr {
    Ipv4Addr::from(0x0a00_0000 + number)
}

/// Machine `number` with the address of that number or, changed, with another.
fn hardware(number: u32, reserved: u32) -> Value {
    let [_, a, b, c] = number.to_be_bytes();
    let ip = json!({"address": address(reserved).to_string(), "netmask": "255.0.0.0"});
    json!({
        "apiVersion": "tinkerbell.org/v1alpha1", "kind": "Hardware",
        "metadata": {"name": format!("node-{number}"), "namespace": "n", "resourceVersion": "5"},
        "spec": {"interfaces": [{"dhcp": {"mac": format!("02:00:00:{a:02x}:{b:02x}:{c:02x}"), "ip": ip}}]},
    })
}

fn list(kind: &str, items: Vec<Value>) -> Frames {
    let metadata = json!({"resourceVersion": "7"});
    let list = json!({"kind": kind, "apiVersion": "v1", "metadata": metadata, "items": items});
    Box::pin(stream::iter([frame(&list)]))
}

fn answer(uri: &http::Uri, machines: u32, changes: &Mutex<Option<UnboundedReceiver<Value>>>) -> Frames {
    let servers = uri.path().contains("servers");
    if uri.query().unwrap_or_default().contains("watch=true") {
        return match changes.lock().unwrap().take().filter(|_| !servers) {
            Some(changes) => Box::pin(changes.map(|change| frame(&change))),
            None => Box::pin(stream::pending()),
        };
    }
    match servers {
        true => list("ServerList", Vec::new()),
        false => list("HardwareList", (0..machines).map(|n| hardware(n, n)).collect()),
    }
}

/// Bytes until a site with so many machines is known, and for [`CHANGES`] changes, each of which becomes visible.
async fn cost(machines: u32) -> (u64, u64) {
    let before = CountingAllocator::allocated();
    let (send, changes) = unbounded();
    let changes = Arc::new(Mutex::new(Some(changes)));
    let service = tower::service_fn(move |request: http::Request<Body>| {
        let watches_hardware = !request.uri().path().contains("servers");
        let none = Mutex::new(None);
        let changes = if watches_hardware { &*changes } else { &none };
        let frames = answer(request.uri(), machines, changes);
        async { Ok::<_, Infallible>(http::Response::new(StreamBody::new(frames))) }
    });
    let handle = ViewHandle::new();
    let cancel = CancellationToken::new();
    let client = kube::Client::new(service, "default");
    let task = tokio::spawn(follow(client, handle.clone(), cancel.clone()));
    handle.wait(|view| view.len() == machines as usize).await;
    let start = CountingAllocator::allocated() - before;
    let before = CountingAllocator::allocated();
    for number in 0..CHANGES {
        let reserved = address(machines + number);
        let change = json!({"type": "MODIFIED", "object": hardware(number, machines + number)});
        send.unbounded_send(change).unwrap();
        let visible = handle.wait(|view| view.peer(reserved.into()).target().is_some());
        tokio::time::timeout(Duration::from_secs(60), visible)
            .await
            .expect("the change is not in the view");
    }
    let cost = CountingAllocator::allocated() - before;
    cancel.cancel();
    task.await.unwrap().unwrap();
    (start, cost)
}

#[tokio::test]
async fn a_change_costs_the_same_with_ten_times_the_machines_and_a_start_ten_times_as_much() {
    let (few, many) = (cost(1_000).await, cost(10_000).await);
    assert!(
        many.0 < few.0 * 12,
        "start: {} bytes with 1,000 machines, {} with 10,000",
        few.0,
        many.0
    );
    assert!(
        many.1 < few.1 * 3 / 2,
        "{CHANGES} changes: {} bytes with 1,000 machines, {} with 10,000",
        few.1,
        many.1
    );
}
