//! The cache of built parts: `CACHE/<recipe digest>/` with the files and `built.json`.

use std::fs;
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg};
use resources::Digest;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::progress::{Event, Progress};

/// File that describes a finished part.
const RECORD: &str = "built.json";
/// Beginning of the names of unfinished directories.
const STAGING: &str = ".making-";

/// `$XDG_CACHE_HOME/gantry/images`, else `~/.cache/gantry/images`.
#[must_use]
pub fn default_cache_dir() -> PathBuf {
    let set = |name: &str| {
        std::env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    set("XDG_CACHE_HOME")
        .or_else(|| set("HOME").map(|home| home.join(".cache")))
        .unwrap_or_else(|| PathBuf::from("/root/.cache"))
        .join("gantry/images")
}

/// What `built.json` holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Record {
    /// Part.
    pub(crate) name: String,
    /// Recipe that it was built from.
    pub(crate) recipe_digest: Digest,
    /// Digest of the result.
    pub(crate) digest: Digest,
    /// Bytes of all files.
    pub(crate) size: u64,
    /// Minor version of Kubernetes, where the newest release has another such part.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) older_release: Option<String>,
}

/// The cache directory.
#[derive(Debug)]
pub(crate) struct Cache {
    root: PathBuf,
}

impl Cache {
    pub(crate) fn new(root: &Path) -> Self {
        Self {
            root: root.to_owned(),
        }
    }

    /// Where the result of a recipe lies, there or not.
    pub(crate) fn path(&self, recipe: Digest) -> PathBuf {
        self.root.join(recipe.hex())
    }

    /// The record of a finished part.
    pub(crate) fn find(&self, recipe: Digest) -> Result<Option<Record>> {
        let path = self.path(recipe).join(RECORD);
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Error::file("read", &path)(error)),
        };
        serde_json::from_slice(&text)
            .map(Some)
            .map_err(|source| Error::Damaged { path, source })
    }

    /// Keeps other builders out until the guard is dropped. Waits for the one that is at work.
    pub(crate) fn lock(&self, progress: &Progress) -> Result<Flock<fs::File>> {
        fs::create_dir_all(&self.root).map_err(Error::file("create", &self.root))?;
        let path = self.root.join("lock");
        let open = || {
            fs::OpenOptions::new()
                .create(true)
                .truncate(false)
                .write(true)
                .open(&path)
        };
        let file = open().map_err(Error::file("open", &path))?;
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(guard) => Ok(guard),
            Err((file, _)) => {
                progress(Event::Waiting);
                Flock::lock(file, FlockArg::LockExclusive)
                    .map_err(|(_, errno)| Error::file("lock", &path)(errno.into()))
            }
        }
    }

    /// Removes what interrupted builds left. Only under the lock.
    pub(crate) fn sweep(&self) -> Result<()> {
        let entries = fs::read_dir(&self.root).map_err(Error::file("list", &self.root))?;
        for entry in entries.flatten() {
            if entry.file_name().to_string_lossy().starts_with(STAGING) {
                let path = entry.path();
                fs::remove_dir_all(&path).map_err(Error::file("remove", &path))?;
            }
        }
        Ok(())
    }

    /// An empty directory to build in.
    pub(crate) fn staging(&self, recipe: Digest) -> Result<Staging> {
        let path = self.root.join(format!("{STAGING}{}", recipe.hex()));
        let staging = Staging { path };
        staging.clear()?;
        for folder in [staging.out(), staging.work()] {
            fs::create_dir_all(&folder).map_err(Error::file("create", &folder))?;
        }
        Ok(staging)
    }

    /// Gives a finished result its final name, replacing an older one.
    pub(crate) fn publish(&self, staging: &Staging, record: &Record) -> Result<()> {
        let out = staging.out();
        let path = out.join(RECORD);
        let text = serde_json::to_vec_pretty(record).map_err(|source| Error::Damaged {
            path: path.clone(),
            source,
        })?;
        fs::write(&path, text).map_err(Error::file("write", &path))?;
        sync_files(&out)?;
        let target = self.path(record.recipe_digest);
        if target.exists() {
            // Moved into the staging directory first: a half-removed result must not keep the final name.
            let old = staging.path.join("old");
            fs::rename(&target, &old).map_err(Error::file("replace", &target))?;
        }
        fs::rename(&out, &target).map_err(Error::file("rename", &out))
    }
}

/// Only the result is forced to disk; the scratch space beside it is many times as large and about to go.
fn sync_files(folder: &Path) -> Result<()> {
    for entry in fs::read_dir(folder)
        .map_err(Error::file("list", folder))?
        .flatten()
    {
        let path = entry.path();
        fs::File::open(&path)
            .and_then(|file| file.sync_all())
            .map_err(Error::file("sync", &path))?;
    }
    Ok(())
}

/// A directory under a temporary name, removed when dropped.
#[derive(Debug)]
pub(crate) struct Staging {
    path: PathBuf,
}

impl Staging {
    /// What becomes the result.
    pub(crate) fn out(&self) -> PathBuf {
        self.path.join("out")
    }

    /// Scratch space.
    pub(crate) fn work(&self) -> PathBuf {
        self.path.join("work")
    }

    fn clear(&self) -> Result<()> {
        match fs::remove_dir_all(&self.path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(Error::file("remove", &self.path)(error))
            }
            _ => Ok(()),
        }
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        if let Err(error) = self.clear() {
            tracing::warn!(%error, "cannot remove a build's scratch space");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(recipe: Digest) -> Record {
        Record {
            older_release: None,
            name: "etcd".into(),
            recipe_digest: recipe,
            digest: Digest::new([2; 32]),
            size: 3,
        }
    }

    #[test]
    fn a_result_appears_at_once_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::new(folder.path());
        let recipe = Digest::new([1; 32]);
        let _guard = cache.lock(&|_| ()).unwrap();

        let staging = cache.staging(recipe).unwrap();
        fs::write(staging.out().join("etcd"), "one").unwrap();
        assert_eq!(cache.find(recipe).unwrap(), None);
        drop(staging);
        assert_eq!(cache.find(recipe).unwrap(), None);

        let staging = cache.staging(recipe).unwrap();
        fs::write(staging.out().join("etcd"), "two").unwrap();
        cache.publish(&staging, &record(recipe)).unwrap();
        drop(staging);
        assert_eq!(cache.find(recipe).unwrap(), Some(record(recipe)));
        assert_eq!(
            fs::read_to_string(cache.path(recipe).join("etcd")).unwrap(),
            "two"
        );

        let staging = cache.staging(recipe).unwrap();
        fs::write(staging.out().join("etcd"), "three").unwrap();
        cache.publish(&staging, &record(recipe)).unwrap();
        drop(staging);
        assert_eq!(
            fs::read_to_string(cache.path(recipe).join("etcd")).unwrap(),
            "three"
        );
        assert_eq!(
            fs::read_dir(folder.path()).unwrap().count(),
            2,
            "the result and the lock"
        );
    }

    #[test]
    fn what_an_interrupted_build_left_is_swept() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::new(folder.path());
        fs::create_dir_all(folder.path().join(".making-abc/out")).unwrap();
        fs::create_dir_all(folder.path().join("abc")).unwrap();
        cache.sweep().unwrap();
        assert!(!folder.path().join(".making-abc").exists());
        assert!(folder.path().join("abc").exists());
    }
}
