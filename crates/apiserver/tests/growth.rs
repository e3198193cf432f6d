//! What a start costs and what is held grow as the objects do, and what a request costs does not: counted in allocated bytes.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test ends by panicking, and shows what it has counted"
)]

use std::time::Duration;

use futures::{StreamExt as _, TryStreamExt as _, stream};
use kube::ResourceExt as _;
use kube::api::{ListParams, WatchEvent, WatchParams};
use resources::gantry::Server;
use serde_json::json;
use sim::{CountingAllocator, HoldingAllocator, Site, count_held_bytes, held_bytes};

#[global_allocator]
static ALLOCATOR: HoldingAllocator<CountingAllocator> = HoldingAllocator(CountingAllocator);

const NAMESPACE: &str = "eksa-system";
/// Times that each request is repeated.
const TIMES: usize = 20;
/// Bytes that an object may take beside its JSON without `metadata.managedFields`.
const BESIDE: usize = 400;
/// Between two looks at what is held, and for how long it may change after a start.
const LOOK: Duration = Duration::from_millis(50);
const PATIENCE: Duration = Duration::from_secs(60);

/// Bytes that were allocated.
#[derive(Debug)]
struct Cost {
    /// For a start, above that on an empty database.
    start: u64,
    /// Held after a start, beside the JSON of the objects.
    held: i64,
    /// For changes, each of which a watch hears.
    change: u64,
    /// For lookups by a field.
    lookup: u64,
    /// For pages from the middle of the list.
    page: u64,
}

fn server(number: usize) -> serde_json::Value {
    json!({
        "apiVersion": "gantry.dev/v1alpha1", "kind": "Server", "metadata": {"name": format!("s-{number:05}")},
        "spec": {"machineId": format!("m-{number:05}"), "hardware": format!("s-{number:05}")}
    })
}

/// Bytes that are held once they no longer change.
async fn held() -> i64 {
    let rest = async {
        loop {
            let before = held_bytes();
            tokio::time::sleep(LOOK).await;
            if held_bytes() == before {
                return before;
            }
        }
    };
    let at_rest = tokio::time::timeout(PATIENCE, rest).await;
    at_rest.expect("what is held changes and changes")
}

/// Bytes for a start on a database with so many servers, and those that are held then.
async fn start(servers: usize) -> (Site, u64, i64) {
    let site = Site::start(NAMESPACE).await;
    let make = |number| {
        let site = &site;
        async move { drop(site.make::<Server>(server(number)).await) }
    };
    stream::iter(0..servers).for_each_concurrent(64, make).await;
    let scratch = site.end().await;
    let (before, held_before) = (CountingAllocator::allocated(), held().await);
    let site = Site::on(scratch, NAMESPACE).await;
    let started = CountingAllocator::allocated() - before;
    (site, started, held().await - held_before)
}

async fn cost(servers: usize, (empty, held_empty): (u64, i64)) -> Cost {
    let (site, start, held) = start(servers).await;
    let begin = CountingAllocator::allocated;
    let mut before;
    let api = site.api::<Server>();
    let json = serde_json::to_string(&api.get("s-00000").await.unwrap()).unwrap();
    let json = i64::try_from(json.len() * servers).unwrap();
    let newest = api.list(&ListParams::default().limit(1)).await.unwrap().metadata;
    let newest = newest.resource_version.unwrap();
    let events = api.watch(&WatchParams::default(), &newest).await.unwrap();
    let mut events = events.boxed();
    let lookup = |number: usize| {
        let (api, fields) = (&api, format!("spec.machineId=m-{number:05}"));
        async move {
            let found = api.list(&ListParams::default().fields(&fields)).await.unwrap();
            assert_eq!(found.items[0].name_any(), format!("s-{number:05}"));
        }
    };
    // The first lookup makes the index.
    lookup(0).await;
    before = begin();
    for number in 0..TIMES {
        let name = format!("s-{number:05}");
        site.merge::<Server>(&name, json!({"spec": {"postMinutes": 7}}))
            .await;
        match events.try_next().await.unwrap().unwrap() {
            WatchEvent::Modified(found) => assert_eq!(found.name_any(), name),
            other => panic!("{other:?}"),
        }
    }
    let change = begin() - before;
    before = begin();
    for number in 0..TIMES {
        lookup(number).await;
    }
    let looked_up = begin() - before;
    let first = api.list(&ListParams::default().limit(100)).await.unwrap();
    let mut next = first.metadata.continue_.unwrap();
    before = begin();
    for _ in 0..TIMES / 4 {
        let page = ListParams::default().limit(100).continue_token(&next);
        let page = api.list(&page).await.unwrap();
        assert_eq!(page.items.len(), 100);
        next = page.metadata.continue_.unwrap();
    }
    let page = begin() - before;
    drop((events, api));
    site.end().await;
    Cost {
        start: start - empty,
        held: held - held_empty - json,
        change,
        lookup: looked_up,
        page,
    }
}

#[tokio::test]
async fn a_request_costs_the_same_with_ten_times_the_objects_and_a_start_ten_times_as_much() {
    count_held_bytes();
    let (site, empty, held) = start(0).await;
    site.end().await;
    let empty = (empty, held);
    let (few, many) = (cost(1_000, empty).await, cost(10_000, empty).await);
    println!("with 1,000 servers {few:?}, with 10,000 {many:?}");
    let each = usize::try_from(many.held - few.held).unwrap() / 9_000;
    println!("{each} bytes are held for each server beside its JSON");
    assert!(each < BESIDE, "{each} bytes for each object beside its JSON");
    for (what, few, many, times) in [
        ("start", few.start, many.start, 12.0),
        ("change", few.change, many.change, 1.5),
        ("lookup", few.lookup, many.lookup, 1.5),
        ("page", few.page, many.page, 1.5),
    ] {
        assert!(few > 0, "{what}: nothing was counted");
        #[allow(clippy::cast_precision_loss, reason = "a ratio")]
        let ratio = many as f64 / few as f64;
        assert!(
            ratio < times,
            "{what}: {few} bytes with 1,000 servers, {many} with 10,000"
        );
    }
}
