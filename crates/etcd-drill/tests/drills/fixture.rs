//! A place for drills, and snapshots.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use etcd_drill::{Drills, Error, Expected, Settings};
use resources::anywhere::{EtcdDrillFindings, EtcdDrillStage};
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;
use tokio::io::AsyncWriteExt as _;

/// How long a condition may take to come true on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A folder with room for drills, and one for programs.
pub(crate) struct Site {
    folder: TempDir,
    pub(crate) limit: Duration,
}

impl Site {
    /// Without programs.
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("bin")).unwrap();
        Self {
            folder,
            limit: Duration::from_secs(300),
        }
    }

    /// With etcd.
    pub(crate) fn with_etcd() -> Self {
        let site = Self::new();
        site.link_etcd("etcd");
        site.link_etcd("etcdutl");
        site
    }

    /// A program of etcd itself.
    pub(crate) fn link_etcd(&self, name: &str) {
        let to = self.folder.path().join("bin").join(name);
        std::os::unix::fs::symlink(sim::newest_build(name), to).unwrap();
    }

    /// A shell script in the place of a program.
    pub(crate) fn play(&self, name: &str, script: &str) {
        let path = self.folder.path().join("bin").join(name);
        std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn drills(&self) -> Drills {
        drills_in(self.folder.path(), self.limit)
    }

    /// What a drill left behind: nothing, always.
    pub(crate) fn leftovers(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.path("room")).into_iter().flatten();
        let paths = entries.map(|entry| entry.unwrap().path());
        paths.filter(|path| path.is_dir()).collect()
    }

    /// A whole drill; the stages that it went through, and what came of it.
    pub(crate) async fn drill(
        &self,
        snapshot: &[u8],
        expected: &Expected,
    ) -> (Vec<EtcdDrillStage>, Result<EtcdDrillFindings, Error>) {
        let stages = Mutex::new(Vec::new());
        let result = async {
            let mut drill = self.drills().begin(snapshot.len() as u64).await?;
            drill.snapshot().write_all(snapshot).await.unwrap();
            let note = |stage| stages.lock().unwrap().push(stage);
            drill.rehearse(expected, &note).await
        };
        let result = result.await;
        assert_eq!(self.leftovers(), Vec::<PathBuf>::new());
        (stages.into_inner().unwrap(), result)
    }

    /// Why a drill does not pass.
    pub(crate) async fn refused(
        &self,
        snapshot: &[u8],
        expected: &Expected,
    ) -> (EtcdDrillStage, String, bool) {
        let (stages, result) = self.drill(snapshot, expected).await;
        let error = result.unwrap_err();
        (*stages.last().unwrap(), error.to_string(), error.is_of_snapshot())
    }
}

/// Drills with the programs in `bin` and room in `room` of a folder.
pub(crate) fn drills_in(folder: &Path, limit: Duration) -> Drills {
    Drills::new(Settings {
        programs: Some(folder.join("bin")),
        folder: folder.join("room"),
        limit,
    })
}

/// Data as etcd sends them: with their SHA-256 behind them.
pub(crate) fn sent(data: &[u8]) -> Vec<u8> {
    [data, &Sha256::digest(data)].concat()
}

/// Asks until something is as it should be.
pub(crate) async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let began = Instant::now();
    while !condition() {
        assert!(began.elapsed() < PATIENCE, "not {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Whether a process lives: not one that has ended and is still listed.
pub(crate) fn lives(id: &str) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{}/stat", id.trim())).unwrap_or_default();
    let state = status.rsplit(") ").next().and_then(|rest| rest.chars().next());
    state.is_some_and(|state| state != 'Z')
}
