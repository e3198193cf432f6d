use std::collections::VecDeque;
use std::convert::Infallible;

use bytes::Bytes;
use futures::FutureExt as _;
use http::{Request, Response};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use kube::client::Body;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::*;

type Stream = UnsyncBoxBody<Bytes, Infallible>;

/// An API of which a test writes the answers: each watch goes on until the test drops its sender.
#[derive(Clone, Default)]
struct Played(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    lists: VecDeque<Value>,
    watches: Vec<mpsc::UnboundedSender<Value>>,
    asked: Vec<String>,
    silent: bool,
}

impl Played {
    fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        act(&mut self.0.lock().unwrap())
    }

    fn answer(
        &self,
        request: &Request<Body>,
    ) -> Result<Response<Stream>, Box<dyn std::error::Error + Send + Sync>> {
        let query = request.uri().query().unwrap_or_default().to_owned();
        self.with(|state| {
            state.asked.push(query.clone());
            if state.silent {
                return Err("connection refused".into());
            }
            if !query.contains("watch=true") {
                let list = state.lists.pop_front().expect("no list was to be asked for");
                let list = Full::from(serde_json::to_vec(&list).unwrap());
                return Ok(Response::new(list.boxed_unsync()));
            }
            let (sender, receiver) = mpsc::unbounded_channel::<Value>();
            state.watches.push(sender);
            let lines = futures::stream::unfold(receiver, |mut receiver| async move {
                let event = receiver.recv().await?;
                let line = format!("{event}\n");
                Some((
                    Ok::<_, Infallible>(http_body::Frame::data(Bytes::from(line))),
                    receiver,
                ))
            });
            Ok(Response::new(StreamBody::new(lines).boxed_unsync()))
        })
    }

    fn client(&self) -> Client {
        let played = self.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            std::future::ready(played.answer(&request)).boxed()
        });
        Client::new(service, "default")
    }

    fn watch(&self) -> NodeWatch {
        NodeWatch::new(self.client(), self.client())
    }

    fn send(&self, kind: &str, object: Value) {
        self.with(|state| {
            let watch = state.watches.last().unwrap();
            watch.send(json!({ "type": kind, "object": object })).unwrap();
        });
    }

    /// The queries since this was asked last.
    fn asked(&self) -> Vec<String> {
        self.with(|state| std::mem::take(&mut state.asked))
    }
}

fn node(name: &str, version: u32, label: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Node",
        "metadata": { "name": name, "resourceVersion": version.to_string(), "labels": { "at": label } },
    })
}

fn list(version: u32, more: &str, nodes: &[Value]) -> Value {
    json!({
        "apiVersion": "v1", "kind": "NodeList",
        "metadata": { "resourceVersion": version.to_string(), "continue": more }, "items": nodes,
    })
}

async fn labels(watch: &NodeWatch) -> Vec<(String, String)> {
    let nodes = watch.nodes().await.unwrap();
    let label = |node: NodeView| (node.name, node.labels["at"].clone());
    nodes.into_iter().map(label).collect()
}

/// Waits until the nodes are these, by name and label.
async fn becomes(watch: &NodeWatch, wanted: &[(&str, &str)]) {
    let wanted: Vec<_> = wanted
        .iter()
        .map(|(name, label)| ((*name).to_owned(), (*label).to_owned()))
        .collect();
    for _ in 0..10_000 {
        if labels(watch).await == wanted {
            return;
        }
        tokio::task::yield_now().await;
    }
    assert_eq!(labels(watch).await, wanted);
}

/// Waits until so many watches have begun.
async fn watches(played: &Played, count: usize) {
    for _ in 0..10_000 {
        if played.with(|state| state.watches.len()) == count {
            return;
        }
        tokio::task::yield_now().await;
    }
    panic!("{} watches", played.with(|state| state.watches.len()));
}

async fn begun() -> (Played, NodeWatch) {
    let played = Played::default();
    let lists = [
        list(10, "more", &[node("a", 3, "1")]),
        list(10, "", &[node("b", 7, "1")]),
    ];
    played.with(|state| state.lists.extend(lists));
    let watch = played.watch();
    becomes(&watch, &[("a", "1"), ("b", "1")]).await;
    watches(&played, 1).await;
    (played, watch)
}

#[tokio::test]
async fn nodes_are_listed_once_page_by_page_and_then_watched() {
    let (played, watch) = begun().await;
    let asked = played.asked();
    assert_eq!(asked.len(), 3, "{asked:?}");
    assert!(
        asked[0].contains("limit=500") && asked[1].contains("continue=more"),
        "{asked:?}"
    );
    assert!(
        asked[2].contains("watch=true") && asked[2].contains("resourceVersion=10"),
        "{asked:?}"
    );
    played.send("MODIFIED", node("a", 11, "2"));
    played.send("DELETED", node("b", 12, "1"));
    played.send("ADDED", node("c", 13, "1"));
    becomes(&watch, &[("a", "2"), ("c", "1")]).await;
    assert_eq!(played.asked(), [""; 0], "nobody asks while a watch goes on");
}

#[tokio::test]
async fn our_own_writes_are_seen_at_once_and_nothing_older_after_them() {
    let (played, watch) = begun().await;
    watch.note(&serde_json::from_value(node("a", 20, "ours")).unwrap());
    assert_eq!(labels(&watch).await[0].1, "ours");
    played.send("MODIFIED", node("a", 15, "older"));
    played.send("MODIFIED", node("b", 16, "2"));
    becomes(&watch, &[("a", "ours"), ("b", "2")]).await;
    watch.note_gone("a");
    assert_eq!(labels(&watch).await.len(), 1);
}

#[tokio::test]
async fn a_watch_that_fails_is_followed_by_a_list_and_silence_is_told() {
    for fault in [
        Some(
            json!({ "kind": "Status", "code": 410, "reason": "Expired", "message": "too old resource version" }),
        ),
        None,
    ] {
        let (played, watch) = begun().await;
        played.asked();
        match fault {
            Some(status) => played.send("ERROR", status),
            None => played.with(|state| state.watches.clear()),
        }
        played.with(|state| state.lists.push_back(list(30, "", &[node("d", 21, "1")])));
        becomes(&watch, &[("d", "1")]).await;
        played.with(|state| {
            state.silent = true;
            state.watches.clear();
        });
        let mut answers = watch.nodes().await;
        for _ in 0..10_000 {
            if answers.is_err() {
                break;
            }
            tokio::task::yield_now().await;
            answers = watch.nodes().await;
        }
        assert!(answers.is_err(), "{answers:?}");
    }
}
