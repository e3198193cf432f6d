//! The bounded way from boot services to the records: evidence never slows down an answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use jiff::Timestamp;
use resources::BootEvent;
use tokio::sync::mpsc;

use crate::sightings::Sightings;
use crate::target::BootTarget;

/// A boot event with the machine's key and the time.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// Name of the Hardware, or the MAC or peer address while it is unknown.
    pub machine: String,
    /// When.
    pub at: Timestamp,
    /// What.
    pub event: BootEvent,
}

/// Sends events; drops them, and counts that, when the reader lags.
#[derive(Debug, Clone)]
pub struct EventSender {
    sender: mpsc::Sender<Event>,
    dropped: Arc<AtomicU64>,
    sightings: Arc<Sightings>,
}

impl EventSender {
    /// A channel that holds `capacity` events.
    #[must_use]
    pub fn channel(capacity: usize) -> (Self, mpsc::Receiver<Event>) {
        let (sender, receiver) = mpsc::channel(capacity);
        (
            Self {
                sender,
                dropped: Arc::new(AtomicU64::new(0)),
                sightings: Arc::default(),
            },
            receiver,
        )
    }

    /// Records what somebody else did or what was refused, under the name of the Hardware that it is about. It does not
    /// count as heard of the machine.
    pub fn send_about(&self, hardware: &str, at: Timestamp, event: BootEvent) {
        self.enqueue(hardware.to_owned(), at, event);
    }

    /// Records an event of a machine, or of a peer that no Hardware names. The machine was heard with it.
    pub fn send(&self, target: Option<&BootTarget>, at: Timestamp, mut event: BootEvent) {
        self.sightings.note(target, at, &event);
        let machine = match target {
            Some(target) => {
                event.mac.get_or_insert(target.mac);
                target.name().to_owned()
            }
            None => match (&event.mac, &event.peer) {
                (Some(mac), _) => mac.to_string(),
                (None, Some(peer)) => peer.clone(),
                (None, None) => "unknown".to_owned(),
            },
        };
        self.enqueue(machine, at, event);
    }

    fn enqueue(&self, machine: String, at: Timestamp, event: BootEvent) {
        if self.sender.try_send(Event { machine, at, event }).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// What was heard last; complete also when events were dropped.
    #[must_use]
    pub fn sightings(&self) -> &Sightings {
        &self.sightings
    }

    /// How many events were dropped.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}
