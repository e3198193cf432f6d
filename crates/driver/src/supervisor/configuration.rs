//! What a supervisor needs to know of a driver and of its surroundings.

use std::path::PathBuf;
use std::time::Duration;

use super::restarts::RestartPolicy;
use crate::launch::{Limits, UserIds};

/// A driver to be run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DriverConfiguration {
    /// Its name, a DNS label; the driver has to call itself so too.
    pub name: String,
    /// Its program, an absolute path.
    pub program: PathBuf,
    /// Digest of the program, 64 lower case hexadecimal digits. None runs whatever is there: for the command line, where
    /// the person who asks could as well run the program.
    pub sha256: Option<String>,
    /// Arguments of the program.
    pub arguments: Vec<String>,
    /// Environment beside that of the contract.
    pub environment: Vec<(String, String)>,
    /// User and group to run as; none: as this process.
    pub user: Option<UserIds>,
    /// Limits of its resources.
    pub limits: Limits,
    /// Files and directories that it may read, besides those of the system.
    pub readable: Vec<PathBuf>,
}

/// The program that becomes a driver: it hands its last argument to [`crate::launch::launch_main`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Launcher {
    /// Program.
    pub program: PathBuf,
    /// Arguments before the last one.
    pub arguments: Vec<String>,
}

/// How drivers are supervised.
#[derive(Debug, Clone)]
pub struct SupervisorSettings {
    /// Becomes the driver.
    pub launcher: Launcher,
    /// Directory in which each process gets one for its socket and its temporary files. Its path is short, because that of
    /// a socket has 107 bytes at most.
    pub runtime_dir: PathBuf,
    /// From the start of the process to the answer to `GetInfo`.
    pub start_limit: Duration,
    /// Between two questions after its health.
    pub health_interval: Duration,
    /// For the answer.
    pub health_limit: Duration,
    /// Answers in a row that are missing or bad before the process is ended.
    pub health_failures: u32,
    /// How long calls under way may take when a driver is stopped or replaced.
    pub drain_grace: Duration,
    /// How long a process may take to end when it is told to.
    pub stop_limit: Duration,
    /// When a driver that has ended is started again.
    pub restarts: RestartPolicy,
    /// Longest time for one call.
    pub call_limit: Duration,
}

impl SupervisorSettings {
    /// The usual times.
    #[must_use]
    pub fn new(launcher: Launcher, runtime_dir: PathBuf) -> Self {
        Self {
            launcher,
            runtime_dir,
            start_limit: Duration::from_secs(10),
            health_interval: Duration::from_secs(5),
            health_limit: Duration::from_secs(2),
            health_failures: 3,
            drain_grace: Duration::from_secs(30),
            stop_limit: Duration::from_secs(2),
            restarts: RestartPolicy::default(),
            call_limit: Duration::from_secs(35),
        }
    }
}
