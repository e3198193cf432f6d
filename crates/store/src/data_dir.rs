//! The data directory and its exclusive lock.
//!
//! Two processes on one directory would each keep its own view in memory and overwrite the other's, so the lock
//! is taken before any database is opened and held until the process ends (the kernel drops it on `kill -9`).

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::Error;

const LOCK_FILE: &str = "lock";

/// A locked data directory.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    _lock: File,
}

impl DataDir {
    /// Makes the directory (mode 0700) when it is absent and locks it.
    pub fn lock(path: impl Into<PathBuf>) -> Result<DataDir, Error> {
        let path = path.into();
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&path)
            .map_err(|e| failed(&path, e))?;
        let file_path = path.join(LOCK_FILE);
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&file_path)
            .map_err(|e| failed(&file_path, e))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(Error::InUse {
                    holder: holder(&mut file),
                    path,
                });
            }
            Err(TryLockError::Error(e)) => return Err(failed(&file_path, e)),
        }
        // The number only serves the message of the next process; the lock itself is the kernel's.
        let note = format!("{}\n", std::process::id());
        file.set_len(0).map_err(|e| failed(&file_path, e))?;
        file.write_all(note.as_bytes())
            .map_err(|e| failed(&file_path, e))?;
        Ok(DataDir { path, _lock: file })
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Path of a file in it.
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }
}

fn failed(path: &Path, source: std::io::Error) -> Error {
    Error::DataDir {
        path: path.to_owned(),
        source: Arc::new(source),
    }
}

fn holder(file: &mut File) -> String {
    let mut text = String::new();
    let read = file.rewind().and_then(|()| file.read_to_string(&mut text));
    match (read, text.trim().parse::<u32>()) {
        (Ok(_), Ok(pid)) => format!("process {pid}"),
        _ => "another process".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn second_lock_names_the_holder() {
        let dir = tempfile::tempdir().unwrap();
        let first = DataDir::lock(dir.path().join("data")).unwrap();
        let error = DataDir::lock(first.path()).unwrap_err();
        assert!(
            error
                .to_string()
                .contains(&format!("process {}", std::process::id())),
            "{error}"
        );
        let path = first.path().to_owned();
        drop(first);
        DataDir::lock(path).unwrap();
    }
}
