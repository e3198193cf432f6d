//! What other threads hand over to the one that appends.

use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::waiting::{Order, Taken, Urgency, Waiting};

/// What is handed over.
pub(super) enum Message {
    Append(Urgency, Order),
    Stop(oneshot::Sender<()>),
}

/// How the thread ends, after what it has.
pub(super) enum End {
    /// Somebody waits for that.
    Stop(oneshot::Sender<()>),
    /// Nobody is left who could append.
    Alone,
}

/// What was handed over.
pub(super) struct Inbox {
    received: Receiver<Message>,
    waiting: Waiting,
    pub(super) end: Option<End>,
}

impl Inbox {
    pub(super) fn new(received: Receiver<Message>) -> Self {
        Self {
            received,
            waiting: Waiting::default(),
            end: None,
        }
    }

    /// Waits until something is to be committed or the thread is to end.
    pub(super) fn wait(&mut self) {
        while self.end.is_none() && !self.is_due() {
            let received = match self.waiting.time_left(Instant::now()) {
                None => self.received.recv().map_err(|_| RecvTimeoutError::Disconnected),
                Some(left) => self.received.recv_timeout(left),
            };
            match received {
                Ok(message) => self.take(message),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => self.end = Some(End::Alone),
            }
        }
    }

    /// Whether a transaction is to begin now.
    pub(super) fn is_due(&self) -> bool {
        let left = self.waiting.time_left(Instant::now());
        left.is_some_and(|left| left == Duration::ZERO || self.end.is_some())
    }

    /// The next order of a transaction, which may have arrived since it began.
    pub(super) fn next(&mut self, taken: &mut Taken, at: Instant) -> Option<Order> {
        while self.end.is_none()
            && let Ok(message) = self.received.try_recv()
        {
            self.take(message);
        }
        self.waiting.next(taken, at)
    }

    fn take(&mut self, message: Message) {
        match message {
            Message::Append(urgency, order) => self.waiting.add(urgency, order, Instant::now()),
            Message::Stop(done) => self.end = Some(End::Stop(done)),
        }
    }
}
