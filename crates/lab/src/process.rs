//! Processes and threads in another network namespace, and how a process is told from a later one of the same number.
//!
//! The unsafe code is the hook between fork and exec: it makes only system calls that are safe there.
#![allow(unsafe_code)]

use std::fs::File;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

use nix::sched::{CloneFlags, setns};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, getppid, setsid};
use serde::{Deserialize, Serialize};

/// Opens a named network namespace.
pub(crate) fn open_namespace(name: &str) -> io::Result<OwnedFd> {
    File::open(Path::new("/run/netns").join(name)).map(OwnedFd::from)
}

/// Makes the command run in the namespace.
pub(crate) fn enter(command: &mut Command, namespace: OwnedFd) {
    let hook = move || setns(namespace.as_fd(), CloneFlags::CLONE_NEWNET).map_err(io::Error::from);
    // SAFETY: between fork and exec the hook only calls setns(2), which is async-signal-safe, and allocates nothing.
    unsafe { command.pre_exec(hook) };
}

/// Makes the command's process die with the thread that starts it. So start it from a thread that lives as long as the
/// process shall: a worker of the runtime, never a blocking task.
pub(crate) fn die_with_parent(command: &mut Command) {
    let parent = nix::unistd::getpid();
    let hook = move || -> io::Result<()> {
        set_pdeathsig(Signal::SIGKILL)?;
        // The parent may have gone before the line above.
        if getppid() == parent {
            Ok(())
        } else {
            Err(io::ErrorKind::BrokenPipe.into())
        }
    };
    // SAFETY: between fork and exec the hook only calls prctl(2) and getppid(2), and allocates nothing.
    unsafe { command.pre_exec(hook) };
}

/// Makes the command's process a session of its own, which no terminal ends.
pub(crate) fn own_session(command: &mut Command) {
    let hook = || setsid().map(drop).map_err(io::Error::from);
    // SAFETY: between fork and exec the hook only calls setsid(2), and allocates nothing.
    unsafe { command.pre_exec(hook) };
}

/// Runs a function on a thread of its own inside a named network namespace: its sockets and processes are there.
///
/// # Errors
/// When there is no such namespace, and what the function fails with.
pub fn in_namespace<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    inside(open_namespace(name)?, work)
}

/// As [`in_namespace`], in one that is open. Sockets that the function opens stay there.
pub(crate) fn inside<T: Send + 'static>(
    namespace: OwnedFd,
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    let thread = std::thread::Builder::new()
        .name("namespace".to_owned())
        .spawn(move || {
            setns(namespace.as_fd(), CloneFlags::CLONE_NEWNET)?;
            work()
        })?;
    thread
        .join()
        .unwrap_or_else(|_| Err(io::Error::other("the thread in the namespace panicked")))
}

/// A process, told apart by its start time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ProcessId {
    pub(crate) pid: i32,
    /// Clock ticks since boot, field 22 of `/proc/PID/stat`.
    pub(crate) started: u64,
}

impl ProcessId {
    pub(crate) fn of(pid: i32) -> Option<Self> {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let (state, started) = state_and_start(&stat)?;
        (state != 'Z' && state != 'X').then_some(Self { pid, started })
    }

    /// Whether this very process still runs.
    pub(crate) fn alive(self) -> bool {
        Self::of(self.pid) == Some(self)
    }

    /// Sends a signal, if it is still this process.
    pub(crate) fn signal(self, signal: Signal) {
        if self.alive() {
            // It may end in between; then there is nothing to do.
            let _ = kill(Pid::from_raw(self.pid), signal);
        }
    }
}

/// The command name in field 2 may hold anything, so fields are counted from its closing bracket.
fn state_and_start(stat: &str) -> Option<(char, u64)> {
    let mut fields = stat
        .get(stat.rfind(')')?.checked_add(1)?..)?
        .split_ascii_whitespace();
    let state = fields.next()?.chars().next()?;
    Some((state, fields.nth(18)?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn start_times() {
        let stat = "17 (a) b (c)) S 1 17 17 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 4711 9 9 9";
        assert_eq!(state_and_start(stat), Some(('S', 4711)));
        assert_eq!(state_and_start("garbage"), None);
        let own = ProcessId::of(i32::try_from(std::process::id()).unwrap()).unwrap();
        assert!(own.alive());
        assert!(
            !ProcessId {
                started: own.started + 1,
                ..own
            }
            .alive()
        );
    }

    #[test]
    fn a_child_dies_with_its_thread() {
        let child = std::thread::spawn(|| {
            let mut command = Command::new("sleep");
            command.arg("600");
            die_with_parent(&mut command);
            command.spawn().unwrap()
        });
        let mut child = child.join().unwrap();
        let status = child.wait().unwrap();
        assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(9));
    }
}
