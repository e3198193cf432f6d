//! Copies of snapshots at one place: sealed, named and counted.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use futures::StreamExt as _;
use resources::gantry::SnapshotCopy;
use sealed_files::{Reader, SealedFiles};
use tokio::io::{AsyncWrite, AsyncWriteExt as _};

use crate::error::Error;
use crate::key::Key;
use crate::place::Place;

/// All copies at one place.
#[derive(Debug)]
pub struct Copies {
    place: Place,
    key: Key,
    /// Folder of those on their way.
    transit: PathBuf,
    /// How many were begun.
    begun: AtomicU64,
    /// How many of each cluster are kept.
    kept: usize,
}

impl Copies {
    /// Those at a place, sealed with a key. `transit` is a folder of its own for files on their way, which are removed when it is
    /// opened; the newest `kept` of each cluster stay at the place.
    ///
    /// # Errors
    /// When the file system refuses `transit`.
    pub fn open(place: Place, key: &Key, transit: &Path, kept: usize) -> Result<Self, Error> {
        match std::fs::remove_dir_all(transit) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(Error::file("empty", transit)(error));
            }
            _ => {}
        }
        let copies = Self {
            place,
            key: key.clone(),
            transit: transit.to_owned(),
            begun: AtomicU64::new(0),
            kept: kept.max(1),
        };
        // What the file system refuses is seen at the start.
        copies.begin()?;
        Ok(copies)
    }

    /// A folder for one sealed file on its way: the same copy may be on its way for more than one reader.
    fn begin(&self) -> Result<Transit, Error> {
        let number = self.begun.fetch_add(1, Ordering::Relaxed);
        let folder = self.transit.join(number.to_string());
        let files = SealedFiles::open(&folder, self.key.sealer());
        let files = files.map_err(|source| Error::Sealed {
            place: folder.display().to_string(),
            source,
        })?;
        Ok(Transit { files, folder })
    }

    /// Where a copy is, for people: a path, or `s3://BUCKET/KEY`.
    #[must_use]
    pub fn location(&self, copy: &SnapshotCopy) -> String {
        self.place.of(&copy.to_string())
    }

    /// Copies a snapshot, and removes the oldest copies of its cluster.
    ///
    /// # Errors
    /// When the snapshot can't be read, or is not the one that `copy` says; when the place refuses.
    pub async fn put(&self, copy: &SnapshotCopy, mut from: Reader) -> Result<(), Error> {
        let place = self.location(copy);
        let failed = |source| Error::Sealed {
            place: place.clone(),
            source,
        };
        let transit = self.begin()?;
        let mut sealed = transit.files.create(&copy.folder()).await.map_err(failed)?;
        while let Some(part) = from.next().await {
            let part = part.map_err(failed)?;
            let written = sealed.write_all(&part).await;
            written.map_err(Error::file("write", Path::new(&place)))?;
        }
        let stored = sealed.finish().await.map_err(failed)?;
        let file = transit.files.path(&copy.folder(), stored.sha256).await;
        self.place.put(&copy.to_string(), &file.map_err(failed)?).await?;
        drop(transit);
        self.remove_oldest(copy).await
    }

    async fn remove_oldest(&self, copy: &SnapshotCopy) -> Result<(), Error> {
        let folder = copy.folder();
        let mut keys: Vec<String> = self.place.list(&folder).await?;
        keys = keys.iter().map(|name| format!("{folder}/{name}")).collect();
        // What else lies there is not ours.
        keys.retain(|key| SnapshotCopy::read(key).is_some());
        keys.sort();
        let old = keys.len().saturating_sub(self.kept);
        for key in keys.drain(..old) {
            self.place.remove(&key).await?;
        }
        Ok(())
    }

    /// Reads a copy to its end and writes the snapshot in it.
    ///
    /// # Errors
    /// [`Error::Missing`]; [`Error::Damaged`], after which what was written is of no use; when the place or `to` refuses.
    pub async fn fetch(
        &self,
        copy: &SnapshotCopy,
        to: &mut (dyn AsyncWrite + Send + Unpin),
    ) -> Result<(), Error> {
        let place = self.location(copy);
        let damaged = |source| Error::Damaged {
            place: place.clone(),
            source,
        };
        let transit = self.begin()?;
        let file = transit.files.path(&copy.folder(), copy.sha256).await;
        let file = file.map_err(|source| Error::Sealed {
            place: place.clone(),
            source,
        })?;
        self.place.get(&copy.to_string(), &file).await?;
        let read = transit.files.read(&copy.folder(), copy.sha256).await;
        let Some(mut read) = read.map_err(damaged)? else {
            return Err(Error::Missing { place });
        };
        while let Some(part) = read.next().await {
            let written = to.write_all(&part.map_err(damaged)?).await;
            written.map_err(Error::file("write what is in", Path::new(&place)))?;
        }
        Ok(())
    }
}

/// Where one sealed file is on its way; it goes with this value.
#[derive(Debug)]
struct Transit {
    files: SealedFiles,
    folder: PathBuf,
}

impl Drop for Transit {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.folder) {
            let folder = self.folder.display();
            tracing::warn!(%folder, %error, "a file on its way to or from a copy stays until the next start");
        }
    }
}
