//! Copies in a directory.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use tokio::fs;

use crate::Error;

/// Beginning of the name of a file that is not complete.
const DRAFT: &str = ".draft-";

/// A directory that is there; it is never made, because it may lie on something that is not mounted.
#[derive(Debug, Clone)]
pub struct Directory(PathBuf);

impl Directory {
    /// The directory at an absolute path.
    #[must_use]
    pub fn new(path: PathBuf) -> Self {
        Self(path)
    }

    pub(crate) fn path(&self, key: &str) -> PathBuf {
        self.0.join(key)
    }

    pub(crate) async fn put(&self, key: &str, from: &Path) -> Result<(), Error> {
        if !fs::metadata(&self.0).await.is_ok_and(|found| found.is_dir()) {
            return Err(Error::NoDirectory { path: self.0.clone() });
        }
        let to = self.path(key);
        let folder = to.parent().unwrap_or(&self.0);
        let made = fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .await;
        made.map_err(Error::file("make", folder))?;
        let name = to.file_name().unwrap_or_default().to_string_lossy();
        let draft = folder.join(format!("{DRAFT}{name}"));
        // Sync before the name, so that what has the name is whole after a crash too.
        let written = async {
            fs::copy(from, &draft)
                .await
                .map_err(Error::file("write", &draft))?;
            let file = fs::File::open(&draft)
                .await
                .map_err(Error::file("open", &draft))?;
            file.sync_all().await.map_err(Error::file("sync", &draft))?;
            fs::rename(&draft, &to)
                .await
                .map_err(Error::file("rename", &draft))
        };
        let written = written.await;
        if written.is_err() {
            // Often for lack of room, of which it takes some.
            let _ = fs::remove_file(&draft).await;
        }
        written?;
        let opened = fs::File::open(folder)
            .await
            .map_err(Error::file("open", folder))?;
        opened.sync_all().await.map_err(Error::file("sync", folder))
    }

    pub(crate) async fn get(&self, key: &str, to: &Path) -> Result<(), Error> {
        let from = self.path(key);
        match fs::copy(&from, to).await {
            Ok(_) => Ok(()),
            Err(error) if error.kind() == ErrorKind::NotFound => Err(Error::Missing {
                place: from.display().to_string(),
            }),
            Err(error) => Err(Error::file("read", &from)(error)),
        }
    }

    pub(crate) async fn list(&self, folder: &str) -> Result<Vec<String>, Error> {
        let folder = self.path(folder);
        let mut entries = match fs::read_dir(&folder).await {
            Ok(entries) => entries,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(Error::file("list", &folder)(error)),
        };
        let mut names = Vec::new();
        while let Some(entry) = entries.next_entry().await.map_err(Error::file("list", &folder))? {
            names.extend(entry.file_name().into_string());
        }
        Ok(names)
    }

    pub(crate) async fn remove(&self, key: &str) -> Result<(), Error> {
        let path = self.path(key);
        match fs::remove_file(&path).await {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(Error::file("remove", &path)(error)),
            _ => Ok(()),
        }
    }
}
