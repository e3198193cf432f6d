//! Programs that the image recipes and `cargo xtask peers` build, run as they are.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::process::{Child, Command};

/// Between two looks at whether a program stands still, and how many of them there are.
const LOOK: Duration = Duration::from_millis(10);
const STOPPING: usize = 3_000;

/// A running program; it ends with this value.
#[derive(Debug)]
pub struct Program {
    child: Child,
    log: PathBuf,
}

impl Program {
    /// Starts the newest build of `name`. What it says goes to `NAME.log` in `folder`.
    ///
    /// # Panics
    /// When there is no such program.
    #[must_use]
    pub fn start(name: &str, folder: &Path, arguments: &[String]) -> Self {
        let log = folder.join(format!("{name}.log"));
        let output = std::fs::File::create(&log).unwrap();
        let child = Command::new(newest_build(name))
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(output.try_clone().unwrap())
            .stderr(output)
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        Self { child, log }
    }

    /// What it has said so far.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Ends it by SIGKILL; its port refuses connections afterwards.
    pub async fn kill(&mut self) {
        self.child.kill().await.unwrap();
    }

    /// Stops it by SIGSTOP: connections to its port are accepted and nothing is answered. Returns when no thread runs any more.
    pub async fn hang(&self) {
        self.signal("-STOP").await;
        let id = self.child.id().expect("it runs");
        let stands_still = || threads(id).all(|state| state == 'T');
        for _ in 0..STOPPING {
            if stands_still() {
                return;
            }
            tokio::time::sleep(LOOK).await;
        }
        panic!("process {id} does not stop");
    }

    /// Goes on after [`Self::hang`].
    pub async fn go_on(&self) {
        self.signal("-CONT").await;
    }

    async fn signal(&self, signal: &str) {
        let id = self.child.id().expect("it runs").to_string();
        let status = Command::new("kill").args([signal, &id]).status().await;
        assert!(status.unwrap().success());
    }
}

/// States of the threads of a process, as `proc_pid_stat(5)` has them.
fn threads(id: u32) -> impl Iterator<Item = char> {
    let tasks = std::fs::read_dir(format!("/proc/{id}/task")).unwrap();
    tasks.filter_map(|task| {
        // A thread that has ended meanwhile has no state.
        let stat = std::fs::read_to_string(task.ok()?.path().join("stat")).ok()?;
        let (_, fields) = stat.rsplit_once(')')?;
        fields.trim_start().chars().next()
    })
}

/// A program that `cargo xtask peers` has built, or else the newest build in the image cache that is not of an older release of
/// Kubernetes.
///
/// # Panics
/// When there is no such program.
#[must_use]
pub fn newest_build(name: &str) -> PathBuf {
    let set = |name: &str| {
        std::env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    let cache = set("XDG_CACHE_HOME").or_else(|| set("HOME").map(|home| home.join(".cache")));
    let cache = cache.expect("HOME is set").join("gantry");
    let peer = cache.join("peers").join(name);
    if peer.is_file() {
        return peer;
    }
    let images = cache.join("images");
    let built = std::fs::read_dir(&images).into_iter().flatten().flatten();
    let is_older = |folder: &Path| {
        let record = std::fs::read(folder.join("built.json")).unwrap_or_default();
        let record: serde_json::Value = serde_json::from_slice(&record).unwrap_or_default();
        record["olderRelease"].is_string()
    };
    let found = built
        .map(|folder| folder.path())
        .filter(|folder| !is_older(folder))
        .map(|folder| folder.join(name))
        .filter(|path| path.is_file());
    let newest = found.max_by_key(|path| path.metadata().and_then(|data| data.modified()).ok());
    newest.unwrap_or_else(|| {
        panic!(
            "no {name} in {}: gantry image build kubernetes etcd; cargo xtask peers",
            cache.display()
        )
    })
}
