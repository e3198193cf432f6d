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

use super::form::Form;
use super::read::{Selection, select};
use crate::call::Call;
use crate::kinds::Registry;
use crate::status::ApiError;
use crate::storage::{Change, ChangeKind, Stored};
use crate::wire::body::Body;
use crate::wire::negotiate::{self, View};
use crate::wire::table::{Include, table};

/// A bookmark when nothing else was said for so long.
const BOOKMARK: Duration = Duration::from_secs(60);
/// Longest life of a watch whose client sets none.
const LONGEST: Duration = Duration::from_secs(45 * 60);

/// Lines are written in pieces of about so many bytes, each when the client has taken the one before.
const PIECE: usize = 64 * 1024;

struct Watcher {
    call: Call,
    form: Form,
    selection: Selection,
    changed: Receiver<u64>,
    kinds: Receiver<Arc<Registry>>,
    /// The initial state, as far as it is still to be written.
    initial: std::vec::IntoIter<Arc<Stored>>,
    /// The bookmark at the end of the initial state is still to be written.
    marks_initial_end: bool,
    /// Changes that are still to be written.
    pending: VecDeque<Arc<Change>>,
    /// Everything up to this version is written or pending.
    since: u64,
    /// The next piece.
    ready: Vec<u8>,
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
    let watcher = Watcher {
        form: call.form(),
        selection,
        changed,
        kinds,
        initial: initial.into_iter(),
        marks_initial_end: call.query.send_initial_events,
        pending: VecDeque::new(),
        since,
        ready: Vec::new(),
        bookmarks: interval_at(Instant::now() + BOOKMARK, BOOKMARK),
        deadline: Instant::now() + timeout,
        ended: false,
        columns_sent: false,
        call,
    };
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
            self.write().await;
            if !self.ready.is_empty() {
                return Some(std::mem::take(&mut self.ready).into());
            }
            if self.ended {
                return None;
            }
            self.collect();
            if self.has_more() || self.ended {
                continue;
            }
            let (shutdown, connection) = (self.call.core.shutdown.clone(), self.call.connection.clone());
            tokio::select! {
                changed = self.changed.changed() => self.ended = changed.is_err(),
                changed = self.kinds.changed() => if changed.is_err() || !self.is_served() {
                    // The client hears of the last deletions before the end.
                    self.collect();
                    self.ended = true;
                },
                _ = self.bookmarks.tick(), if self.call.query.allow_bookmarks && self.call.view != View::Table => {
                    // A bookmark of the newest version lets a client resume long after.
                    self.collect();
                    if !self.has_more() && !self.ended {
                        self.bookmark(false);
                    }
                }
                () = tokio::time::sleep_until(self.deadline) => self.ended = true,
                () = shutdown.cancelled() => self.ended = true,
                () = connection.cancelled() => self.ended = true,
            }
        }
    }

    fn has_more(&self) -> bool {
        !self.ready.is_empty() || !self.pending.is_empty()
    }

    /// The kind is served as it was when the watch began.
    fn is_served(&mut self) -> bool {
        let target = &self.call.target;
        let kinds = self.kinds.borrow_and_update();
        let found = kinds.find(&target.group, &target.version, &target.plural);
        found.is_some_and(|found| Arc::ptr_eq(&found.kind, &self.call.found.kind))
    }

    /// Writes the next lines until they are a piece: the initial state first, then what changed.
    async fn write(&mut self) {
        while self.ready.len() < PIECE {
            if let Some(object) = self.initial.next() {
                self.line("ADDED", object.version, &object);
            } else if std::mem::take(&mut self.marks_initial_end) {
                self.bookmark(true);
            } else if let Some(change) = self.pending.pop_front() {
                self.change(&change).await;
            } else {
                return;
            }
        }
    }

    async fn change(&mut self, change: &Change) {
        if !self.is_in_namespace(change) {
            return;
        }
        if let Some(state) = &change.state {
            return self.event(change, state);
        }
        let read = self.call.core.storage.read_back(change).await;
        match read.ok().flatten().and_then(|change| change.state) {
            Some(state) => self.event(change, &state),
            // The deletion was forgotten meanwhile, or its object cannot be read.
            None => self.expire(change.version),
        }
    }

    /// Takes in what changed since the last look.
    fn collect(&mut self) {
        self.changed.mark_unchanged();
        let storage = &self.call.core.storage;
        match storage.changes(&self.call.found.kind.resource, self.since) {
            Ok((changes, upto)) => {
                self.pending.extend(changes);
                self.since = upto;
            }
            Err(expired) => self.expire(expired.oldest),
        }
    }

    /// Ends the watch: its client has to list again.
    fn expire(&mut self, oldest: u64) {
        let status = too_old(self.since, oldest).to_status();
        let line = format!("{}\n", json!({"type": "ERROR", "object": status}));
        self.ready.extend_from_slice(line.as_bytes());
        self.pending.clear();
        self.ended = true;
    }

    fn is_in_namespace(&self, change: &Change) -> bool {
        let namespace = self.call.target.namespace.as_ref();
        namespace.is_none_or(|ns| *ns == change.key.namespace)
    }

    /// Writes the line for a change as this watch sees it through its selectors.
    fn event(&mut self, change: &Change, state: &Stored) {
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
            _ => return,
        };
        self.line(kind, change.version, state);
    }

    /// Writes one event of an object.
    fn line(&mut self, kind: &str, version: u64, object: &Stored) {
        self.ready
            .extend_from_slice(format!("{{\"type\":\"{kind}\",\"object\":").as_bytes());
        if self.call.view == View::Table {
            let metadata = json!({"resourceVersion": version.to_string()});
            let include = Include::parse(&self.call.query.include_object);
            let first = !std::mem::replace(&mut self.columns_sent, true);
            let columns = &self.call.found.version().columns;
            let now = jiff::Timestamp::now();
            let text = table(columns, &[&object.value()], metadata, include, first, now).to_string();
            self.ready.extend_from_slice(text.as_bytes());
        } else {
            self.form.write(object, &mut self.ready);
        }
        self.ready.extend_from_slice(b"}\n");
    }

    fn bookmark(&mut self, initial_end: bool) {
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
        let line = format!("{}\n", json!({"type": "BOOKMARK", "object": object}));
        self.ready.extend_from_slice(line.as_bytes());
    }
}
