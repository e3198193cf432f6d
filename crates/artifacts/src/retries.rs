//! When an image whose transfer broke is tried again: later each time, and not all images at once.

use std::collections::HashMap;

use jiff::{SignedDuration, Timestamp};

/// Pause after the first failure.
const FIRST: SignedDuration = SignedDuration::from_secs(15);
/// Longest pause, before jitter.
const MOST: SignedDuration = SignedDuration::from_mins(5);

/// Which spec of which image: its uid and generation. A changed spec is tried at once.
pub(crate) type Key = (String, i64);

struct Retry {
    generation: i64,
    failures: u32,
    next: Timestamp,
}

/// The images that wait for their next try.
#[derive(Default)]
pub(crate) struct Retries(HashMap<String, Retry>);

impl Retries {
    /// A try failed. Gives the pause until the next one: 15 s, doubled with each failure up to 5 min, and up to a quarter
    /// more by `jitter`, a number from 0 to 1.
    pub(crate) fn failed(&mut self, (uid, generation): Key, now: Timestamp, jitter: f64) -> SignedDuration {
        // What waits no longer and was not tried again is gone.
        self.0
            .retain(|_, retry| now.duration_since(retry.next) < MOST.saturating_mul(12));
        let retry = self.0.entry(uid).or_insert(Retry {
            generation,
            failures: 0,
            next: now,
        });
        if retry.generation != generation {
            retry.generation = generation;
            retry.failures = 0;
        }
        let doubled = FIRST.saturating_mul(1_i32.checked_shl(retry.failures.min(16)).unwrap_or(1));
        let pause = doubled.min(MOST);
        let pause = SignedDuration::from_secs(pause.mul_f64(1.0 + jitter.clamp(0.0, 1.0) / 4.0).as_secs());
        retry.failures = retry.failures.saturating_add(1);
        retry.next = now.saturating_add(pause).unwrap_or(Timestamp::MAX);
        pause
    }

    /// How long the next try still has to wait; `None` when it is due.
    pub(crate) fn wait(&self, (uid, generation): &Key, now: Timestamp) -> Option<SignedDuration> {
        let retry = self.0.get(uid).filter(|retry| retry.generation == *generation)?;
        Some(retry.next.duration_since(now)).filter(SignedDuration::is_positive)
    }

    /// The image is there, has failed for good, or is gone.
    pub(crate) fn forget(&mut self, (uid, _): &Key) {
        self.0.remove(uid);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn key(generation: i64) -> Key {
        ("uid".to_owned(), generation)
    }

    #[test]
    fn pauses_double_up_to_five_minutes() {
        let mut retries = Retries::default();
        let mut now = at(0);
        let pauses: Vec<i64> = (0..7)
            .map(|_| {
                let pause = retries.failed(key(1), now, 0.0);
                assert_eq!(retries.wait(&key(1), now), Some(pause));
                now = now.saturating_add(pause).unwrap();
                assert_eq!(retries.wait(&key(1), now), None);
                pause.as_secs()
            })
            .collect();
        assert_eq!(pauses, [15, 30, 60, 120, 240, 300, 300]);
    }

    #[test]
    fn jitter_adds_up_to_a_quarter() {
        let pause = |jitter| Retries::default().failed(key(1), at(0), jitter).as_secs();
        assert_eq!((pause(0.0), pause(0.5), pause(1.0), pause(9.0)), (15, 16, 18, 18));
    }

    #[test]
    fn a_changed_spec_and_a_finished_image_do_not_wait() {
        let mut retries = Retries::default();
        retries.failed(key(1), at(0), 0.0);
        retries.failed(key(1), at(0), 0.0);
        assert_eq!(retries.wait(&key(2), at(0)), None);
        assert_eq!(retries.failed(key(2), at(0), 0.0).as_secs(), 15);
        retries.forget(&key(2));
        assert_eq!(retries.wait(&key(2), at(0)), None);
    }
}
