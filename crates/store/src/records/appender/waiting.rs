//! Orders that wait, and which of them the next transaction takes. Pure.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::records::record::{NewRecord, Stored};

/// Records of one transaction, beyond which it takes no further order.
pub(super) const BATCH: usize = 512;
/// How long records may wait that nobody waits for.
const LATER: Duration = Duration::from_millis(50);
/// So many of those go with each transaction of others at least, and so many at once when they have waited for long.
const ALONG: usize = 8;
const LATE: usize = 64;

/// What is called with the result, on the thread that appends: it must be short.
pub(in crate::records) type Done = Box<dyn FnOnce(Stored) + Send>;

/// Whether somebody waits for the records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::records) enum Urgency {
    /// They are committed at once.
    Now,
    /// They are committed with others or a little later, and add little to the time that the others take.
    Later,
}

/// Records that are appended together.
pub(super) struct Order {
    pub(super) records: Vec<NewRecord>,
    pub(super) done: Done,
}

/// How many records a transaction has of each urgency.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Taken {
    now: usize,
    later: usize,
}

/// All orders that wait.
#[derive(Default)]
pub(super) struct Waiting {
    now: VecDeque<Order>,
    /// With the time since when each waits.
    later: VecDeque<(Instant, Order)>,
}

impl Waiting {
    pub(super) fn add(&mut self, urgency: Urgency, order: Order, at: Instant) {
        match urgency {
            Urgency::Now => self.now.push_back(order),
            Urgency::Later => self.later.push_back((at, order)),
        }
    }

    /// How long the next transaction may wait for more; `None` if there is nothing to commit.
    pub(super) fn time_left(&self, at: Instant) -> Option<Duration> {
        if !self.now.is_empty() {
            return Some(Duration::ZERO);
        }
        let (since, _) = self.later.front()?;
        Some(LATER.saturating_sub(at.saturating_duration_since(*since)))
    }

    /// The next order of a transaction that has this already.
    pub(super) fn next(&mut self, taken: &mut Taken, at: Instant) -> Option<Order> {
        if let Some(order) = self.now.pop_front_if(|_| taken.now < BATCH) {
            taken.now = taken.now.saturating_add(order.records.len());
            return Some(order);
        }
        let (since, _) = self.later.front()?;
        let late = at.saturating_duration_since(*since) >= LATER;
        let room = if late { LATE } else { ALONG }.max(taken.now.saturating_mul(2));
        let (_, order) = self.later.pop_front_if(|_| taken.later < room)?;
        taken.later = taken.later.saturating_add(order.records.len());
        Some(order)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::records::Ring;

    fn order(records: usize) -> Order {
        let record = NewRecord {
            kind: "BootEvent".to_owned(),
            machine: "node-1".to_owned(),
            ring: Ring::Machine,
            at: 0,
            payload: json!({}),
        };
        Order {
            records: vec![record; records],
            done: Box::new(|_| {}),
        }
    }

    /// Records that one transaction takes, those first that are committed at once.
    fn transaction(waiting: &mut Waiting, at: Instant) -> (usize, usize) {
        let mut taken = Taken::default();
        while waiting.next(&mut taken, at).is_some() {}
        (taken.now, taken.later)
    }

    #[test]
    fn what_nobody_waits_for_adds_little_to_a_transaction_and_is_late_for_a_moment_only() {
        let start = Instant::now();
        let mut waiting = Waiting::default();
        assert_eq!(waiting.time_left(start), None);
        for _ in 0..100 {
            waiting.add(Urgency::Later, order(4), start);
        }
        assert_eq!(waiting.time_left(start), Some(LATER));
        waiting.add(Urgency::Now, order(1), start);
        assert_eq!(waiting.time_left(start), Some(Duration::ZERO));
        assert_eq!(transaction(&mut waiting, start), (1, ALONG));
        (0..20).for_each(|_| waiting.add(Urgency::Now, order(1), start));
        assert_eq!(transaction(&mut waiting, start), (20, 40), "as many again");
        let later = start + LATER;
        assert_eq!(waiting.time_left(later), Some(Duration::ZERO));
        assert_eq!(transaction(&mut waiting, later), (0, LATE));
        assert_ne!(waiting.time_left(later), None, "there is more");
    }

    #[test]
    fn a_transaction_is_bounded() {
        let mut waiting = Waiting::default();
        (0..1000).for_each(|_| waiting.add(Urgency::Now, order(1), Instant::now()));
        assert_eq!(transaction(&mut waiting, Instant::now()), (BATCH, 0));
        assert_eq!(transaction(&mut waiting, Instant::now()), (1000 - BATCH, 0));
    }
}
