//! Programs of a drill: children that end with it, with limits, and with what they say kept in files of the scratch folder.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::process::{Child, ChildStdin, Command};

use crate::error::Error;
use crate::scratch::{Scratch, failed};
use crate::transcript;

const WATCH: &str = include_str!("watch.sh");
/// Folders of the shell's programs.
const SYSTEM: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// Memory that a program may take, and that etcd does take, beside what its data need.
const LIMIT: u64 = 512 << 20;
const USUAL: u64 = 128 << 20;

/// Bytes of memory that must be there for the programs of a drill of a snapshot of `size` bytes: etcd keeps an index of all keys.
pub(crate) const fn memory(size: u64) -> u64 {
    USUAL.saturating_add(size)
}

/// Where the programs are, and how much memory each may take.
#[derive(Debug)]
pub(crate) struct Programs {
    folder: PathBuf,
    /// Bytes.
    limit: u64,
}

/// A program that is running, with all that it has started. They end with this value.
#[derive(Debug)]
pub(crate) struct Running {
    child: Child,
    /// Ends the program when it is closed, also by the end of this process.
    _alive: Option<ChildStdin>,
    name: &'static str,
    said: PathBuf,
    result: PathBuf,
}

impl Programs {
    /// Those in a folder, for a snapshot of `size` bytes.
    pub(crate) fn open(folder: Option<&Path>, size: u64) -> Result<Self, Error> {
        let folder = folder.ok_or(Error::NoParts)?;
        if !["etcd", "etcdutl"].iter().all(|name| folder.join(name).is_file()) {
            return Err(Error::NoPrograms {
                folder: folder.to_owned(),
            });
        }
        Ok(Self {
            folder: folder.to_owned(),
            limit: LIMIT.saturating_add(size),
        })
    }

    /// Starts a program; `name` is also that of its log.
    pub(crate) fn start(
        &self,
        scratch: &Scratch,
        name: &'static str,
        command: &[String],
    ) -> Result<Running, Error> {
        let (said, result) = (
            scratch.path(&format!("{name}.log")),
            scratch.path(&format!("{name}.out")),
        );
        let file = |path: &Path| std::fs::File::create(path).map_err(failed("write", path));
        let child = Command::new("sh")
            .args(["-c", WATCH, "drill", &(self.limit / 1024).to_string()])
            .args(command)
            .env_clear()
            .env("PATH", format!("{}:{SYSTEM}", self.folder.display()))
            // Go collects garbage more often before it meets the limit.
            .env("GOMEMLIMIT", (self.limit / 4 * 3).to_string())
            .current_dir(scratch.path(""))
            .stdin(Stdio::piped())
            .stdout(file(&result)?)
            .stderr(file(&said)?)
            .process_group(0)
            .spawn();
        let mut child = child.map_err(|source| Error::Program {
            program: name,
            source,
        })?;
        Ok(Running {
            _alive: child.stdin.take(),
            child,
            name,
            said,
            result,
        })
    }

    /// Runs a program to its end, and gives what it wrote to standard output. `Ok(Err(_))` says why it failed.
    pub(crate) async fn run(
        &self,
        scratch: &Scratch,
        name: &'static str,
        command: &[String],
    ) -> Result<Result<String, String>, Error> {
        let mut running = self.start(scratch, name, command)?;
        let ended = running.child.wait().await;
        let status = ended.map_err(|source| Error::Program {
            program: name,
            source,
        })?;
        Ok(match status.success() {
            true => Ok(read(&running.result)),
            false => Err(running.reason()),
        })
    }
}

impl Running {
    /// Why it has ended, when it has.
    pub(crate) fn ended(&mut self) -> Result<Option<String>, Error> {
        let program = self.name;
        let status = self.child.try_wait();
        let status = status.map_err(|source| Error::Program { program, source })?;
        Ok(status.map(|status| format!("{} ({status})", self.reason())))
    }

    /// Ends it, and waits until it is gone.
    pub(crate) async fn end(mut self) {
        self.kill();
        let _ = self.child.wait().await;
    }

    fn kill(&self) {
        let group = self.child.id().and_then(|id| i32::try_from(id).ok());
        if let Some(group) = group {
            // Without the id it has been waited for, and then its group is empty.
            let _ = killpg(Pid::from_raw(group), Signal::SIGKILL);
        }
    }

    /// What is wrong with it, by what it has said.
    pub(crate) fn reason(&self) -> String {
        transcript::reason(&read(&self.said))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A program may have been cut off inside of a character.
fn read(path: &Path) -> String {
    String::from_utf8_lossy(&std::fs::read(path).unwrap_or_default()).into_owned()
}
