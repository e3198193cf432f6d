//! A process that is not ready yet: its launch, its first line, and what it says when it ends too early.

use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use nix::unistd::{Gid, Uid, chown};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout, timeout_at};

use super::configuration::{DriverConfiguration, SupervisorSettings};
use super::error::StartError;
use super::log::DriverLog;
use crate::handshake::{
    COOKIE, COOKIE_VARIABLE, Handshake, MINORS, MINORS_VARIABLE, SOCKET_DIR_VARIABLE, print_minors,
};
use crate::launch::{EXIT_REFUSED, Launch};

/// Longest handshake in bytes.
const LONGEST_HANDSHAKE: u64 = 4096;
/// How long the last lines of a process that has ended are waited for.
pub(super) const LAST_WORDS: Duration = Duration::from_secs(1);

/// A process that is not ready yet.
pub(super) struct Starting {
    driver: String,
    log: Arc<DriverLog>,
    pub(super) child: Child,
    pub(super) lifeline: Option<ChildStdin>,
    output: Option<BufReader<ChildStdout>>,
    pub(super) pid: u32,
    /// Reads standard error.
    pub(super) lines: Option<JoinHandle<()>>,
    /// Reads standard output after the handshake.
    pub(super) rest: Option<JoinHandle<()>>,
    pub(super) wrote: Arc<AtomicBool>,
    limit: Duration,
}

impl Starting {
    pub(super) fn spawn(
        driver: &DriverConfiguration,
        settings: &SupervisorSettings,
        directory: &TempDir,
        log: &Arc<DriverLog>,
    ) -> Result<Self, StartError> {
        let failed = |source| StartError::Spawn {
            driver: driver.name.clone(),
            program: settings.launcher.program.clone(),
            source,
        };
        let launch =
            serde_json::to_string(&launch(driver, directory.path())).map_err(|error| failed(error.into()))?;
        let mut child = Command::new(&settings.launcher.program)
            .args(&settings.launcher.arguments)
            .arg(launch)
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(failed)?;
        let (Some(pid), Some(output)) = (child.id(), child.stdout.take()) else {
            return Err(failed(std::io::ErrorKind::BrokenPipe.into()));
        };
        let lines = child.stderr.take().map(|errors| {
            let log = log.clone();
            tokio::spawn(async move { log.read(errors).await })
        });
        Ok(Self {
            driver: driver.name.clone(),
            log: log.clone(),
            lifeline: child.stdin.take(),
            child,
            output: Some(BufReader::new(output)),
            pid,
            lines,
            rest: None,
            wrote: Arc::default(),
            limit: settings.start_limit,
        })
    }

    /// Waits for something, but not longer than the process lives, nor beyond the limit.
    pub(super) async fn within<T>(
        &mut self,
        until: Instant,
        missing: &'static str,
        work: impl Future<Output = T>,
    ) -> Result<T, StartError> {
        tokio::select! {
            biased;
            status = self.child.wait() => {
                let status = status.ok();
                Err(self.ended(status).await)
            }
            done = timeout_at(until, work) => done.map_err(|_| StartError::Late {
                driver: self.driver.clone(),
                seconds: self.limit.as_secs(),
                missing,
            }),
        }
    }

    pub(super) async fn handshake(
        &mut self,
        until: Instant,
        directory: &Path,
    ) -> Result<Handshake, StartError> {
        let Some(mut output) = self.output.take() else {
            return Err(self.ended(None).await);
        };
        let mut line = Vec::new();
        let mut first = (&mut output).take(LONGEST_HANDSHAKE);
        let read = first.read_until(b'\n', &mut line);
        let read = self.within(until, "its line on standard output", read).await?;
        let text = String::from_utf8_lossy(&line).into_owned();
        let driver = self.driver.clone();
        let wrong = |problem: String| StartError::Handshake {
            driver: driver.clone(),
            line: text.chars().take(120).collect(),
            problem,
        };
        if let Err(error) = read {
            return Err(wrong(error.to_string()));
        }
        if line.is_empty() {
            // It has closed its standard output; most often it is about to end, and its end says more.
            self.within(until, "its line on standard output", std::future::pending::<()>())
                .await?;
        }
        let handshake = Handshake::parse(&text).map_err(&wrong)?;
        if !MINORS.contains(&handshake.minor) {
            return Err(wrong(format!(
                "minor version {} was not among {}",
                handshake.minor,
                print_minors(MINORS)
            )));
        }
        if handshake.socket.parent() != Some(directory) {
            return Err(wrong(format!("its socket is not in {}", directory.display())));
        }
        let (log, wrote) = (self.log.clone(), self.wrote.clone());
        let rest = tokio::spawn(async move { watch_output(output, &driver, &log, &wrote).await });
        self.rest = Some(rest);
        Ok(handshake)
    }

    async fn ended(&mut self, status: Option<ExitStatus>) -> StartError {
        // Its last words may still be on their way; a child of it that lives on may keep the pipe open.
        if let Some(lines) = &mut self.lines {
            let _ = timeout(LAST_WORDS, lines).await;
        }
        let last = self.log.last();
        if status.and_then(|status| status.code()) == Some(i32::from(EXIT_REFUSED)) {
            return StartError::Refused {
                driver: self.driver.clone(),
                reason: last.unwrap_or_else(|| "its launcher says nothing".to_owned()),
            };
        }
        StartError::Ended {
            driver: self.driver.clone(),
            status: status.map_or_else(|| "an unknown status".to_owned(), |status| status.to_string()),
            last: last.map(|line| format!(": {line}")).unwrap_or_default(),
        }
    }
}

/// Nothing belongs on standard output after the handshake. What comes is read, so that the driver does not block, and noted
/// once.
async fn watch_output(mut output: BufReader<ChildStdout>, driver: &str, log: &DriverLog, wrote: &AtomicBool) {
    let mut chunk = [0; 4096];
    while output.read(&mut chunk).await.is_ok_and(|read| read > 0) {
        if !wrote.swap(true, Ordering::Relaxed) {
            let text = format!("driver {driver} writes to standard output, which is for the handshake alone");
            log.note("warn", text);
        }
    }
}

pub(super) fn directory(
    driver: &DriverConfiguration,
    settings: &SupervisorSettings,
) -> Result<TempDir, StartError> {
    let failed = |source| StartError::Directory {
        driver: driver.name.clone(),
        directory: settings.runtime_dir.clone(),
        source,
    };
    let directory = tempfile::Builder::new()
        .prefix(&format!("{}-", driver.name))
        .tempdir_in(&settings.runtime_dir)
        .map_err(failed)?;
    if let Some(user) = driver.user {
        chown(
            directory.path(),
            Some(Uid::from_raw(user.uid)),
            Some(Gid::from_raw(user.gid)),
        )
        .map_err(|error| failed(error.into()))?;
    }
    Ok(directory)
}

fn launch(driver: &DriverConfiguration, directory: &Path) -> Launch {
    let directory_text = directory.display().to_string();
    let mut environment = vec![
        (COOKIE_VARIABLE.to_owned(), COOKIE.to_owned()),
        (SOCKET_DIR_VARIABLE.to_owned(), directory_text.clone()),
        (MINORS_VARIABLE.to_owned(), print_minors(MINORS)),
        ("TMPDIR".to_owned(), directory_text),
        ("PATH".to_owned(), "/usr/local/bin:/usr/bin:/bin".to_owned()),
    ];
    environment.extend(driver.environment.iter().cloned());
    Launch {
        program: driver.program.clone(),
        sha256: driver.sha256.clone(),
        arguments: driver.arguments.clone(),
        environment,
        parent: nix::unistd::getpid().as_raw(),
        user: driver.user,
        limits: driver.limits,
        writable: vec![directory.to_owned()],
        readable: driver.readable.clone(),
    }
}
