//! What a process did, in order, as strace saw it: is a reply sent only after what it promises was synced?
//!
//! Reads the output of `strace -f -yy -o FILE`. Begin and end of a call are lines of the file, and where one thread waits
//! for another their order is the kernel's: strace stops a thread before a call begins and after it has ended.

mod calls;
mod promise;

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::Context;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::process::{Child, Command};

use crate::waiting::until;
use calls::calls;
use promise::check;

pub(crate) use promise::Promise;

/// Calls that write files, sync them, or send.
const CALLS: &str = "trace=fdatasync,fsync,pwrite64,pwritev,write,writev,sendto,sendmsg,sendmmsg";
/// More than a page of a database.
const STRING: &str = "8192";
const ATTACH: Duration = Duration::from_secs(20);
const SHOW: Duration = Duration::from_secs(20);

/// strace, attached to a process.
pub(crate) struct Tracer {
    process: u32,
    child: Child,
    file: PathBuf,
}

impl Tracer {
    /// Attaches to all threads.
    pub(crate) async fn attach(process: u32, file: &Path) -> anyhow::Result<Tracer> {
        let child = Command::new("strace")
            .args(["-f", "-yy", "-qq", "-s", STRING, "-e", CALLS, "-o"])
            .arg(file)
            .args(["-p", &process.to_string()])
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .context("strace does not start")?;
        until("strace is attached", ATTACH, || async {
            let left = threads(process, |status| status.contains("\nTracerPid:\t0\n"));
            match left.map_err(|error| error.to_string())? {
                0 => Ok(()),
                left => Err(format!("{left} threads are not traced")),
            }
        })
        .await?;
        Ok(Tracer {
            process,
            child,
            file: file.to_owned(),
        })
    }

    /// What was traced up to now: the place that the next call starts from, at the begin of a line. A client has its
    /// answer before strace has told of the send, so first every thread has to sleep: then each call is told.
    pub(crate) async fn mark(&self) -> anyhow::Result<u64> {
        until("the process sleeps", SHOW, || async {
            let awake = threads(self.process, |status| !status.contains("\nState:\tS"));
            match awake.map_err(|error| error.to_string())? {
                0 => Ok(()),
                awake => Err(format!("{awake} threads are awake")),
            }
        })
        .await?;
        let text = std::fs::read(&self.file)?;
        let lines = text.iter().rposition(|octet| *octet == b'\n');
        Ok(lines.map_or(0, |end| end + 1).try_into()?)
    }

    /// Checks a promise in what was traced since a mark.
    pub(crate) async fn kept(&self, since: u64, promise: &Promise) -> anyhow::Result<()> {
        until("the trace shows commit, sync and reply", SHOW, || async {
            let text = std::fs::read(&self.file).map_err(|error| error.to_string())?;
            let start = usize::try_from(since).unwrap_or(usize::MAX);
            let text = String::from_utf8_lossy(text.get(start..).unwrap_or_default()).into_owned();
            check(&calls(&text), promise)
        })
        .await?;
        println!("{}: sent after its commit was synced", promise.what);
        Ok(())
    }

    /// Detaches; the process goes on.
    pub(crate) async fn end(mut self) -> anyhow::Result<()> {
        let id = i32::try_from(self.child.id().context("strace ended by itself")?)?;
        kill(Pid::from_raw(id), Signal::SIGTERM)?;
        self.child.wait().await?;
        Ok(())
    }
}

/// How many threads of a process have such a status.
fn threads(process: u32, like: impl Fn(&str) -> bool) -> std::io::Result<usize> {
    let mut count = 0;
    for thread in std::fs::read_dir(format!("/proc/{process}/task"))? {
        match std::fs::read_to_string(thread?.path().join("status")) {
            Ok(status) => count += usize::from(like(&status)),
            // It ended in between.
            Err(error) if error.raw_os_error() == Some(nix::libc::ESRCH) => {}
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(count)
}
