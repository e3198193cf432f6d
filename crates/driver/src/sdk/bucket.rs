//! A token bucket: how many requests a provider gets in a time. The clock comes in from outside.

use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::{Instant, sleep_until};

/// Tokens come at a steady rate up to a number; each request takes one. One for each scope, so that one scope's storm is not
/// another's.
#[derive(Debug)]
pub struct TokenBucket {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// Time between two tokens.
    interval: Duration,
    /// Tokens that can be saved up.
    burst: u32,
    /// When the bucket is full. Tokens are counted by it, so nothing has to run.
    full: Instant,
}

impl State {
    fn new(per_second: u32, burst: u32, now: Instant) -> Self {
        Self {
            interval: Duration::from_secs(1) / per_second.max(1),
            burst: burst.max(1),
            full: now,
        }
    }

    fn pause(&mut self, now: Instant, pause: Duration) {
        let capacity = self.interval.saturating_mul(self.burst);
        self.full = self.full.max(now + pause + capacity);
    }

    /// Takes one token, and says when it can be used.
    fn take(&mut self, now: Instant) -> Instant {
        let capacity = self.interval.saturating_mul(self.burst);
        let full = self.full.max(now) + self.interval;
        self.full = full;
        full.checked_sub(capacity).map_or(now, |usable| usable.max(now))
    }
}

impl TokenBucket {
    /// A full bucket. A rate of zero counts as one in a second.
    #[must_use]
    pub fn new(per_second: u32, burst: u32) -> Self {
        Self {
            state: Mutex::new(State::new(per_second, burst, Instant::now())),
        }
    }

    /// Waits for a token. Callers get theirs in the order in which they ask.
    pub async fn take(&self) {
        let usable = self.state.lock().await.take(Instant::now());
        sleep_until(usable).await;
    }

    /// The provider has asked for a pause: no token for so long.
    pub async fn pause(&self, pause: Duration) {
        self.state.lock().await.pause(Instant::now(), pause);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::Instant;

    use super::{State, TokenBucket};

    /// Milliseconds after `now` at which tokens can be used that are all taken now.
    fn times(state: &mut State, now: Instant, count: usize) -> Vec<u128> {
        let taken = (0..count).map(|_| state.take(now));
        taken.map(|usable| (usable - now).as_millis()).collect()
    }

    #[test]
    fn a_burst_passes_and_the_rest_waits() {
        let now = Instant::now();
        let mut state = State::new(10, 3, now);
        assert_eq!(times(&mut state, now, 5), [0, 0, 0, 100, 200]);
        let later = now + Duration::from_secs(60);
        assert_eq!(
            times(&mut state, later, 4),
            [0, 0, 0, 100],
            "no more than the burst is saved"
        );
    }

    #[test]
    fn a_pause_holds_everybody() {
        let now = Instant::now();
        let mut state = State::new(10, 3, now);
        state.pause(now, Duration::from_secs(2));
        assert_eq!(times(&mut state, now, 2), [2100, 2200]);
    }

    #[tokio::test]
    async fn a_full_bucket_gives_at_once() {
        TokenBucket::new(1, 1).take().await;
    }
}
