//! Programs of the installed system, run in the installer: in its root, with kernel file systems and without a network. They see
//! nothing of the installer's files, and what they mount goes with them.

use std::io::{BufRead as _, BufReader, Read};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::{Pid, chdir, chroot};
use tokio_util::sync::CancellationToken;

use crate::{Error, Lease};

/// Between two looks at whether it has ended or was cancelled.
const LOOK: Duration = Duration::from_millis(100);
/// Bytes of a line; the rest of a longer one is dropped.
const LINE: usize = 1024;
const WHAT: &str = "a program of the installed system";

/// A program of an installed system.
#[derive(Debug, Clone, Copy)]
pub struct InstalledProgram<'a> {
    /// Where the root file system of the system is mounted.
    pub root: &'a Path,
    /// Text for its `/bin/sh`.
    pub script: &'a str,
    /// Arguments of the text.
    pub arguments: &'a [&'a str],
    /// The right to write: the program stands still while it does not hold.
    pub lease: &'a Lease,
    /// Ends the program when it is set.
    pub cancel: &'a CancellationToken,
}

/// Runs a program of an installed system. Each line of its output goes to `line`.
///
/// # Errors
/// When it can't be started, does not succeed, or was cancelled.
pub fn run_installed(program: &InstalledProgram<'_>, line: &mut dyn FnMut(String)) -> Result<(), Error> {
    let root = program.root;
    let mut shell = Command::new("/bin/sh");
    shell
        .args(["-c", program.script, "sh"])
        .args(program.arguments)
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0);
    // Root and namespaces are the thread's alone, and those of what it starts.
    let started = std::thread::scope(|scope| {
        let starts = scope.spawn(|| {
            enter(root)?;
            shell
                .spawn()
                .map_err(Error::file(root.join("bin/sh"), "starting"))
        });
        starts.join().unwrap_or_else(|_| {
            Err(Error::Program {
                what: WHAT,
                status: "not started".to_owned(),
                last: "the thread that starts it has panicked".to_owned(),
            })
        })
    })?;
    supervise(started, program, line)
}

/// The calling thread has the installed system as its root from now on.
fn enter(root: &Path) -> Result<(), Error> {
    let failed = |what: String| Error::kernel(format!("{what} for {WHAT}"));
    unshare(CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWNET)
        .map_err(failed("making namespaces".to_owned()))?;
    let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
    mount(None::<&str>, "/", None::<&str>, private, None::<&str>)
        .map_err(failed("separating the mounts".to_owned()))?;
    let at = |path: &str| root.join(path);
    let none = MsFlags::empty();
    mount(
        Some("/dev"),
        &at("dev"),
        None::<&str>,
        MsFlags::MS_BIND,
        None::<&str>,
    )
    .map_err(failed("showing /dev".to_owned()))?;
    for (kind, path) in [("proc", "proc"), ("tmpfs", "run"), ("tmpfs", "tmp")] {
        mount(Some(kind), &at(path), Some(kind), none, None::<&str>)
            .map_err(failed(format!("mounting /{path}")))?;
    }
    chroot(root).map_err(failed("entering the root".to_owned()))?;
    chdir("/").map_err(failed("entering the root".to_owned()))
}

/// Waits for the end.
fn supervise(
    mut child: Child,
    program: &InstalledProgram<'_>,
    line: &mut dyn FnMut(String),
) -> Result<(), Error> {
    let (sender, lines) = channel();
    for pipe in [
        child
            .stdout
            .take()
            .map(|pipe| Box::new(pipe) as Box<dyn Read + Send>),
        child
            .stderr
            .take()
            .map(|pipe| Box::new(pipe) as Box<dyn Read + Send>),
    ]
    .into_iter()
    .flatten()
    {
        let sender = sender.clone();
        std::thread::spawn(move || read(pipe, &sender));
    }
    drop(sender);
    let mut last = String::new();
    let mut note = |text: String| {
        last.clone_from(&text);
        line(text);
    };
    let status = loop {
        if let Err(reason) = may_go_on(&child, program) {
            end(&mut child);
            return Err(Error::Stopped { reason });
        }
        drain(&lines, &mut note);
        match child.try_wait() {
            Ok(Some(status)) => break status,
            Ok(None) => std::thread::sleep(LOOK),
            Err(error) => {
                end(&mut child);
                return Err(Error::kernel(format!("waiting for {WHAT}"))(error));
            }
        }
    };
    // What it has left behind holds the file system, and the pipes open.
    end(&mut child);
    while let Ok(text) = lines.recv() {
        note(text);
    }
    if status.success() {
        return Ok(());
    }
    Err(Error::Program {
        what: WHAT,
        status: described(status),
        last,
    })
}

/// Blocks while the program may not write, and holds it meanwhile.
fn may_go_on(child: &Child, program: &InstalledProgram<'_>) -> Result<(), String> {
    let is_held = !program.lease.holds();
    if is_held {
        signal(child, Signal::SIGSTOP);
    }
    program.lease.wait(program.cancel)?;
    if is_held {
        signal(child, Signal::SIGCONT);
    }
    Ok(())
}

fn drain(lines: &Receiver<String>, note: &mut dyn FnMut(String)) {
    while let Ok(text) = lines.try_recv() {
        note(text);
    }
}

/// Kills it, with all that it has started.
fn end(child: &mut Child) {
    signal(child, Signal::SIGKILL);
    let _ = child.wait();
}

/// To it and all that it has started. A group that has ended gets nothing.
fn signal(child: &Child, signal: Signal) {
    if let Ok(group) = i32::try_from(child.id()) {
        let _ = killpg(Pid::from_raw(group), signal);
    }
}

fn read(pipe: Box<dyn Read + Send>, lines: &Sender<String>) {
    let mut reader = BufReader::new(pipe);
    let mut bytes = Vec::new();
    while reader
        .read_until(b'\n', &mut bytes)
        .is_ok_and(|length| length > 0)
    {
        bytes.truncate(LINE);
        let text = String::from_utf8_lossy(&bytes).trim_end().to_owned();
        bytes.clear();
        if !text.is_empty() && lines.send(text).is_err() {
            return;
        }
    }
}

fn described(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit status {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => "unknown end".to_owned(),
    }
}
