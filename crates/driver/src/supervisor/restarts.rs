//! When a driver that has ended is started again. Pure.

use std::time::Duration;

/// How patient a supervisor is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RestartPolicy {
    /// Before the first restart; it doubles with each failure.
    pub first: Duration,
    /// The longest wait.
    pub longest: Duration,
    /// A process that was ready for so long is no failure, whatever it ended with.
    pub stable: Duration,
    /// Failures in a row after which the driver is left alone until a person asks for it.
    pub quarantine_after: u32,
}

impl Default for RestartPolicy {
    fn default() -> Self {
        Self {
            first: Duration::from_secs(1),
            longest: Duration::from_mins(2),
            stable: Duration::from_mins(10),
            quarantine_after: 10,
        }
    }
}

/// What follows the end of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Another start after this time.
    After(Duration),
    /// None until a person asks.
    Quarantine,
}

/// Failures of a driver in a row.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Restarts {
    failures: u32,
}

impl Restarts {
    /// A process has ended that was ready for `lived`.
    pub fn ended(&mut self, lived: Duration, policy: &RestartPolicy) -> Next {
        if lived >= policy.stable {
            self.failures = 0;
        }
        self.failures = self.failures.saturating_add(1);
        if self.failures >= policy.quarantine_after {
            return Next::Quarantine;
        }
        let doubled = 1_u32
            .checked_shl(self.failures.saturating_sub(1))
            .unwrap_or(u32::MAX);
        Next::After(policy.first.saturating_mul(doubled).min(policy.longest))
    }

    /// A person asks for another start.
    pub const fn forgive(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Next, RestartPolicy, Restarts};

    const POLICY: RestartPolicy = RestartPolicy {
        first: Duration::from_secs(1),
        longest: Duration::from_secs(5),
        stable: Duration::from_secs(60),
        quarantine_after: 5,
    };

    fn seconds(next: Next) -> Option<u64> {
        match next {
            Next::After(wait) => Some(wait.as_secs()),
            Next::Quarantine => None,
        }
    }

    #[test]
    fn waits_double_until_the_quarantine() {
        let mut restarts = Restarts::default();
        let waits: Vec<_> = (0..6)
            .map(|_| seconds(restarts.ended(Duration::ZERO, &POLICY)))
            .collect();
        assert_eq!(waits, [Some(1), Some(2), Some(4), Some(5), None, None]);
        restarts.forgive();
        assert_eq!(seconds(restarts.ended(Duration::ZERO, &POLICY)), Some(1));
    }

    #[test]
    fn a_stable_process_begins_anew() {
        let mut restarts = Restarts::default();
        for _ in 0..4 {
            restarts.ended(Duration::from_secs(59), &POLICY);
        }
        assert_eq!(seconds(restarts.ended(Duration::from_secs(60), &POLICY)), Some(1));
        assert_eq!(seconds(restarts.ended(Duration::ZERO, &POLICY)), Some(2));
    }

    #[test]
    fn many_failures_overflow_nothing() {
        let mut restarts = Restarts::default();
        let patient = RestartPolicy {
            quarantine_after: u32::MAX,
            ..POLICY
        };
        for _ in 0..100 {
            restarts.ended(Duration::ZERO, &patient);
        }
        assert_eq!(seconds(restarts.ended(Duration::ZERO, &patient)), Some(5));
    }
}
