//! How many events one MAC may cause: 5 a second with bursts of 10 (reliability: floods).

use std::collections::HashMap;

use jiff::Timestamp;
use resources::Mac;

const BURST: f64 = 10.0;
const PER_SECOND: f64 = 5.0;
/// MACs that are remembered; a flood of made-up ones starts the table anew.
const TABLE: usize = 8192;

#[derive(Debug, Default)]
pub(crate) struct EventLimit {
    buckets: HashMap<Mac, (f64, Timestamp)>,
}

impl EventLimit {
    pub(crate) fn allows(&mut self, mac: Mac, now: Timestamp) -> bool {
        if self.buckets.len() >= TABLE && !self.buckets.contains_key(&mac) {
            self.buckets.clear();
        }
        let (tokens, last) = self.buckets.entry(mac).or_insert((BURST, now));
        let elapsed = now.duration_since(*last).as_secs_f64().max(0.0);
        *tokens = (*tokens + elapsed * PER_SECOND).min(BURST);
        *last = now;
        if *tokens < 1.0 {
            return false;
        }
        *tokens -= 1.0;
        true
    }
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;

    #[test]
    fn burst_then_rate() {
        let mac = Mac::new([2, 0, 0, 0, 0, 1]);
        let start = Timestamp::UNIX_EPOCH;
        let mut limit = EventLimit::default();
        assert_eq!((0..100).filter(|_| limit.allows(mac, start)).count(), 10);
        assert!(
            limit.allows(Mac::new([2, 0, 0, 0, 0, 2]), start),
            "each MAC has its own"
        );
        let later = start + SignedDuration::from_secs(1);
        assert_eq!((0..100).filter(|_| limit.allows(mac, later)).count(), 5);
    }

    #[test]
    fn the_table_is_bounded() {
        let mut limit = EventLimit::default();
        for number in 0..100_000_u32 {
            let [a, b, c, d] = number.to_be_bytes();
            limit.allows(Mac::new([2, 0, a, b, c, d]), Timestamp::UNIX_EPOCH);
            assert!(limit.buckets.len() <= TABLE);
        }
    }
}
