//! The right to write disks: it ends when the appliance has not been heard for a while, by the machine's own clock.
//!
//! The appliance counts from the moment in which it receives a call. An answer may come much later, so the agent counts
//! from before it sent the call: its own right always ends first.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

/// When the last call that was answered had been sent.
#[derive(Debug)]
pub struct Lease {
    asked: Mutex<Instant>,
    limit: Duration,
}

impl Lease {
    /// A lease that lasts `limit` from `asked`, when the call that gave it was sent.
    #[must_use]
    pub fn new(asked: Instant, limit: Duration) -> Self {
        Self {
            asked: Mutex::new(asked),
            limit,
        }
    }

    /// The appliance has answered a call that was sent at `asked`.
    pub fn renew(&self, asked: Instant) {
        let mut last = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        *last = asked.max(*last);
    }

    /// Whether disks may be written.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.asked
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .elapsed()
            < self.limit
    }

    /// Blocks until the lease holds. Writing goes on by itself when the appliance is back.
    ///
    /// # Errors
    /// When `cancel` comes first.
    pub fn wait(&self, cancel: &CancellationToken) -> Result<(), String> {
        loop {
            if cancel.is_cancelled() {
                return Err("the action was cancelled".to_owned());
            }
            if self.holds() {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(200));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(45);

    #[test]
    fn a_lapsed_lease_waits_for_the_appliance_or_the_end() {
        let lease = Lease::new(Instant::now(), Duration::ZERO);
        assert!(!lease.holds());
        let cancel = CancellationToken::new();
        cancel.cancel();
        assert!(lease.wait(&cancel).is_err());
        let lease = Lease::new(Instant::now(), LIMIT);
        assert!(lease.wait(&CancellationToken::new()).is_ok());
    }

    #[test]
    fn it_counts_from_the_question_and_not_from_the_answer() {
        let Some(long_ago) = Instant::now().checked_sub(LIMIT) else {
            return;
        };
        let lease = Lease::new(long_ago, LIMIT);
        assert!(!lease.holds());
        lease.renew(long_ago);
        assert!(!lease.holds(), "the answer to an old question");
        lease.renew(Instant::now());
        assert!(lease.holds());
        lease.renew(long_ago);
        assert!(lease.holds(), "a late answer takes nothing away");
    }
}
