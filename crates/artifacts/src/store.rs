//! The files: `images/sha256/<hex>` with `<hex>.manifest.json`, `images/partial/`, `images/quarantine/`.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use resources::{Digest, ImageManifest};
use sha2::{Digest as _, Sha256};
use tokio::fs;
use tokio::io::AsyncWriteExt;

use crate::Error;

/// Content-addressed images in one directory.
#[derive(Debug, Clone)]
pub struct ImageStore {
    root: Arc<Path>,
}

impl ImageStore {
    /// The store under `<data>/images`; its directories are made.
    ///
    /// # Errors
    /// When they can't be made.
    pub async fn open(data: &Path) -> Result<Self, Error> {
        let root: Arc<Path> = Arc::from(data.join("images"));
        for name in ["sha256", "partial", "quarantine"] {
            let directory = root.join(name);
            fs::create_dir_all(&directory)
                .await
                .map_err(failed(&directory, "making the directory"))?;
        }
        Ok(Self { root })
    }

    /// Where the file with this digest is, or will be.
    #[must_use]
    pub fn path(&self, digest: Digest) -> PathBuf {
        self.root.join("sha256").join(digest.hex())
    }

    /// Where its manifest is, or will be.
    #[must_use]
    pub fn manifest_path(&self, digest: Digest) -> PathBuf {
        self.root
            .join("sha256")
            .join(format!("{}.manifest.json", digest.hex()))
    }

    /// The manifest of an image that is complete here.
    ///
    /// # Errors
    /// When the files can't be read.
    pub async fn manifest(&self, digest: Digest) -> Result<Option<ImageManifest>, Error> {
        let path = self.manifest_path(digest);
        let text = match fs::read(&path).await {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(&path, "reading")(error)),
        };
        let file = self.path(digest);
        let size = match fs::metadata(&file).await {
            // A file with a second name can be rewritten by that name; such ones are fetched again.
            Ok(metadata) if metadata.nlink() > 1 => return Ok(None),
            Ok(metadata) => metadata.len(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(&file, "examining")(error)),
        };
        // A manifest of an older shape or a file of another size is as good as none: it is fetched again.
        let manifest = serde_json::from_slice::<ImageManifest>(&text).ok();
        Ok(manifest.filter(|manifest| manifest.size == size && manifest.digest == digest))
    }

    /// Where the file of `url` grows until it is complete.
    pub(crate) fn partial(&self, url_digest: Digest) -> PathBuf {
        self.root.join("partial").join(url_digest.hex())
    }

    /// Puts a measured file into place: the manifest last, since it says that the image is complete.
    pub(crate) async fn adopt(&self, partial: &Path, manifest: &ImageManifest) -> Result<(), Error> {
        let file = self.path(manifest.digest);
        let opened = fs::File::open(partial)
            .await
            .map_err(failed(partial, "opening"))?;
        opened.sync_all().await.map_err(failed(partial, "flushing"))?;
        fs::rename(partial, &file)
            .await
            .map_err(failed(&file, "moving it into place"))?;
        let path = self.manifest_path(manifest.digest);
        let temporary = path.with_extension("tmp");
        let mut text = serde_json::to_vec(manifest)
            .map_err(io::Error::from)
            .map_err(failed(&path, "encoding"))?;
        text.push(b'\n');
        let write = async {
            let mut out = fs::File::create(&temporary).await?;
            out.write_all(&text).await?;
            out.sync_all().await?;
            fs::rename(&temporary, &path).await?;
            fs::File::open(self.root.join("sha256")).await?.sync_all().await
        };
        write.await.map_err(failed(&path, "writing"))
    }

    /// Whether the file with this digest still has it. Reads all of it.
    pub(crate) async fn is_intact(&self, digest: Digest) -> Result<bool, Error> {
        let file = self.path(digest);
        let path = file.clone();
        let hash = tokio::task::spawn_blocking(move || {
            let mut hash = Sha256::new();
            let mut file = std::fs::File::open(path)?;
            let mut buffer = vec![0; 1 << 20];
            loop {
                match io::Read::read(&mut file, &mut buffer) {
                    Ok(0) => return Ok(Digest::new(hash.finalize().into())),
                    Ok(length) => hash.update(buffer.get(..length).unwrap_or_default()),
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => return Err(error),
                }
            }
        });
        let found = hash.await.unwrap_or_else(|error| Err(io::Error::other(error)));
        Ok(found.map_err(failed(&file, "hashing"))? == digest)
    }

    /// Sets a damaged file of the store aside. Its manifest goes first: without it the image is not there.
    pub(crate) async fn discard(&self, digest: Digest) -> Result<PathBuf, Error> {
        let manifest = self.manifest_path(digest);
        fs::remove_file(&manifest)
            .await
            .map_err(failed(&manifest, "removing"))?;
        self.quarantine(&self.path(digest)).await
    }

    /// Sets a wrong file aside, for people to look at; an older one of the same name goes.
    pub(crate) async fn quarantine(&self, partial: &Path) -> Result<PathBuf, Error> {
        let name = partial.file_name().unwrap_or_default();
        let to = self.root.join("quarantine").join(name);
        fs::rename(partial, &to)
            .await
            .map_err(failed(partial, "setting it aside"))?;
        Ok(to)
    }
}

/// Turns what the file system says into an error that names the file.
pub(crate) fn failed(path: &Path, operation: &'static str) -> impl FnOnce(io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error::File {
        path,
        operation,
        source,
    }
}
