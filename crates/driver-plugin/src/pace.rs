//! How often drivers are asked.

use jiff::SignedDuration;

/// Times between calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// Until the next call about a machine that is being made or deleted, where its driver does not say.
    pub poll: SignedDuration,
    /// Between two looks at a machine that runs.
    pub observe: SignedDuration,
    /// How long a machine is said to be absent before it counts as gone, beside twice the time that lists of its provider lag
    /// behind.
    pub confirm: SignedDuration,
    /// After a call that has failed; doubled with each one that follows.
    pub first_pause: SignedDuration,
    /// Longest time after a call that has failed.
    pub longest_pause: SignedDuration,
    /// Until something is tried once more that most likely takes a change by a person.
    pub change: SignedDuration,
    /// Between two lists of orphans.
    pub orphans: SignedDuration,
    /// Between two checks of a scope for a cluster.
    pub check: SignedDuration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            poll: SignedDuration::from_secs(5),
            observe: SignedDuration::from_secs(60),
            confirm: SignedDuration::from_secs(30),
            first_pause: SignedDuration::from_secs(1),
            longest_pause: SignedDuration::from_mins(5),
            change: SignedDuration::from_mins(5),
            orphans: SignedDuration::from_hours(1),
            check: SignedDuration::from_mins(10),
        }
    }
}
