//! Turns of content: whoever sends much does so in small parts, in the order of asking, and few at a time. What is small is
//! sent at once, so no answer waits behind the files of a thousand machines for longer than a few parts take.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Sleep, sleep};
use tokio_util::sync::PollSemaphore;

/// Turns at the same time. A turn never waits for its peer, so this bounds what stands before a small answer in the
/// queues of the runtime.
pub(crate) const TURNS: usize = 2;
/// More peers than that, known and without a first answer, are a storm.
pub(crate) const STORM: usize = 16;
/// A turn in a storm begins so much later. It leaves the processors to the answers that are due, and still sends as much as
/// a network of 2.5 Gbit/s takes.
const PAUSE: Duration = Duration::from_millis(5);

/// The turns of one gate.
#[derive(Debug, Clone)]
pub(crate) struct Turns(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    free: Arc<Semaphore>,
    /// Known peers that have no answer yet.
    due: AtomicUsize,
}

impl Default for Turns {
    fn default() -> Self {
        Self(Arc::new(Inner {
            free: Arc::new(Semaphore::new(TURNS)),
            due: AtomicUsize::new(0),
        }))
    }
}

impl Turns {
    #[cfg(test)]
    pub(crate) fn free(&self) -> &Arc<Semaphore> {
        &self.0.free
    }

    /// Known peers that have no answer yet.
    pub(crate) fn due(&self) -> usize {
        self.0.due.load(Ordering::Relaxed)
    }
}

/// A first answer that a peer waits for, until it is dropped.
#[derive(Debug)]
struct Due(Turns);

impl Due {
    fn new(turns: Turns) -> Self {
        turns.0.due.fetch_add(1, Ordering::Relaxed);
        Self(turns)
    }
}

impl Drop for Due {
    fn drop(&mut self) {
        self.0.0.due.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A turn that begins a little later.
#[derive(Debug)]
struct Later {
    begin: Pin<Box<Sleep>>,
    turn: OwnedSemaphorePermit,
}

/// The turns of one connection.
#[derive(Debug)]
pub(crate) struct OwnTurns {
    all: Turns,
    queue: PollSemaphore,
    due: Option<Due>,
    /// Whether it had a turn just now: then the others come first.
    had_one: bool,
    later: Option<Later>,
}

impl OwnTurns {
    /// Of a peer that is `known` or not.
    pub(crate) fn new(all: &Turns, known: bool) -> Self {
        Self {
            all: all.clone(),
            queue: PollSemaphore::new(all.0.free.clone()),
            due: known.then(|| Due::new(all.clone())),
            had_one: false,
            later: None,
        }
    }

    /// The first answer was given, or it is one of those that wait for turns themselves.
    pub(crate) fn answered(&mut self) {
        self.due = None;
    }

    /// A turn was used.
    pub(crate) const fn used(&mut self) {
        self.had_one = true;
    }

    /// Waits for a turn, which ends when the value is dropped.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<OwnedSemaphorePermit>> {
        self.answered();
        if std::mem::take(&mut self.had_one) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        if self.later.is_none() {
            match ready!(self.queue.poll_acquire(cx)) {
                Some(turn) if self.all.due() > STORM => {
                    let begin = Box::pin(sleep(PAUSE));
                    self.later = Some(Later { begin, turn });
                }
                turn => return Poll::Ready(turn),
            }
        }
        if let Some(later) = &mut self.later {
            ready!(later.begin.as_mut().poll(cx));
        }
        Poll::Ready(self.later.take().map(|later| later.turn))
    }
}
