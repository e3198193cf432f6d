//! The list of kill points.

use std::fmt;

/// The environment variable that names the point to be killed at.
#[cfg(debug_assertions)]
const VARIABLE: &str = "GANTRY_KILL_AT";

/// A place between a durable write and its consequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KillPoint {
    /// The claim of a boot session is committed with its certificate, and the agent has no reply.
    ClaimCommitted,
    /// A machine is disarmed, committed and visible to the boot services, and its agent was not told to leave.
    Disarmed,
}

impl KillPoint {
    /// Every kill point; a story goes through them.
    pub const ALL: [KillPoint; 2] = [KillPoint::ClaimCommitted, KillPoint::Disarmed];

    /// Its name in `GANTRY_KILL_AT`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            KillPoint::ClaimCommitted => "claim-committed",
            KillPoint::Disarmed => "disarmed",
        }
    }
}

impl fmt::Display for KillPoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Says that the process is at this point. Returns unless the environment says to be killed here.
#[cfg(debug_assertions)]
pub fn reach(point: KillPoint) {
    use nix::sys::signal::{Signal, raise};

    if std::env::var_os(VARIABLE).is_some_and(|name| name == point.name()) {
        // Cannot fail for a process that signals itself, and SIGKILL does not return.
        let _ = raise(Signal::SIGKILL);
    }
}

/// Says that the process is at this point: nothing in a release build.
#[cfg(not(debug_assertions))]
pub fn reach(_: KillPoint) {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_point_has_a_name_of_its_own() {
        let mut names = KillPoint::ALL.map(KillPoint::name).to_vec();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), KillPoint::ALL.len());
    }

    #[test]
    fn nothing_happens_without_the_variable() {
        KillPoint::ALL.into_iter().for_each(reach);
    }
}
