//! What can go wrong with a rack. Each text names the thing and, where there is one, the next step.

use std::io;
use std::path::PathBuf;

/// Why a rack operation failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the virtual rack needs root: it makes network namespaces and taps; run this command with sudo")]
    NotRoot,
    #[error("{program} is missing; install it: apt-get install {package}")]
    MissingProgram {
        program: &'static str,
        package: &'static str,
    },
    #[error("{path} is missing; install it: apt-get install {package}")]
    MissingFile { path: PathBuf, package: &'static str },
    #[error("a rack has 1 to {limit} machines, not {asked}")]
    Machines { asked: usize, limit: usize },
    #[error("{what} of {asked} is too small; at least {least} is needed")]
    TooSmall {
        what: &'static str,
        asked: u64,
        least: u64,
    },
    #[error("rack {id} is running (supervisor {pid}); `gantry lab down` ends it")]
    AlreadyRunning { id: String, pid: i32 },
    #[error("no virtual rack is there; `gantry lab up` starts one")]
    NoRack,
    #[error("there are several racks ({ids}); name one with --id")]
    SeveralRacks { ids: String },
    #[error("rack {id} is not running; `gantry lab up --seed {seed}` starts it")]
    NotRunning { id: String, seed: String },
    #[error("rack {id} has no machine '{name}'; it has {known}")]
    NoMachine { id: String, name: String, known: String },
    #[error("{action} {path} failed")]
    File {
        action: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    #[error("{path} is not readable as rack state; remove its directory to start afresh")]
    State {
        path: PathBuf,
        source: serde_json::Error,
    },
    #[error("cannot run {program}")]
    Spawn { program: String, source: io::Error },
    #[error("`{command}` failed: {output}")]
    Command { command: String, output: String },
    #[error("cannot use network namespace {name}")]
    Namespace { name: String, source: io::Error },
    #[error("cannot listen on {address} in network namespace {namespace}")]
    Listen {
        address: String,
        namespace: String,
        source: io::Error,
    },
    #[error("cannot make the certificate of BMC {host}")]
    Certificate {
        host: String,
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    #[error("QEMU of machine {machine} ended at once: {output}")]
    QemuEnded { machine: String, output: String },
    #[error("the monitor of machine {machine} failed: {problem}")]
    Monitor { machine: String, problem: String },
    #[error("firmware variables of machine {machine}: {problem}")]
    Nvram { machine: String, problem: String },
    #[error("the supervisor of rack {id} did not start: {output}")]
    SupervisorEnded { id: String, output: String },
    #[error("rack {id} is not gone after {seconds} s; left: {left}")]
    NotGone { id: String, seconds: u64, left: String },
}

impl Error {
    /// For `map_err` on file operations.
    pub(crate) fn file(action: &'static str, path: &std::path::Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::File { action, path, source }
    }
}
