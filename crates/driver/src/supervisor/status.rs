//! What the core sees of a driver.

use jiff::Timestamp;

use crate::v1::GetInfoResponse;

/// How far a driver is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DriverPhase {
    /// Its process starts.
    Starting,
    /// It takes calls.
    Ready,
    /// It has ended, and is started again soon.
    Waiting,
    /// It is left alone until a person asks for it.
    Quarantined,
    /// It is not wanted any more.
    Stopped,
}

impl DriverPhase {
    /// Its name, as objects and people have it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Ready => "ready",
            Self::Waiting => "waiting",
            Self::Quarantined => "quarantined",
            Self::Stopped => "stopped",
        }
    }
}

/// What is so of a driver.
#[derive(Debug, Clone, PartialEq)]
pub struct DriverStatus {
    /// How far it is.
    pub phase: DriverPhase,
    /// Since when.
    pub since: Timestamp,
    /// Why, for people; empty while it is ready.
    pub reason: String,
    /// When the next start is, while it waits.
    pub next_start: Option<Timestamp>,
    /// Process, while there is one that is ready.
    pub pid: Option<u32>,
    /// Processes that were started after the first one.
    pub restarts: u64,
    /// What it said of itself last.
    pub info: Option<GetInfoResponse>,
    /// How its process is confined, while there is one that is ready.
    pub isolation: Option<Isolation>,
}

/// How a process is confined, as the kernel says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Isolation {
    /// User that it runs as.
    pub uid: u32,
    /// Whether it can't gain privileges.
    pub no_new_privileges: bool,
    /// Filters of system calls that it is under.
    pub filters: u32,
}

impl Isolation {
    /// Of a process, from `/proc/PID/status`.
    pub(super) fn of(pid: u32) -> Option<Self> {
        Self::parse(&std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?)
    }

    fn parse(status: &str) -> Option<Self> {
        let number = |name: &str| -> Option<u32> {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            line.trim_start_matches(':')
                .split_whitespace()
                .next()?
                .parse()
                .ok()
        };
        Some(Self {
            uid: number("Uid")?,
            no_new_privileges: number("NoNewPrivs")? == 1,
            filters: number("Seccomp_filters").unwrap_or_default(),
        })
    }
}

/// Why no call can be made now.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("driver {driver} is {phase}: {reason}", phase = phase.name())]
pub struct NotReady {
    /// Driver.
    pub driver: String,
    /// How far it is.
    pub phase: DriverPhase,
    /// Why.
    pub reason: String,
}

#[cfg(test)]
mod tests {
    use super::Isolation;

    #[test]
    fn the_kernels_text_is_read() {
        let text =
            "Name:\td\nUid:\t65534\t65534\t65534\t65534\nNoNewPrivs:\t1\nSeccomp:\t2\nSeccomp_filters:\t2\n";
        let wanted = Isolation {
            uid: 65534,
            no_new_privileges: true,
            filters: 2,
        };
        assert_eq!(Isolation::parse(text), Some(wanted));
        assert_eq!(Isolation::parse("Name:\td\n"), None);
    }
}
