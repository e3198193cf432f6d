//! How often BMCs are polled, and how many at once.

use std::time::Duration;

/// How often and how much at once.
#[derive(Debug, Clone)]
pub struct PowerOptions {
    /// Time between polls of a BMC.
    pub poll: Duration,
    /// BMCs that are spoken to at once, for each of the three kinds.
    pub concurrency: u16,
}

impl Default for PowerOptions {
    fn default() -> Self {
        Self {
            poll: Duration::from_secs(60),
            concurrency: 32,
        }
    }
}
