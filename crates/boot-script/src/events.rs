//! The bounded way from boot services to the records: evidence never slows down an answer, and no flood of one peer
//! displaces the evidence of another.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use resources::{BootEvent, BootEventKind, printable};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::event_limit::{EventLimit, HeldBack};
use crate::origin::Origin;
use crate::sightings::Sightings;
use crate::target::BootTarget;

/// How often the number of events that were held back is recorded.
const COUNT_EVERY: Duration = Duration::from_secs(10);

/// A boot event with the machine's key and the time.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// Whose it is.
    pub origin: Origin,
    /// Name of the Hardware, or the MAC or peer address while it is unknown.
    pub machine: String,
    /// When.
    pub at: Timestamp,
    /// What.
    pub event: BootEvent,
}

/// Sends events within a rate for each machine and class; drops them, and counts that, when the reader lags.
#[derive(Debug, Clone)]
pub struct EventSender {
    sender: mpsc::Sender<Event>,
    dropped: Arc<AtomicU64>,
    sightings: Arc<Sightings>,
    limit: Arc<Mutex<EventLimit>>,
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
                limit: Arc::default(),
            },
            receiver,
        )
    }

    /// Records an event of a machine, or of a peer that no Hardware names. The machine was heard with it.
    pub fn send(&self, target: Option<&BootTarget>, at: Timestamp, mut event: BootEvent) {
        make_printable(&mut event);
        self.sightings.note(target, at, &event);
        let (origin, machine) = match target {
            Some(target) => {
                event.mac.get_or_insert(target.mac);
                (Origin::Machine, target.name().to_owned())
            }
            None => {
                let key = match (&event.mac, &event.peer) {
                    (Some(mac), _) => mac.to_string(),
                    (None, Some(peer)) => peer.clone(),
                    (None, None) => "unknown".to_owned(),
                };
                (Origin::Stranger, key)
            }
        };
        self.limited(origin, machine, at, event);
    }

    /// Records what Gantry itself did or refused for a machine, under the name of its Hardware. It does not count as
    /// heard of the machine.
    pub fn send_for(&self, hardware: &str, at: Timestamp, mut event: BootEvent) {
        make_printable(&mut event);
        self.limited(Origin::Machine, hardware.to_owned(), at, event);
    }

    /// As [`Self::send_for`], for what somebody else did about a machine. It counts within the rates of strangers, so it
    /// holds nothing back that is the machine's own.
    pub fn send_about(&self, hardware: &str, at: Timestamp, mut event: BootEvent) {
        make_printable(&mut event);
        let who = event.peer.as_deref().unwrap_or(hardware);
        if self.allows(Origin::Stranger, who, &event, at) {
            self.put(Event {
                origin: Origin::Machine,
                machine: hardware.to_owned(),
                at,
                event,
            });
        }
    }

    /// Whether an event of a stranger would be held back now because strangers together are beyond their rate. It then
    /// counts as held back, so a listener need not make it: a flood costs it next to nothing.
    #[must_use]
    pub fn holds_back_strangers(&self, kind: BootEventKind, at: Timestamp) -> bool {
        let mut limit = self.limit.lock().unwrap_or_else(PoisonError::into_inner);
        limit.strangers_are_over(kind, at)
    }

    /// Records every ten seconds how many events were held back, until `cancel`.
    pub async fn count_held_back(self, cancel: CancellationToken) {
        loop {
            tokio::select! {
                () = cancel.cancelled() => return,
                () = tokio::time::sleep(COUNT_EVERY) => self.send_counts(Timestamp::now()),
            }
        }
    }

    /// Records how many events were held back since the last call.
    pub fn send_counts(&self, at: Timestamp) {
        let held_back = self
            .limit
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .held_back(at);
        for HeldBack {
            origin,
            key,
            kind,
            count,
        } in held_back
        {
            let text = format!("{count} more events of this kind came faster than they are recorded");
            let event = BootEvent {
                kind,
                mac: None,
                peer: None,
                text,
            };
            self.put(Event {
                origin,
                machine: key,
                at,
                event,
            });
        }
    }

    fn limited(&self, origin: Origin, machine: String, at: Timestamp, event: BootEvent) {
        if self.allows(origin, &machine, &event, at) {
            self.put(Event {
                origin,
                machine,
                at,
                event,
            });
        }
    }

    fn allows(&self, origin: Origin, key: &str, event: &BootEvent, at: Timestamp) -> bool {
        let mut limit = self.limit.lock().unwrap_or_else(PoisonError::into_inner);
        limit.allows(origin, key, event.kind, at)
    }

    fn put(&self, event: Event) {
        if self.sender.try_send(event).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// What was heard last; complete also when events were dropped or held back.
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

fn make_printable(event: &mut BootEvent) {
    event.text = printable(&event.text).into_owned();
    if let Some(peer) = &mut event.peer {
        *peer = printable(peer).into_owned();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_somebody_else_does_holds_back_nothing_of_the_machine() {
        let (sender, mut events) = EventSender::channel(1000);
        let event = |peer: &str| BootEvent {
            kind: BootEventKind::Session,
            mac: None,
            peer: Some(peer.to_owned()),
            text: "claim refused".to_owned(),
        };
        for _ in 0..100 {
            sender.send_about("node-1", Timestamp::UNIX_EPOCH, event("10.0.0.9"));
        }
        let mut of_thief = 0;
        while let Ok(recorded) = events.try_recv() {
            assert_eq!(
                (recorded.machine.as_str(), recorded.origin),
                ("node-1", Origin::Machine)
            );
            of_thief += 1;
        }
        assert_eq!(of_thief, 10, "the burst of one stranger");
        sender.send_for("node-1", Timestamp::UNIX_EPOCH, event("10.0.0.5"));
        assert!(events.try_recv().is_ok());
    }

    #[test]
    fn terminal_escapes_reach_neither_records_nor_sightings() {
        let (sender, mut events) = EventSender::channel(10);
        let event = BootEvent {
            kind: BootEventKind::Tftp,
            mac: None,
            peer: Some("10.0.0.5\u{1b}[2J".into()),
            text: "the client ended it: \u{1b}[31mPWNED\u{1b}]0;title\u{7}".into(),
        };
        sender.send(None, Timestamp::UNIX_EPOCH, event.clone());
        sender.send_about("node-1", Timestamp::UNIX_EPOCH, event);
        for _ in 0..2 {
            let event = events.try_recv().unwrap();
            let text = format!("{} {} {:?}", event.machine, event.event.text, event.event.peer);
            assert!(!text.contains(char::is_control), "{text:?}");
            assert!(text.contains("PWNED"), "{text:?}");
        }
    }
}
