//! A BMC that has not answered several times is left alone for a while, so that it does not cost each Task its time limits.

use std::time::{Duration, Instant};

/// So many failures in a row open the breaker.
const FAILURES: u32 = 5;
const FIRST: Duration = Duration::from_secs(15);
const LONGEST: Duration = Duration::from_secs(60);

/// What is known of one BMC's answers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Breaker {
    failures: u32,
    until: Option<Instant>,
}

impl Breaker {
    /// How long the BMC is still left alone; `None`: it may be asked. When the pause is over, one question shows whether it
    /// has come back.
    pub(crate) fn pause(&self, now: Instant) -> Option<Duration> {
        let left = self.until?.saturating_duration_since(now);
        (!left.is_zero()).then_some(left)
    }

    pub(crate) fn answered(&mut self) {
        *self = Self::default();
    }

    /// Takes note of a question without answer. `jitter` is from 0 to 1, so that many BMCs are not asked at once.
    pub(crate) fn failed(&mut self, now: Instant, jitter: f64) {
        self.failures = self.failures.saturating_add(1);
        let Some(more) = self.failures.checked_sub(FAILURES) else {
            return;
        };
        let pause = FIRST
            .saturating_mul(2u32.saturating_pow(more.min(8)))
            .min(LONGEST);
        self.until = now.checked_add(pause.mul_f64(1.0 + jitter.clamp(0.0, 1.0) / 4.0));
    }

    /// Questions without answer, one after the other.
    pub(crate) fn failures(&self) -> u32 {
        self.failures
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opens_after_five_and_closes_with_an_answer() {
        let start = Instant::now();
        let mut breaker = Breaker::default();
        for _ in 0..4 {
            breaker.failed(start, 0.0);
            assert_eq!(breaker.pause(start), None);
        }
        for seconds in [15, 30, 60, 60] {
            breaker.failed(start, 0.0);
            assert_eq!(breaker.pause(start), Some(Duration::from_secs(seconds)));
        }
        breaker.failed(start, 1.0);
        assert_eq!(breaker.pause(start), Some(Duration::from_secs(75)));
        assert_eq!(
            breaker.pause(start + Duration::from_secs(75)),
            None,
            "one question is allowed"
        );
        assert_eq!(breaker.failures(), 9);
        breaker.answered();
        breaker.failed(start, 0.0);
        assert_eq!(breaker.pause(start), None);
    }
}
