//! Requests to a provider that are tried again: with growing waits, jitter, and an end. Only what may be repeated.

use std::time::Duration;

use tokio::time::{Instant, sleep};

/// How long to wait between tries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// Upper bound of the first wait; it doubles with each try.
    pub first: Duration,
    /// Upper bound of every wait.
    pub longest: Duration,
    /// No try begins later than this after the first one.
    pub limit: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self {
            first: Duration::from_millis(200),
            longest: Duration::from_secs(5),
            limit: Duration::from_secs(20),
        }
    }
}

impl Backoff {
    /// The wait after so many tries that failed, of which the first began so long ago; None when the time is over. `share`,
    /// from 0 to 1, is random: a lower bound of nothing spreads callers that failed at the same time over the whole wait.
    fn wait(
        &self,
        failures: u32,
        elapsed: Duration,
        asked: Option<Duration>,
        share: f64,
    ) -> Option<Duration> {
        let doubled = 1_u32.checked_shl(failures.saturating_sub(1)).unwrap_or(u32::MAX);
        let most = self.first.saturating_mul(doubled).min(self.longest);
        let wait = most.mul_f64(share.clamp(0.0, 1.0)).max(asked.unwrap_or_default());
        (elapsed.saturating_add(wait) <= self.limit).then_some(wait)
    }
}

/// How a try ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Attempt<T, E> {
    /// With this.
    Done(T),
    /// Another try makes no sense.
    Failed(E),
    /// Another try may succeed; the provider may have said after how long.
    Again(E, Option<Duration>),
}

/// Tries until it is done, has failed, or the time is over; then the last error comes back.
///
/// # Errors
/// The last one.
pub async fn retry<T, E, F>(backoff: Backoff, mut attempt: impl FnMut() -> F) -> Result<T, E>
where
    F: Future<Output = Attempt<T, E>>,
{
    let start = Instant::now();
    let mut failures = 0_u32;
    loop {
        let (error, asked) = match attempt().await {
            Attempt::Done(done) => return Ok(done),
            Attempt::Failed(error) => return Err(error),
            Attempt::Again(error, asked) => (error, asked),
        };
        failures = failures.saturating_add(1);
        match backoff.wait(failures, start.elapsed(), asked, rand::random()) {
            Some(wait) => sleep(wait).await,
            None => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::time::Duration;

    use super::{Attempt, Backoff, retry};

    #[test]
    fn waits_grow_to_their_bound_and_end() {
        let backoff = Backoff::default();
        let wait = |failures, share| backoff.wait(failures, Duration::ZERO, None, share);
        let waits: Vec<_> = (1..8)
            .filter_map(|failures| wait(failures, 1.0))
            .map(|wait| wait.as_millis())
            .collect();
        assert_eq!(waits, [200, 400, 800, 1600, 3200, 5000, 5000]);
        assert_eq!(wait(3, 0.0), Some(Duration::ZERO));
        assert_eq!(wait(u32::MAX, 1.0), Some(backoff.longest));
        let asked = Some(Duration::from_secs(6));
        assert_eq!(backoff.wait(1, Duration::from_secs(14), asked, 1.0), asked);
        assert_eq!(
            backoff.wait(1, Duration::from_secs(15), asked, 1.0),
            None,
            "longer than the limit"
        );
    }

    #[tokio::test]
    async fn it_ends_when_it_is_done_or_when_the_time_is_over() {
        let at_once = Backoff {
            first: Duration::ZERO,
            ..Backoff::default()
        };
        let tries = Cell::new(0);
        let third = || async {
            tries.set(tries.get() + 1);
            if tries.get() == 3 {
                Attempt::Done("done")
            } else {
                Attempt::Again("not yet", None)
            }
        };
        assert_eq!(retry(at_once, third).await, Ok("done"));
        let never = || async { Attempt::<(), _>::Again("never", Some(Duration::from_secs(3600))) };
        assert_eq!(retry(at_once, never).await, Err("never"));
    }

    #[tokio::test]
    async fn what_can_not_succeed_is_tried_once() {
        let tries = Cell::new(0);
        let ended: Result<(), &str> = retry(Backoff::default(), || async {
            tries.set(tries.get() + 1);
            Attempt::Failed("no")
        })
        .await;
        assert_eq!((ended, tries.get()), (Err("no"), 1));
    }
}
