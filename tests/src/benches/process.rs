//! A server in the cable's namespace, measured from outside.

use std::fs::{File, read_dir, read_to_string};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::leftovers::children;
use crate::command::done;

/// Time to end by itself after SIGTERM.
const END: Duration = Duration::from_secs(20);
/// Time to settle before memory is read; what is freed late would count else.
const SETTLE: Duration = Duration::from_secs(3);
/// Time over which idle CPU is counted.
const WATCH: Duration = Duration::from_secs(10);

/// A running server.
pub(super) struct Process {
    name: String,
    child: Child,
    /// Just before its program was started.
    pub(super) began: Instant,
}

impl Process {
    /// Starts a command in a namespace; what it says goes to `log`.
    pub(super) fn start(namespace: &str, mut command: Command, log: &Path) -> anyhow::Result<Process> {
        let file = File::options().append(true).create(true).open(log)?;
        command
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file);
        let name = command.get_program().to_string_lossy().into_owned();
        let (began, child) = lab::in_namespace(namespace, move || {
            let began = Instant::now();
            command.spawn().map(|child| (began, child))
        })
        .with_context(|| name.clone())?;
        Ok(Process { name, child, began })
    }

    /// Number of the process.
    pub(super) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits until nothing of the start is left to do.
    pub(super) fn settle(&self) {
        std::thread::sleep(SETTLE);
    }

    /// Resident memory, MB.
    pub(super) fn resident(&self) -> anyhow::Result<f64> {
        let status = read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .context("no VmRSS")?;
        let kilobytes: f64 = line.trim().trim_end_matches(" kB").parse()?;
        Ok(kilobytes * 1024.0 / 1e6)
    }

    /// Share of one core that it uses when nobody asks for anything, percent.
    pub(super) fn idle_cpu(&self) -> anyhow::Result<f64> {
        let (before, began) = (self.cpu()?, Instant::now());
        std::thread::sleep(WATCH);
        let used = self.cpu()?.saturating_sub(before);
        Ok(used.as_secs_f64() / began.elapsed().as_secs_f64() * 100.0)
    }

    /// CPU time of all its threads, and of those of the processes that it started.
    pub(super) fn cpu(&self) -> io::Result<Duration> {
        let own = self.child.id();
        let mut total = of_threads(own)?;
        for child in children(own) {
            // It may end in between.
            total += u32::try_from(child).map_or(Ok(0), of_threads).unwrap_or(0);
        }
        Ok(Duration::from_nanos(total))
    }

    /// Ends it by SIGTERM and waits.
    pub(super) fn end(mut self) -> anyhow::Result<()> {
        kill(Pid::from_raw(i32::try_from(self.child.id())?), Signal::SIGTERM)?;
        let asked = Instant::now();
        while self.child.try_wait()?.is_none() {
            if asked.elapsed() > END {
                bail!("{} does not end on SIGTERM", self.name);
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // After a clean end both say that there is no such process.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Nanoseconds of CPU time of a process's threads.
fn of_threads(process: u32) -> io::Result<u64> {
    let mut total = 0;
    for task in read_dir(format!("/proc/{process}/task"))? {
        // A thread may end in between.
        let text = read_to_string(task?.path().join("schedstat")).unwrap_or_default();
        let field = text.split(' ').next().and_then(|field| field.parse::<u64>().ok());
        total += field.unwrap_or(0);
    }
    Ok(total)
}

/// A peer's program, whose Debian package is installed when it is missing.
pub(super) fn installed(program: &str, package: &str) -> anyhow::Result<PathBuf> {
    let path = PathBuf::from(program);
    if !path.is_file() {
        done(Command::new("apt-get").args(["install", "-qq", "-y", "--no-install-recommends", package]))
            .with_context(|| format!("the peer {package} is not there"))?;
    }
    Ok(path)
}
