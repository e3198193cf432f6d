//! Which objects the collector looks at next. Pure: the caller gives the time.
//!
//! A key is in the queue once. What did not succeed comes again: a lost race at once and then every fraction of a
//! second, a failed store after a time that doubles.

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::time::{Duration, Instant};

use crate::storage::Key;

/// Lost races of one object after which it waits.
const RACES: u32 = 8;
/// Longest wait after a lost race.
const LONGEST_AFTER_RACE: Duration = Duration::from_millis(100);
/// First wait after a failed write, and the longest.
const FIRST_AFTER_FAILURE: Duration = Duration::from_millis(50);
const LONGEST_AFTER_FAILURE: Duration = Duration::from_secs(30);

/// How a look at an object ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Look {
    /// Nothing is left to do until something changes.
    Rest,
    /// To be looked at again after this time.
    Later(Duration),
    /// Another writer was first.
    Race,
    /// The store refused a write.
    Failed,
}

impl Look {
    /// The worse of two results of one look.
    pub(super) fn and(self, other: Look) -> Look {
        match (self, other) {
            (Look::Failed, _) | (_, Look::Failed) => Look::Failed,
            (Look::Race, _) | (_, Look::Race) => Look::Race,
            (Look::Later(a), Look::Later(b)) => Look::Later(a.min(b)),
            (Look::Later(a), Look::Rest) | (Look::Rest, Look::Later(a)) => Look::Later(a),
            (Look::Rest, Look::Rest) => Look::Rest,
        }
    }
}

/// The queue.
#[derive(Debug, Default)]
pub(super) struct Queue {
    ready: VecDeque<Key>,
    is_ready: HashSet<Key>,
    waiting: BTreeSet<(Instant, Key)>,
    due: HashMap<Key, Instant>,
    tries: HashMap<Key, u32>,
}

impl Queue {
    /// To be looked at as soon as possible.
    pub(super) fn add(&mut self, key: Key) {
        self.stop_waiting(&key);
        if self.is_ready.insert(key.clone()) {
            self.ready.push_back(key);
        }
    }

    fn add_at(&mut self, key: Key, due: Instant) {
        if !self.is_ready.contains(&key) {
            self.stop_waiting(&key);
            self.due.insert(key.clone(), due);
            self.waiting.insert((due, key));
        }
    }

    fn stop_waiting(&mut self, key: &Key) {
        if let Some(due) = self.due.remove(key) {
            self.waiting.remove(&(due, key.clone()));
        }
    }

    /// The next object whose time has come.
    pub(super) fn next(&mut self, now: Instant) -> Option<Key> {
        while let Some((due, _)) = self.waiting.first()
            && *due <= now
        {
            if let Some((_, key)) = self.waiting.pop_first() {
                self.add(key);
            }
        }
        let key = self.ready.pop_front()?;
        self.is_ready.remove(&key);
        Some(key)
    }

    /// When the next waiting object has its time.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.waiting.first().map(|(due, _)| *due)
    }

    /// Takes in how a look ended.
    pub(super) fn looked(&mut self, key: Key, look: Look, now: Instant) {
        match look {
            Look::Rest => {
                self.tries.remove(&key);
            }
            Look::Later(wait) => {
                self.tries.remove(&key);
                self.add_at(key, now + wait);
            }
            Look::Race => match self.failed(&key) {
                tries if tries <= RACES => self.add(key),
                tries => self.add_at(
                    key,
                    now + doubled(Duration::from_millis(5), tries - RACES, LONGEST_AFTER_RACE),
                ),
            },
            Look::Failed => {
                let tries = self.failed(&key);
                self.add_at(
                    key,
                    now + doubled(FIRST_AFTER_FAILURE, tries, LONGEST_AFTER_FAILURE),
                );
            }
        }
    }

    fn failed(&mut self, key: &Key) -> u32 {
        let tries = self.tries.entry(key.clone()).or_default();
        *tries = tries.saturating_add(1);
        *tries
    }
}

/// `first` at the first try, twice as much at each further one, at most `longest`.
fn doubled(first: Duration, tries: u32, longest: Duration) -> Duration {
    let factor = 1 << tries.saturating_sub(1).min(16);
    first.saturating_mul(factor).min(longest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> Key {
        Key {
            resource: "things".into(),
            namespace: "default".to_owned(),
            name: name.to_owned(),
        }
    }

    #[test]
    fn keys_are_served_in_turn_and_once() {
        let (mut queue, now) = (Queue::default(), Instant::now());
        for name in ["b", "a", "b"] {
            queue.add(key(name));
        }
        assert_eq!(queue.next(now), Some(key("b")));
        queue.add(key("b"));
        assert_eq!(queue.next(now), Some(key("a")));
        assert_eq!(queue.next(now), Some(key("b")));
        assert_eq!(queue.next(now), None);
    }

    #[test]
    fn a_lost_race_is_run_again_without_end() {
        let (mut queue, mut now) = (Queue::default(), Instant::now());
        queue.add(key("a"));
        for round in 0..1000 {
            let Some(found) = queue.next(now) else {
                let due = queue.next_due().unwrap();
                assert!(due - now <= LONGEST_AFTER_RACE, "round {round}");
                now = due;
                continue;
            };
            queue.looked(found, Look::Race, now);
        }
        assert!(queue.next_due().is_some());
    }

    #[test]
    fn a_failed_write_waits_longer_each_time() {
        let (mut queue, mut now) = (Queue::default(), Instant::now());
        queue.add(key("a"));
        let mut waits = Vec::new();
        for _ in 0..12 {
            let found = queue.next(now).unwrap();
            queue.looked(found, Look::Failed, now);
            assert_eq!(queue.next(now), None);
            waits.push(queue.next_due().unwrap() - now);
            now = queue.next_due().unwrap();
        }
        assert_eq!(waits[0], FIRST_AFTER_FAILURE);
        assert_eq!(waits[1], FIRST_AFTER_FAILURE * 2);
        assert_eq!(waits[11], LONGEST_AFTER_FAILURE);
        // Success forgets the failures.
        let found = queue.next(now).unwrap();
        queue.looked(found.clone(), Look::Rest, now);
        queue.looked(found, Look::Failed, now);
        assert_eq!(queue.next_due().unwrap() - now, FIRST_AFTER_FAILURE);
    }

    #[test]
    fn a_change_cuts_a_wait_short() {
        let (mut queue, now) = (Queue::default(), Instant::now());
        queue.looked(key("a"), Look::Later(Duration::from_secs(9)), now);
        assert_eq!(queue.next(now), None);
        queue.add(key("a"));
        assert_eq!(queue.next(now), Some(key("a")));
        assert_eq!((queue.next(now), queue.next_due()), (None, None));
    }
}
