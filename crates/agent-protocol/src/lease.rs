//! The lease of an agent on its machine: how often it reports, how long silence may last, and when each was last heard.
//!
//! Kept in memory: after a restart of the appliance a lease counts from the start, so an outage of ours never looks
//! like one of the agent.

use std::collections::HashMap;
use std::fmt;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// How often an agent reports while an action runs.
pub const HEARTBEAT: Duration = Duration::from_secs(10);
/// Silence after which an agent no longer holds its machine. The agent counts it on its own clock and stops writing.
pub const LEASE: Duration = Duration::from_secs(45);
/// How long a server keeps a `Next` call open; an agent that waits is heard well within [`LEASE`].
pub const NEXT_WAIT: Duration = Duration::from_secs(20);

/// When each agent was last heard, by the serial number of its certificate.
pub struct Leases {
    clock: Box<dyn Fn() -> Instant + Send + Sync>,
    started: Instant,
    heard: Mutex<HashMap<String, Instant>>,
}

impl fmt::Debug for Leases {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Leases")
            .field("heard", &self.table().len())
            .finish_non_exhaustive()
    }
}

impl Default for Leases {
    fn default() -> Self {
        Self::with_clock(Instant::now)
    }
}

impl Leases {
    /// Leases that count on this clock.
    pub fn with_clock(clock: impl Fn() -> Instant + Send + Sync + 'static) -> Self {
        Self {
            started: clock(),
            clock: Box::new(clock),
            heard: Mutex::default(),
        }
    }

    /// The agent with this certificate has just been heard.
    pub fn hear(&self, serial: &str) {
        let now = (self.clock)();
        self.table().insert(serial.to_owned(), now);
    }

    /// How long the agent has been silent; counted from the start of this process at most.
    #[must_use]
    pub fn silence(&self, serial: &str) -> Duration {
        let last = self.table().get(serial).copied();
        (self.clock)().saturating_duration_since(last.unwrap_or(self.started))
    }

    /// The certificate counts no more.
    pub fn forget(&self, serial: &str) {
        self.table().remove(serial);
    }

    fn table(&self) -> std::sync::MutexGuard<'_, HashMap<String, Instant>> {
        self.heard
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
