//! The key directory: 0700, outside the data directory, made at the first start.
//!
//! A key file appears complete or not at all: it is written under another name with mode 0600, synced, and linked to
//! its name, which fails when another process was first; then that one's content counts.

use std::fs::{self, DirBuilder, File};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use crate::Error;
use crate::private_file::write_new;

/// A directory of key files.
#[derive(Debug, Clone)]
pub struct KeyDir {
    path: PathBuf,
}

impl KeyDir {
    /// Opens the directory and makes it when it is missing. Refuses one that others may enter.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, Error> {
        let path = path.into();
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&path)
            .map_err(|source| failed("make", &path, source))?;
        check_mode(&path, 0o700)?;
        Ok(Self { path })
    }

    /// Where it lies.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Path of a file in it.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// The file's content; `make` gives it when there is none yet.
    pub(crate) fn load_or_create(
        &self,
        name: &str,
        make: impl FnOnce() -> Result<Vec<u8>, Error>,
    ) -> Result<Vec<u8>, Error> {
        let path = self.file(name);
        match read(&path) {
            Err(Error::KeyFile { source, .. }) if source.kind() == ErrorKind::NotFound => {}
            other => return other,
        }
        let draft = self.file(&format!(".{name}.{}", std::process::id()));
        write_new(&draft, &make()?).map_err(|source| failed("write", &draft, source))?;
        let linked = fs::hard_link(&draft, &path);
        let _ = fs::remove_file(&draft);
        match linked {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(source) => return Err(failed("make", &path, source)),
        }
        File::open(&self.path)
            .and_then(|directory| directory.sync_all())
            .map_err(|source| failed("sync", &self.path, source))?;
        read(&path)
    }
}

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    let content = fs::read(path).map_err(|source| failed("read", path, source))?;
    check_mode(path, 0o600)?;
    Ok(content)
}

fn check_mode(path: &Path, want: u32) -> Result<(), Error> {
    let mode = fs::metadata(path)
        .map_err(|source| failed("read", path, source))?
        .mode()
        & 0o777;
    if mode & 0o077 != 0 {
        return Err(Error::TooOpen {
            path: path.to_owned(),
            mode,
            want,
        });
    }
    Ok(())
}

fn failed(verb: &'static str, path: &Path, source: std::io::Error) -> Error {
    Error::KeyFile {
        verb,
        path: path.to_owned(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_key_is_made_once_and_only_its_owner_may_read_it() {
        let scratch = tempfile::tempdir().unwrap();
        let keys = KeyDir::open(scratch.path().join("keys")).unwrap();
        let first = keys.load_or_create("a.key", || Ok(b"first".to_vec())).unwrap();
        let second = keys.load_or_create("a.key", || Ok(b"second".to_vec())).unwrap();
        assert_eq!(
            (first.as_slice(), second.as_slice()),
            (&b"first"[..], &b"first"[..])
        );
        let mode = fs::metadata(keys.file("a.key")).unwrap().mode() & 0o777;
        assert_eq!(mode, 0o600);
        assert_eq!(fs::read_dir(keys.path()).unwrap().count(), 1, "no draft is left");

        fs::set_permissions(keys.file("a.key"), fs::Permissions::from_mode(0o644)).unwrap();
        let error = keys.load_or_create("a.key", || Ok(Vec::new())).unwrap_err();
        assert!(error.to_string().contains("chmod 600"), "{error}");
        fs::set_permissions(keys.path(), fs::Permissions::from_mode(0o755)).unwrap();
        assert!(
            KeyDir::open(keys.path())
                .unwrap_err()
                .to_string()
                .contains("chmod 700")
        );
    }
}
