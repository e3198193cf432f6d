//! Events for people, on their way to whoever listens. A listener that is too slow loses the oldest, and is told how many.

use std::time::SystemTime;

use tokio::sync::broadcast;

use crate::v1::Event;

/// Events that are kept for a slow listener.
const KEPT: usize = 256;

/// Where a driver reports what it does.
#[derive(Debug, Clone)]
pub struct Events {
    sender: broadcast::Sender<Event>,
}

impl Default for Events {
    fn default() -> Self {
        Self {
            sender: broadcast::channel(KEPT).0,
        }
    }
}

impl Events {
    /// Reports an event; its time is filled in. Nobody may be listening.
    pub fn report(&self, mut event: Event) {
        event.at.get_or_insert_with(|| SystemTime::now().into());
        let _ = self.sender.send(event);
    }

    pub(super) fn listen(&self) -> Listener {
        Listener {
            receiver: self.sender.subscribe(),
            dropped: 0,
        }
    }
}

/// One listener.
#[derive(Debug)]
pub(super) struct Listener {
    receiver: broadcast::Receiver<Event>,
    dropped: u64,
}

impl Listener {
    /// The next event; None when there will be no more.
    pub(super) async fn next(&mut self) -> Option<Event> {
        loop {
            match self.receiver.recv().await {
                Ok(mut event) => {
                    event.dropped = std::mem::take(&mut self.dropped);
                    return Some(event);
                }
                Err(broadcast::error::RecvError::Lagged(count)) => {
                    self.dropped = self.dropped.saturating_add(count);
                }
                Err(broadcast::error::RecvError::Closed) => return None,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Events, KEPT};
    use crate::v1::Event;

    #[tokio::test]
    async fn a_slow_listener_is_told_what_it_has_lost() {
        let events = Events::default();
        let mut listener = events.listen();
        for number in 0..KEPT + 3 {
            events.report(Event {
                message: number.to_string(),
                ..Event::default()
            });
        }
        let first = listener.next().await.expect("there are events");
        assert_eq!((first.message.as_str(), first.dropped), ("3", 3));
        assert!(first.at.is_some());
        let second = listener.next().await.expect("there are more");
        assert_eq!((second.message.as_str(), second.dropped), ("4", 0));
    }
}
