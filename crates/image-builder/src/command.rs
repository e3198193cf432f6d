//! Runs the programs that recipes call: their output becomes progress, their failure an error with its end.

use std::collections::VecDeque;
use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use crate::error::{Error, Result};

/// Lines of a failed program's output that the error shows.
const TAIL: usize = 20;
/// How often a cancelled build is noticed while a program is silent.
const POLL: Duration = Duration::from_millis(200);

/// A program to be run.
#[derive(Debug)]
pub(crate) struct Run {
    command: Command,
    shown: String,
}

impl Run {
    /// A program, without arguments yet.
    pub(crate) fn new(program: impl AsRef<OsStr>) -> Self {
        let program = program.as_ref();
        let mut command = Command::new(program);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .env("LC_ALL", "C");
        Self {
            command,
            shown: program.to_string_lossy().into_owned(),
        }
    }

    /// A shell script whose mounts and processes end with it, whatever happens.
    pub(crate) fn contained_script(script: &Path) -> Self {
        Self::new("unshare")
            .args([
                "--mount",
                "--propagation",
                "private",
                "--pid",
                "--fork",
                "--kill-child",
                "sh",
            ])
            .arg(script)
    }

    pub(crate) fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.shown.push(' ');
        self.shown.push_str(&arg.as_ref().to_string_lossy());
        self.command.arg(arg);
        self
    }

    pub(crate) fn args<I>(self, args: I) -> Self
    where
        I: IntoIterator,
        I::Item: AsRef<OsStr>,
    {
        args.into_iter().fold(self, Self::arg)
    }

    pub(crate) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    pub(crate) fn folder(mut self, folder: &Path) -> Self {
        self.command.current_dir(folder);
        self
    }

    /// Runs to the end; each line goes to `line`.
    pub(crate) fn lines(mut self, cancel: &AtomicBool, line: &mut dyn FnMut(&str)) -> Result<()> {
        let mut child = self.command.spawn().map_err(|source| Error::Start {
            program: self.shown.clone(),
            source,
        })?;
        let (send, receive) = mpsc::sync_channel(64);
        let readers = [
            child.stdout.take().map(|pipe| follow(pipe, send.clone())),
            child.stderr.take().map(|pipe| follow(pipe, send.clone())),
        ];
        drop(send);
        let mut tail = VecDeque::new();
        loop {
            if cancel.load(Ordering::Relaxed) {
                stop(&mut child);
                return Err(Error::Cancelled);
            }
            match receive.recv_timeout(POLL) {
                Ok(text) => {
                    line(&text);
                    if tail.len() == TAIL {
                        tail.pop_front();
                    }
                    tail.push_back(text);
                }
                Err(mpsc::RecvTimeoutError::Timeout) => {}
                Err(mpsc::RecvTimeoutError::Disconnected) => break,
            }
        }
        for reader in readers.into_iter().flatten() {
            // A reader that panicked lost output, not the program's verdict.
            let _ = reader.join();
        }
        let status = child.wait().map_err(|source| Error::Start {
            program: self.shown.clone(),
            source,
        })?;
        if status.success() {
            return Ok(());
        }
        Err(Error::Command {
            program: self.shown,
            status: status.to_string(),
            tail: Vec::from(tail).join("\n"),
        })
    }

    /// Runs to the end and returns what it printed.
    pub(crate) fn output(self, cancel: &AtomicBool) -> Result<String> {
        let mut text = String::new();
        self.lines(cancel, &mut |line| {
            text.push_str(line);
            text.push('\n');
        })?;
        Ok(text)
    }
}

fn follow(pipe: impl Read + Send + 'static, lines: mpsc::SyncSender<String>) -> std::thread::JoinHandle<()> {
    std::thread::spawn(move || {
        let mut reader = BufReader::new(pipe);
        let mut octets = Vec::new();
        while reader.read_until(b'\n', &mut octets).is_ok_and(|read| read > 0) {
            let text = String::from_utf8_lossy(&octets).trim_end().to_owned();
            octets.clear();
            if !text.is_empty() && lines.send(text).is_err() {
                break;
            }
        }
    })
}

fn stop(child: &mut Child) {
    if let Err(error) = child.kill().and_then(|()| child.wait()) {
        tracing::warn!(%error, "cannot stop a program of a cancelled build");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_shows_the_end_of_the_output() {
        let error = Run::new("sh")
            .args(["-c", "seq 1 50; echo no space >&2; exit 3"])
            .output(&AtomicBool::new(false))
            .unwrap_err();
        let text = error.to_string();
        assert!(
            text.contains("no space") && text.contains("exit status: 3") && !text.contains("\n1\n"),
            "{text}"
        );
    }

    #[test]
    fn lines_of_both_pipes_are_seen() {
        let text = Run::new("sh")
            .args(["-c", "echo out; echo err >&2"])
            .output(&AtomicBool::new(false))
            .unwrap();
        assert!(text.contains("out\n") && text.contains("err\n"));
    }

    #[test]
    fn a_cancelled_build_ends_its_program() {
        let cancel = AtomicBool::new(true);
        assert!(matches!(
            Run::new("sleep").arg("1000").output(&cancel),
            Err(Error::Cancelled)
        ));
    }

    #[test]
    fn a_missing_program_is_named() {
        let error = Run::new("no-such-program")
            .output(&AtomicBool::new(false))
            .unwrap_err();
        assert!(error.to_string().contains("no-such-program"));
    }
}
