//! The right to write disks: it ends when the appliance has not been heard for a while, by the machine's own clock.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

/// When the appliance was heard last.
#[derive(Debug)]
pub struct Lease {
    heard: Mutex<Instant>,
    limit: Duration,
}

impl Default for Lease {
    fn default() -> Self {
        Self::new(agent_protocol::LEASE)
    }
}

impl Lease {
    /// A lease that begins now and ends `limit` after the last answer.
    #[must_use]
    pub fn new(limit: Duration) -> Self {
        Self {
            heard: Mutex::new(Instant::now()),
            limit,
        }
    }

    /// The appliance has answered.
    pub fn renew(&self) {
        *self.heard.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    /// Whether disks may be written.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.heard
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

    #[test]
    fn a_lapsed_lease_waits_for_the_appliance_or_the_end() {
        let lease = Lease::new(Duration::ZERO);
        assert!(!lease.holds());
        let cancel = CancellationToken::new();
        cancel.cancel();
        assert!(lease.wait(&cancel).is_err());
        let lease = Lease::default();
        assert!(lease.wait(&CancellationToken::new()).is_ok());
    }
}
