//! The gate of a listener: gives places, takes them away, and says so in metrics, log and records.

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::metrics;
use crate::notices::{Notice, Notices};
use crate::table::{Class, Reason, Shares, Table, Verdict};
use crate::turns::Turns;

type Known = dyn Fn(IpAddr) -> bool + Send + Sync;
type Heard = dyn Fn(Notice) + Send + Sync;

/// The places of a listener, or of several that share them. Clones are the same gate.
#[derive(Clone)]
pub struct Gate(Arc<Inner>);

struct Inner {
    /// Value of the metric label `listener`.
    listener: &'static str,
    start: Instant,
    known: Box<Known>,
    heard: Box<Heard>,
    state: Mutex<State>,
    turns: Turns,
}

#[derive(Debug)]
struct State {
    table: Table,
    notices: Notices,
    /// Who waits for the eviction of which number.
    evictions: HashMap<u64, CancellationToken>,
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gate")
            .field("listener", &self.0.listener)
            .finish_non_exhaustive()
    }
}

impl Gate {
    /// A gate where `known` says which addresses belong to known peers. `heard` gets the notices about refusals and
    /// evictions, at most one a minute for an address and a reason.
    pub fn new(
        listener: &'static str,
        shares: Shares,
        known: impl Fn(IpAddr) -> bool + Send + Sync + 'static,
        heard: impl Fn(Notice) + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(Inner {
            listener,
            start: Instant::now(),
            known: Box::new(known),
            heard: Box::new(heard),
            state: Mutex::new(State {
                table: Table::new(shares),
                notices: Notices::default(),
                evictions: HashMap::new(),
            }),
            turns: Turns::default(),
        }))
    }

    /// A place for a peer, if there is one.
    #[must_use]
    pub fn enter(&self, address: IpAddr) -> Option<Place> {
        let class = if (self.0.known)(address.to_canonical()) {
            Class::Known
        } else {
            Class::Stranger
        };
        let activity = Arc::new(AtomicU64::new(self.0.milliseconds()));
        let evicted = CancellationToken::new();
        let (place, happened) = {
            let mut state = self.0.lock();
            let now = self.0.milliseconds();
            match state.table.enter(address, class, activity.clone(), now) {
                Verdict::Refused(reason) => (None, Some((address, reason))),
                Verdict::Admitted { id, victim } => {
                    if let Some(token) = victim.and_then(|victim| state.evictions.remove(&victim.id)) {
                        token.cancel();
                    }
                    state.evictions.insert(id, evicted.clone());
                    let place = Place {
                        gate: self.clone(),
                        id,
                        activity,
                        evicted,
                        known: AtomicBool::new(class == Class::Known),
                    };
                    (Some(place), victim.map(|victim| (victim.address, victim.reason)))
                }
            }
        };
        if let Some((address, reason)) = happened {
            self.say(address, reason);
        }
        place
    }

    /// Places that are taken: by strangers, and in all.
    #[must_use]
    pub fn taken(&self) -> (usize, usize) {
        self.0.lock().table.taken()
    }

    /// Name of the listener in metrics and logs.
    #[must_use]
    pub fn listener(&self) -> &'static str {
        self.0.listener
    }

    fn say(&self, address: IpAddr, reason: Reason) {
        let listener = self.0.listener;
        metrics::refused_or_evicted(listener, reason);
        let notice = self.0.lock().notices.count(address, reason, Instant::now());
        if let Some(notice) = notice {
            let peer = notice.address.map(|address| address.to_string());
            tracing::warn!(
                listener,
                peer = peer.as_deref().unwrap_or("many addresses"),
                count = notice.count,
                reason = notice.reason.text(),
                "connections turned away"
            );
            (self.0.heard)(notice);
        }
    }
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn milliseconds(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

/// A place; dropping it gives it back.
#[derive(Debug)]
pub struct Place {
    gate: Gate,
    id: u64,
    activity: Arc<AtomicU64>,
    evicted: CancellationToken,
    /// Whether the peer counts as known.
    known: AtomicBool,
}

impl Place {
    /// Something moved: this connection is not the first to go.
    pub fn touch(&self) {
        self.activity.store(self.gate.0.milliseconds(), Ordering::Relaxed);
    }

    /// Waits until somebody else needs the place; then the connection has to be closed at once.
    pub async fn evicted(&self) {
        self.evicted.cancelled().await;
    }

    /// The peer has proved who it is: it no longer counts as a stranger.
    pub fn vouch(&self) {
        if !self.known.swap(true, Ordering::Relaxed) {
            self.gate.0.lock().table.vouch(self.id);
        }
    }

    /// Whether the peer counts as known.
    #[must_use]
    pub fn is_known(&self) -> bool {
        self.known.load(Ordering::Relaxed)
    }

    /// The peer at `address` did not get through its TLS handshake.
    pub(crate) fn handshake_failed(&self, address: IpAddr) {
        self.gate.say(address, Reason::Handshake);
    }

    /// The turns in which the connections of this gate send what is large.
    pub(crate) fn turns(&self) -> &Turns {
        &self.gate.0.turns
    }

    /// Name of the listener in metrics and logs.
    pub(crate) fn listener(&self) -> &'static str {
        self.gate.listener()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.gate.0.lock();
        state.evictions.remove(&self.id);
        state.table.leave(self.id);
    }
}

/// Lets a service say that a connection's peer has proved who it is.
#[derive(Debug, Clone)]
pub struct Voucher(pub(crate) Weak<Place>);

impl Voucher {
    /// From now on the peer counts as known.
    pub fn vouch(&self) {
        if let Some(place) = self.0.upgrade() {
            place.vouch();
        }
    }
}
