//! The pace of one connection: what is open, what moved last, and what that means at a moment. Pure but for its lock.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;

use crate::limits::Limits;

/// A write of so many bytes is content; less may be an answer to a ping.
const CONTENT: usize = 1024;

/// Why a connection ends before its peer ends it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Overdue {
    /// No complete request came: cut off.
    NoRequest,
    /// The peer does not take what is waiting for it: cut off.
    Stalled,
    /// No request for long: asked to end.
    Idle,
    /// A stranger's connection is old: asked to end.
    Old,
}

impl Overdue {
    /// Value of the metric label `reason`.
    pub(crate) const fn label(self) -> &'static str {
        match self {
            Self::NoRequest => "no-request",
            Self::Stalled => "stalled",
            Self::Idle => "idle",
            Self::Old => "old",
        }
    }
}

#[derive(Debug, Clone, Copy)]
struct State {
    opened: Instant,
    /// Requests whose head was read.
    requests: u64,
    /// Those of them whose response is not written yet.
    open: u32,
    /// Since when no request is open.
    idle: Instant,
    /// When content was written last.
    content: Instant,
    /// Since when a write waits for the peer.
    blocked: Option<Instant>,
}

#[derive(Debug)]
pub(crate) struct Pace(Mutex<State>);

impl Pace {
    pub(crate) fn new(now: Instant) -> Self {
        Self(Mutex::new(State {
            opened: now,
            requests: 0,
            open: 0,
            idle: now,
            content: now,
            blocked: None,
        }))
    }

    /// A request's head was read; it is open until the returned value is dropped.
    pub(crate) fn request(pace: &Arc<Self>) -> OpenRequest {
        let mut state = pace.lock();
        state.requests = state.requests.saturating_add(1);
        state.open = state.open.saturating_add(1);
        drop(state);
        OpenRequest(Arc::clone(pace))
    }

    /// The peer took `bytes`.
    pub(crate) fn wrote(&self, bytes: usize, now: Instant) {
        let mut state = self.lock();
        state.blocked = None;
        if bytes >= CONTENT {
            state.content = now;
        }
    }

    /// The peer takes nothing now.
    pub(crate) fn write_blocked(&self, now: Instant) {
        self.lock().blocked.get_or_insert(now);
    }

    /// The peer would take something, but it is not given anything yet.
    pub(crate) fn write_unblocked(&self) {
        self.lock().blocked = None;
    }

    /// What is overdue.
    pub(crate) fn overdue(&self, limits: &Limits, known: bool, now: Instant) -> Option<Overdue> {
        let state = *self.lock();
        let since = |moment: Instant| now.saturating_duration_since(moment);
        let stall = limits.stall_of(known);
        if state.blocked.is_some_and(|blocked| since(blocked) >= stall) {
            return Some(Overdue::Stalled);
        }
        if state.requests == 0 {
            return (since(state.opened) >= limits.first_request).then_some(Overdue::NoRequest);
        }
        // What HTTP/2 still holds of a response goes out after its request has ended here.
        if state.open == 0 && since(state.idle.max(state.content)) >= limits.idle {
            return Some(Overdue::Idle);
        }
        (!known && since(state.opened) >= limits.lifetime).then_some(Overdue::Old)
    }

    /// Whether no request is open.
    pub(crate) fn is_idle(&self) -> bool {
        self.lock().open == 0
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request that is being answered.
#[derive(Debug)]
pub(crate) struct OpenRequest(Arc<Pace>);

impl Drop for OpenRequest {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.open = state.open.saturating_sub(1);
        state.idle = Instant::now();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    const LIMITS: Limits = Limits {
        first_request: seconds(10),
        idle: seconds(20),
        stall: seconds(30),
        stall_known: seconds(100),
        body: seconds(60),
        lifetime: seconds(3600),
        ping: seconds(20),
        streams: 10,
        head: 1000,
    };

    #[test]
    fn limits_apply_in_their_time() {
        let start = Instant::now();
        let at = |pace: &Pace, second| pace.overdue(&LIMITS, false, start + seconds(second));
        let pace = Arc::new(Pace::new(start));
        assert_eq!(at(&pace, 9), None);
        assert_eq!(at(&pace, 10), Some(Overdue::NoRequest));

        // An open request may take as long as it wants: a watch, a call that waits for work.
        let request = Pace::request(&pace);
        assert_eq!(at(&pace, 3599), None);
        assert_eq!(at(&pace, 3600), Some(Overdue::Old));
        assert_eq!(pace.overdue(&LIMITS, true, start + seconds(360_000)), None);

        // Not when the peer takes nothing of its response.
        pace.write_blocked(start + seconds(5));
        pace.write_blocked(start + seconds(20));
        assert_eq!(at(&pace, 34), None);
        assert_eq!(at(&pace, 35), Some(Overdue::Stalled));
        let known = |second| pace.overdue(&LIMITS, true, start + seconds(second));
        assert_eq!((known(104), known(105)), (None, Some(Overdue::Stalled)));
        pace.write_unblocked();
        assert_eq!(at(&pace, 35), None, "it waits for its turn");
        pace.write_blocked(start + seconds(5));
        pace.wrote(1, start + seconds(34));
        assert_eq!(at(&pace, 35), None);
        drop(request);
        assert_eq!(at(&pace, 19), None);
        // The end of the request is of the real clock, a moment after `start`.
        assert_eq!(at(&pace, 30), Some(Overdue::Idle));
        pace.wrote(100, start + seconds(29));
        assert_eq!(
            at(&pace, 30),
            Some(Overdue::Idle),
            "an answer to a ping keeps nothing open"
        );
        pace.wrote(100_000, start + seconds(29));
        assert_eq!(at(&pace, 30), None);
    }
}
