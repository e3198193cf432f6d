//! A driver's process and what it has started: a group of processes, because the driver begins a session.

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

/// Ends every process of the group at once.
pub(super) fn end_group(leader: u32) {
    if let Ok(group) = i32::try_from(leader) {
        // There may be no such group: not yet, or not any more.
        let _ = killpg(Pid::from_raw(group), Signal::SIGKILL);
    }
}
