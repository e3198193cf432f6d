//! The nodes of one cluster: listed once, and watched from then on.
//!
//! Who asks gets what the watch has shown so far, without a request. A watch that has ended, for whatever reason, is followed
//! by a list when somebody asks again, so an API that is silent is not hidden. Invariant: what is given was the state of the
//! cluster at a moment since the last list or, while the watch goes on, at most the client's read timeout ago.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::StreamExt as _;
use k8s_openapi::api::core::v1::Node;
use kube::api::{Api, ListParams, WatchEvent, WatchParams};
use kube::{Client, ResourceExt as _};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::node_view::NodeView;
use crate::access::version;

/// Nodes in one answer of a list.
const PAGE: u32 = 500;
/// After how many seconds the API server ends a watch; the next one goes on where it ended.
const WATCH: u32 = 290;
/// A watch that ends sooner is not begun again at once.
const SHORTEST: Duration = Duration::from_secs(1);

/// Nodes by name, each with its resource version.
type Known = Arc<Mutex<BTreeMap<String, (u64, NodeView)>>>;

pub(super) struct NodeWatch {
    /// For lists.
    client: Client,
    /// For watches.
    watching: Client,
    known: Known,
    /// One caller lists at a time.
    task: tokio::sync::Mutex<Option<Watching>>,
}

/// A watch that goes on until this is dropped.
struct Watching(JoinHandle<()>);

impl Drop for Watching {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl NodeWatch {
    /// `watching` is for watches: its read timeout is how long one may be quiet.
    pub(super) fn new(client: Client, watching: Client) -> Self {
        Self {
            client,
            watching,
            known: Known::default(),
            task: tokio::sync::Mutex::default(),
        }
    }

    /// The nodes.
    ///
    /// # Errors
    /// When no watch goes on and the API does not answer.
    pub(super) async fn nodes(&self) -> Result<Vec<NodeView>, kube::Error> {
        let mut task = self.task.lock().await;
        if task.as_ref().is_none_or(|task| task.0.is_finished()) {
            *task = None;
            let from = self.list().await?;
            let api = Api::all(self.watching.clone());
            let known = Arc::clone(&self.known);
            *task = Some(Watching(tokio::spawn(follow(api, known, from))));
        }
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(known.values().map(|(_, node)| node.clone()).collect())
    }

    /// Lists them page by page. Tells from which version on they are to be watched.
    async fn list(&self) -> Result<String, kube::Error> {
        let api: Api<Node> = Api::all(self.client.clone());
        let mut params = ListParams::default().limit(PAGE);
        let mut found = BTreeMap::new();
        loop {
            let page = api.list(&params).await?;
            found.extend(page.items.iter().map(entry));
            match page.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => params.continue_token = Some(token),
                None => {
                    *self.known.lock().unwrap_or_else(PoisonError::into_inner) = found;
                    return Ok(page.metadata.resource_version.unwrap_or_default());
                }
            }
        }
    }

    /// Our own write of a node, which the watch shows a little later.
    pub(super) fn note(&self, node: &Node) {
        put(&self.known, node);
    }

    /// We have deleted a node, which the watch shows a little later.
    pub(super) fn note_gone(&self, name: &str) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.remove(name);
    }
}

fn entry(node: &Node) -> (String, (u64, NodeView)) {
    (node.name_any(), (version(node), NodeView::of(node)))
}

/// Takes a node, unless a newer one of that name is known.
fn put(known: &Known, node: &Node) {
    let (name, (version, view)) = entry(node);
    let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
    if known.get(&name).is_none_or(|(newest, _)| *newest <= version) {
        known.insert(name, (version, view));
    }
}

/// Keeps the nodes current until a watch fails.
async fn follow(api: Api<Node>, known: Known, mut from: String) {
    loop {
        let began = Instant::now();
        let params = WatchParams::default().timeout(WATCH);
        let Ok(events) = api.watch(&params, &from).await else {
            return;
        };
        let mut events = pin!(events);
        while let Some(event) = events.next().await {
            match event {
                Ok(WatchEvent::Added(node) | WatchEvent::Modified(node)) => {
                    put(&known, &node);
                    from = node.resource_version().unwrap_or(from);
                }
                Ok(WatchEvent::Deleted(node)) => {
                    let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
                    known.remove(&node.name_any());
                    from = node.resource_version().unwrap_or(from);
                }
                Ok(WatchEvent::Bookmark(mark)) => from = mark.metadata.resource_version,
                // Such as a version that is too old to go on from.
                Ok(WatchEvent::Error(_)) | Err(_) => return,
            }
        }
        if began.elapsed() < SHORTEST {
            return;
        }
    }
}

#[cfg(test)]
mod tests;
