//! watch: initial state where asked for, then every change in order, until the client, the time or the server ends it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::stream;
use http::{Response, StatusCode};
use serde_json::{Value, json};
use tokio::sync::watch::Receiver;
use tokio::time::{Instant, Interval, interval_at};

use super::read::{Selection, select};
use crate::kinds::Registry;
use crate::service::Call;
use crate::status::ApiError;
use crate::storage::{Change, ChangeKind, Stored};
use crate::wire::body::Body;
use crate::wire::negotiate::{self, View, partial};
use crate::wire::table::{Include, table};

/// A bookmark when nothing else was said for so long.
const BOOKMARK: Duration = Duration::from_secs(60);
/// Longest life of a watch whose client sets none.
const LONGEST: Duration = Duration::from_secs(45 * 60);

struct Watcher {
    call: Call,
    selection: Selection,
    changed: Receiver<u64>,
    kinds: Receiver<Arc<Registry>>,
    since: u64,
    ready: VecDeque<Bytes>,
    bookmarks: Interval,
    deadline: Instant,
    ended: bool,
    columns_sent: bool,
}

/// GET with `watch=true`.
pub(crate) fn watch(mut call: Call) -> Result<Response<Body>, ApiError> {
    let selection = Selection::parse(&call)?;
    let changed = call.core.storage.subscribe(&call.found.kind.resource);
    let mut kinds = call.core.subscribe_kinds();
    // They may have changed since the request was routed.
    kinds.mark_changed();
    let given = call.query.resource_version.clone();
    let mut initial = Vec::new();
    let since: u64;
    if given.is_empty() || given == "0" || call.query.send_initial_events {
        let snapshot = select(&call, &selection);
        since = snapshot.version;
        initial = snapshot.objects;
    } else {
        since = given
            .parse()
            .map_err(|_| ApiError::bad_request(format!("invalid resource version {given:?}")))?;
        if let Err(expired) = call.core.storage.changes(&call.found.kind.resource, since) {
            return Err(too_old(since, expired.oldest));
        }
    }
    let timeout = call.query.timeout.unwrap_or(LONGEST);
    let warnings = std::mem::take(&mut call.warnings);
    let mut watcher = Watcher {
        selection,
        changed,
        kinds,
        since,
        ready: VecDeque::new(),
        bookmarks: interval_at(Instant::now() + BOOKMARK, BOOKMARK),
        deadline: Instant::now() + timeout,
        ended: false,
        columns_sent: false,
        call,
    };
    for object in &initial {
        let stored_in = object.api_version();
        let line = watcher.line("ADDED", object.version, stored_in, object.json(), |show| {
            show(&object.value());
        });
        watcher.ready.push_back(line);
    }
    if watcher.call.query.send_initial_events {
        let line = watcher.bookmark(true);
        watcher.ready.push_back(line);
    }
    let stream = stream::unfold(watcher, |mut watcher| async move {
        watcher.next().await.map(|bytes| (bytes, watcher))
    });
    let mut response = negotiate::with_type(StatusCode::OK, "application/json", Body::stream(stream));
    negotiate::add_warnings(&mut response, &warnings);
    Ok(response)
}

fn too_old(since: u64, oldest: u64) -> ApiError {
    ApiError::expired(format!("too old resource version: {since} ({oldest})"))
}

impl Watcher {
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some(bytes) = self.drain() {
                return Some(bytes);
            }
            if self.ended {
                return None;
            }
            self.collect().await;
            if !self.ready.is_empty() || self.ended {
                continue;
            }
            let (shutdown, connection) = (self.call.core.shutdown.clone(), self.call.connection.clone());
            tokio::select! {
                changed = self.changed.changed() => self.ended = changed.is_err(),
                changed = self.kinds.changed() => if changed.is_err() || !self.is_served() {
                    // The client hears of the last deletions before the end.
                    self.collect().await;
                    self.ended = true;
                },
                _ = self.bookmarks.tick(), if self.call.query.allow_bookmarks && self.call.view != View::Table => {
                    // A bookmark of the newest version lets a client resume long after.
                    self.collect().await;
                    let line = self.bookmark(false);
                    self.ready.push_back(line);
                }
                () = tokio::time::sleep_until(self.deadline) => self.ended = true,
                () = shutdown.cancelled() => self.ended = true,
                () = connection.cancelled() => self.ended = true,
            }
        }
    }

    /// The kind is served as it was when the watch began.
    fn is_served(&mut self) -> bool {
        let target = &self.call.target;
        let kinds = self.kinds.borrow_and_update();
        let found = kinds.find(&target.group, &target.version, &target.plural);
        found.is_some_and(|found| Arc::ptr_eq(&found.kind, &self.call.found.kind))
    }

    /// All lines that are ready, as one piece.
    fn drain(&mut self) -> Option<Bytes> {
        match self.ready.len() {
            0 => None,
            1 => self.ready.pop_front(),
            _ => {
                let mut all = Vec::with_capacity(self.ready.iter().map(Bytes::len).sum());
                self.ready.drain(..).for_each(|line| all.extend_from_slice(&line));
                Some(all.into())
            }
        }
    }

    /// Takes in what changed since the last look.
    async fn collect(&mut self) {
        self.changed.mark_unchanged();
        let storage = self.call.core.storage.clone();
        match storage.changes(&self.call.found.kind.resource, self.since) {
            Ok((changes, upto)) => {
                for change in changes {
                    if !self.is_in_namespace(&change) {
                        continue;
                    }
                    let line = match &change.state {
                        Some(state) => self.event(&change, state),
                        None => match storage.read_back(&change).await {
                            Ok(Some(Change {
                                state: Some(state), ..
                            })) => self.event(&change, &state),
                            // The deletion was forgotten meanwhile, or its object cannot be read.
                            Ok(_) | Err(_) => return self.expire(change.version),
                        },
                    };
                    self.ready.extend(line);
                }
                self.since = upto;
            }
            Err(expired) => self.expire(expired.oldest),
        }
    }

    /// Ends the watch: its client has to list again.
    fn expire(&mut self, oldest: u64) {
        let status = too_old(self.since, oldest).to_status();
        let line = format!("{}\n", json!({"type": "ERROR", "object": status}));
        self.ready.push_back(line.into());
        self.ended = true;
    }

    fn is_in_namespace(&self, change: &Change) -> bool {
        let namespace = self.call.target.namespace.as_ref();
        namespace.is_none_or(|ns| *ns == change.key.namespace)
    }

    /// The line for a change as this watch sees it through its selectors.
    fn event(&mut self, change: &Change, state: &Stored) -> Option<Bytes> {
        let now = self.selection.selects(state);
        // Without knowledge of the state before, a client rather hears of a deletion too many.
        let before = change
            .before
            .as_ref()
            .is_none_or(|before| self.selection.selects(before));
        let kind = match (change.kind, before, now) {
            (ChangeKind::Added, _, true) | (ChangeKind::Modified, false, true) => "ADDED",
            (ChangeKind::Modified, true, true) => "MODIFIED",
            (ChangeKind::Modified, true, false) if !self.selection.is_everything() => "DELETED",
            (ChangeKind::Deleted, true, _) | (ChangeKind::Deleted, _, true) => "DELETED",
            _ => return None,
        };
        let (stored_in, json) = (state.api_version(), state.json());
        Some(self.line(kind, change.version, stored_in, json, |show| {
            show(&state.value());
        }))
    }

    /// One event of an object that is stored in an `apiVersion`; `with` lends the object to those views that need more
    /// than its JSON.
    fn line(
        &mut self,
        kind: &str,
        version: u64,
        stored_in: &str,
        json: Bytes,
        with: impl FnOnce(&mut dyn FnMut(&Value)),
    ) -> Bytes {
        let (found, served) = (&self.call.found, self.call.found.version());
        let mut line = format!("{{\"type\":\"{kind}\",\"object\":").into_bytes();
        let mut text = String::new();
        match self.call.view {
            View::Full | View::Discovery if found.kind.is_stored_in(&found.api_version(), stored_in) => {
                line.extend_from_slice(&json);
            }
            View::Full | View::Discovery => {
                with(&mut |object| text = found.kind.view_of(&served.name, object).to_string());
            }
            View::Metadata => with(&mut |object| text = partial(object).to_string()),
            View::Table => {
                let metadata = json!({"resourceVersion": version.to_string()});
                let include = Include::parse(&self.call.query.include_object);
                let first = !std::mem::replace(&mut self.columns_sent, true);
                let now = jiff::Timestamp::now();
                with(&mut |object| {
                    let rows = [object];
                    text = table(&served.columns, &rows, metadata.clone(), include, first, now).to_string();
                });
            }
        }
        line.extend_from_slice(text.as_bytes());
        line.extend_from_slice(b"}\n");
        line.into()
    }

    fn bookmark(&self, initial_end: bool) -> Bytes {
        let kind = &self.call.found.kind;
        let mut metadata = json!({"resourceVersion": self.since.to_string(), "creationTimestamp": null});
        if initial_end {
            metadata["annotations"] = json!({"k8s.io/initial-events-end": "true"});
        }
        let object: Value = match self.call.view {
            View::Table => json!({"kind": "Table", "apiVersion": "meta.k8s.io/v1", "columnDefinitions": [],
                "rows": [], "metadata": metadata}),
            View::Metadata => {
                json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": metadata})
            }
            _ => {
                json!({"kind": kind.kind, "apiVersion": self.call.found.api_version(), "metadata": metadata})
            }
        };
        format!("{}\n", json!({"type": "BOOKMARK", "object": object})).into()
    }
}
