//! The directory: which files there are, and the way to write and read one.

use std::fs::DirBuilder;
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use resources::Digest;
use tokio::fs;

use crate::format::{Frames, Identity};
use crate::name::Name;
use crate::stored::{Stored, UNFINISHED, sync_folder};
use crate::{Error, Reader, Sealer, Writer};

/// The directory. Clones are the same one; a second process must not open it meanwhile.
#[derive(Debug, Clone)]
pub struct SealedFiles {
    root: PathBuf,
    sealer: Arc<dyn Sealer>,
}

impl SealedFiles {
    /// Opens the directory, makes it when it is missing, and removes what a crash has left unfinished.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn open(root: impl Into<PathBuf>, sealer: Arc<dyn Sealer>) -> Result<Self, Error> {
        let root = root.into();
        make_private(&root).map_err(Error::file("make", &root))?;
        // Made by a restore of a backup, it may have other rights.
        std::fs::set_permissions(&root, std::fs::Permissions::from_mode(0o700))
            .map_err(Error::file("change the mode of", &root))?;
        remove_unfinished(&root)?;
        Ok(Self { root, sealer })
    }

    /// Begins a file. Nothing of it stays unless [`Writer::finish`] succeeds.
    ///
    /// # Errors
    /// [`Error::Name`], or when the file system refuses.
    pub async fn create(&self, name: &str) -> Result<Writer, Error> {
        let name = Name::new(name)?;
        let folder = self.make_folder(&name).await?;
        Writer::create(folder, Identity::new(name), Arc::clone(&self.sealer)).await
    }

    /// Opens the file of this digest; none when there is none.
    ///
    /// # Errors
    /// [`Error::Name`], [`Error::Damaged`], or when the file system refuses.
    pub async fn read(&self, name: &str, digest: Digest) -> Result<Option<Reader>, Error> {
        let name = Name::new(name)?;
        let path = self.folder(&name).join(digest.hex());
        match fs::File::open(&path).await {
            Ok(file) => {
                let reader = Reader::open(path, file, name, digest, Arc::clone(&self.sealer));
                reader.await.map(Some)
            }
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::file("open", &path)(error)),
        }
    }

    /// Where the sealed file of this digest is, or where whoever has kept it elsewhere puts it back; its folder is there.
    ///
    /// # Errors
    /// [`Error::Name`], or when the file system refuses.
    pub async fn path(&self, name: &str, digest: Digest) -> Result<PathBuf, Error> {
        let folder = self.make_folder(&Name::new(name)?).await?;
        Ok(folder.join(digest.hex()))
    }

    /// The files of a name, by digest. Their content is not looked at.
    ///
    /// # Errors
    /// [`Error::Name`], or when the file system refuses.
    pub async fn list(&self, name: &str) -> Result<Vec<Stored>, Error> {
        let folder = self.folder(&Name::new(name)?);
        let mut entries = match fs::read_dir(&folder).await {
            Ok(entries) => entries,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(Error::file("list", &folder)(error)),
        };
        let mut found = Vec::new();
        while let Some(entry) = entries.next_entry().await.map_err(Error::file("list", &folder))? {
            let digest = entry.file_name().to_str().and_then(digest);
            let Some(sha256) = digest else { continue };
            let length = match entry.metadata().await {
                Ok(metadata) => metadata.len(),
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                Err(error) => return Err(Error::file("look at", &entry.path())(error)),
            };
            // One that was cut is there too, so that it can be removed.
            let size = Frames::of(length, &*self.sealer).map_or(0, |frames| frames.size);
            found.push(Stored { sha256, size });
        }
        found.sort_by_key(|stored| stored.sha256);
        Ok(found)
    }

    /// Removes a file; done when there is none. Who reads it reads on.
    ///
    /// # Errors
    /// [`Error::Name`], or when the file system refuses.
    pub async fn remove(&self, name: &str, digest: Digest) -> Result<(), Error> {
        let path = self.folder(&Name::new(name)?).join(digest.hex());
        gone(fs::remove_file(&path).await).map_err(Error::file("remove", &path))
    }

    /// Removes all files of a name, also those that are being written; done when there are none.
    ///
    /// # Errors
    /// [`Error::Name`], or when the file system refuses.
    pub async fn remove_all(&self, name: &str) -> Result<(), Error> {
        let folder = self.folder(&Name::new(name)?);
        gone(fs::remove_dir_all(&folder).await).map_err(Error::file("remove", &folder))
    }

    fn folder(&self, name: &Name) -> PathBuf {
        self.root.join(name.as_str())
    }

    /// Each folder is in its parent for good before anything is in it.
    async fn make_folder(&self, name: &Name) -> Result<PathBuf, Error> {
        let mut folder = self.root.clone();
        for part in name.as_str().split('/') {
            let parent = folder.clone();
            folder.push(part);
            match make_private(&folder) {
                Ok(()) => sync_folder(&parent).await?,
                Err(error) => return Err(Error::file("make", &folder)(error)),
            }
        }
        Ok(folder)
    }
}

fn make_private(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

fn gone(removed: io::Result<()>) -> io::Result<()> {
    match removed {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// A file's name as its digest.
fn digest(name: &str) -> Option<Digest> {
    let digest: Digest = name.parse().ok()?;
    (digest.hex() == name).then_some(digest)
}

fn remove_unfinished(folder: &Path) -> Result<(), Error> {
    let entries = std::fs::read_dir(folder).map_err(Error::file("list", folder))?;
    for entry in entries {
        let entry = entry.map_err(Error::file("list", folder))?;
        let path = entry.path();
        let kind = entry.file_type().map_err(Error::file("look at", &path))?;
        if kind.is_dir() {
            remove_unfinished(&path)?;
        } else if entry.file_name().to_string_lossy().starts_with(UNFINISHED) {
            std::fs::remove_file(&path).map_err(Error::file("remove", &path))?;
        }
    }
    Ok(())
}
