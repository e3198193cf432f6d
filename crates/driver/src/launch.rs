//! The step between the supervisor and a driver: this process takes its own rights away and then becomes the driver.
//!
//! What was compared with the digest is what runs: a pinned program is copied into sealed memory, and executed from there.
//! A process of its own does this because between fork and exec of a program with threads hardly anything may be done.

mod error;
mod files;
mod filter;
mod sealed;

use std::convert::Infallible;
use std::ffi::CString;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use nix::errno::Errno;
use nix::sys::prctl;
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::signal::Signal;
use nix::unistd::{Gid, Pid, Uid, fexecve, getppid, setgid, setgroups, setsid, setuid};
use serde::{Deserialize, Serialize};

pub use error::{EXIT_REFUSED, EXIT_SYSTEM, LaunchError};

/// First argument of a program of Gantry when it is to become a driver; the second is for [`launch_main`].
pub const ARGUMENT: &str = "driver-launch";

/// A driver's process, as the supervisor wants it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Launch {
    /// Program, an absolute path.
    pub program: PathBuf,
    /// Digest that it must have, 64 lower case hexadecimal digits; none: any.
    pub sha256: Option<String>,
    /// Arguments after its name.
    pub arguments: Vec<String>,
    /// Its whole environment.
    pub environment: Vec<(String, String)>,
    /// Process that must be the parent, with which it dies.
    pub parent: i32,
    /// User and group to run as; none: as the supervisor.
    pub user: Option<UserIds>,
    /// Limits of its resources.
    pub limits: Limits,
    /// Directories in which it may write.
    pub writable: Vec<PathBuf>,
    /// Files and directories that it may read, besides those of the system.
    pub readable: Vec<PathBuf>,
}

/// Numbers of a user and a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserIds {
    /// User.
    pub uid: u32,
    /// Group; there are no further ones.
    pub gid: u32,
}

/// Limits of a driver's resources, held by the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct Limits {
    /// Memory in MiB: data, heap and stacks of threads (RLIMIT_DATA).
    pub memory_mib: u64,
    /// Open files.
    pub open_files: u64,
    /// Processes and threads; holds only for a user other than root.
    pub processes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory_mib: 1024,
            open_files: 1024,
            processes: 512,
        }
    }
}

/// Becomes the driver that the argument, a [`Launch`] as JSON, describes. Returns only when that fails.
#[must_use]
pub fn launch_main(argument: &str) -> ExitCode {
    let launch = match serde_json::from_str::<Launch>(argument) {
        Ok(launch) => launch,
        Err(error) => {
            log(
                "error",
                &format!("the description of the driver's process can't be read: {error}"),
            );
            return ExitCode::from(EXIT_REFUSED);
        }
    };
    let Err(error) = become_driver(&launch);
    log("error", &causes::line(&error));
    ExitCode::from(error.exit_status())
}

fn become_driver(launch: &Launch) -> Result<Infallible, LaunchError> {
    let program = sealed::open(&launch.program, launch.sha256.as_deref())?;
    let name = launch.program.as_os_str().as_encoded_bytes().to_vec();
    let mut arguments = vec![CString::new(name)?];
    for argument in &launch.arguments {
        arguments.push(CString::new(argument.as_bytes())?);
    }
    let mut environment = Vec::new();
    for (name, value) in &launch.environment {
        environment.push(CString::new(format!("{name}={value}"))?);
    }
    setsid().map_err(system("begin a session"))?;
    limit(launch)?;
    if let Some(user) = launch.user {
        setgroups(&[]).map_err(system(
            "leave all groups; the supervisor needs CAP_SETGID for a user of its own",
        ))?;
        setgid(Gid::from_raw(user.gid)).map_err(system("change the group"))?;
        setuid(Uid::from_raw(user.uid))
            .map_err(system("change the user; the supervisor needs CAP_SETUID"))?;
    }
    // After the change of user, which takes it back.
    prctl::set_pdeathsig(Signal::SIGKILL).map_err(system("die with the supervisor"))?;
    if getppid() != Pid::from_raw(launch.parent) {
        return Err(LaunchError::System(
            "go on: the supervisor has gone",
            Errno::ESRCH,
        ));
    }
    prctl::set_no_new_privs().map_err(system("renounce new privileges"))?;
    let mut readable = launch.readable.clone();
    if launch.sha256.is_none() {
        // What is executed is the file itself.
        readable.push(launch.program.clone());
    }
    let files = files::restrict(&readable, &launch.writable)?;
    filter::apply()?;
    log(
        "info",
        &format!("starting; Landlock {files}, system calls filtered"),
    );
    let error = match fexecve(&program, &arguments, &environment) {
        Ok(never) => match never {},
        Err(error) => error,
    };
    Err(LaunchError::System("execute the program", error))
}

fn limit(launch: &Launch) -> Result<(), LaunchError> {
    let Limits {
        memory_mib,
        open_files,
        processes,
    } = launch.limits;
    let bytes = memory_mib.saturating_mul(1 << 20);
    let mut limits = vec![
        (Resource::RLIMIT_CORE, 0),
        (Resource::RLIMIT_DATA, bytes),
        (Resource::RLIMIT_NOFILE, open_files),
    ];
    // It counts all processes of the user, so it means nothing for one that others share.
    if launch.user.is_some() {
        limits.push((Resource::RLIMIT_NPROC, processes));
    }
    for (resource, most) in limits {
        setrlimit(resource, most, most).map_err(system("limit the driver's resources"))?;
    }
    Ok(())
}

fn system(operation: &'static str) -> impl FnOnce(Errno) -> LaunchError {
    move |errno| LaunchError::System(operation, errno)
}

/// One line as drivers write them: what happens here belongs into the driver's log.
fn log(level: &str, message: &str) {
    let line = serde_json::json!({"level": level, "message": message});
    // Without standard error there is nobody to tell.
    let _ = writeln!(std::io::stderr(), "{line}");
}
