//! When to log that user data was withheld: a few times at once, then once a minute with the number of requests. A machine
//! that asks again and again, or a rack of them, does not fill the log.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use boot_script::{Bucket, Rate};
use jiff::Timestamp;

const EVERY: Duration = Duration::from_secs(60);
const AT_ONCE: u32 = 5;

#[derive(Debug)]
pub(crate) struct Withheld {
    rate: Rate,
    state: Mutex<(Bucket, u64)>,
}

impl Default for Withheld {
    fn default() -> Self {
        Self {
            rate: Rate::new(EVERY, AT_ONCE),
            state: Mutex::default(),
        }
    }
}

impl Withheld {
    /// Counts one, and gives how many there were since the last line when a line is due.
    pub(crate) fn count(&self, now: Timestamp) -> Option<u64> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let (bucket, count) = &mut *state;
        *count = count.saturating_add(1);
        bucket.take(self.rate, now).then(|| std::mem::take(count))
    }
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;

    #[test]
    fn a_flood_is_a_few_lines_and_its_number_comes_later() {
        let withheld = Withheld::default();
        let start: Timestamp = "2026-11-29T00:00:00Z".parse().unwrap();
        let said: Vec<u64> = (0..1000).filter_map(|_| withheld.count(start)).collect();
        assert_eq!(said, [1, 1, 1, 1, 1]);
        let minute = SignedDuration::from_secs(60);
        assert_eq!(withheld.count(start + minute), Some(996));
        assert_eq!(withheld.count(start + minute), None);
    }
}
