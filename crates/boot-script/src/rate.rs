//! Rates with bursts: the generic cell rate algorithm on a time that the caller gives.
//!
//! By hand, because the limits here need what `governor` does not have: a bounded number of keys of which strangers go
//! first, and a count of what was held back.

use std::time::Duration;

use jiff::Timestamp;

/// One each interval on average, and up to a burst at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    interval: i64,
    full: i64,
}

impl Rate {
    /// One each `interval`, `burst` at once.
    #[must_use]
    pub fn new(interval: Duration, burst: u32) -> Self {
        let interval = i64::try_from(interval.as_micros()).unwrap_or(i64::MAX).max(1);
        Self {
            interval,
            full: interval.saturating_mul(i64::from(burst)),
        }
    }

    /// So many a second, `burst` at once.
    #[must_use]
    pub fn per_second(count: u32, burst: u32) -> Self {
        Self::new(Duration::from_secs(1) / count.max(1), burst)
    }
}

/// How much of a rate is used up. A new one is full.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Bucket {
    /// When all is there again, in microseconds since the epoch.
    full_at: i64,
}

impl Bucket {
    /// Takes one if there is one.
    pub fn take(&mut self, rate: Rate, now: Timestamp) -> bool {
        let now = now.as_microsecond();
        let latest = now.saturating_add(rate.full);
        // Only a clock that was set back makes it later than that.
        let full_at = if self.full_at > latest {
            now
        } else {
            self.full_at.max(now)
        };
        let after = full_at.saturating_add(rate.interval);
        let taken = after <= latest;
        if taken {
            self.full_at = after;
        }
        taken
    }

    /// Whether there is one to take.
    #[must_use]
    pub fn has_one(&self, rate: Rate, now: Timestamp) -> bool {
        let mut copy = *self;
        copy.take(rate, now)
    }

    /// Whether it is as good as a new one.
    #[must_use]
    pub fn is_full(&self, now: Timestamp) -> bool {
        self.full_at <= now.as_microsecond()
    }
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;

    #[test]
    fn burst_then_rate() {
        let rate = Rate::per_second(5, 10);
        let start: Timestamp = "2026-11-29T00:00:00Z".parse().unwrap();
        let mut bucket = Bucket::default();
        let mut taken = |now| (0..100).filter(|_| bucket.take(rate, now)).count();
        assert_eq!(taken(start), 10);
        assert_eq!(taken(start), 0);
        assert_eq!(taken(start + SignedDuration::from_secs(1)), 5);
        assert_eq!(
            taken(start + SignedDuration::from_secs(60)),
            10,
            "no more than the burst"
        );
        assert_eq!(
            taken(start - SignedDuration::from_hours(24)),
            10,
            "a clock that is set back does not close it"
        );
    }

    #[test]
    fn full_again() {
        let start: Timestamp = "2026-11-29T00:00:00Z".parse().unwrap();
        let mut bucket = Bucket::default();
        assert!(bucket.is_full(start));
        assert!(bucket.take(Rate::new(Duration::from_secs(10), 1), start));
        assert!(!bucket.is_full(start + SignedDuration::from_secs(9)));
        assert!(bucket.is_full(start + SignedDuration::from_secs(10)));
    }
}
