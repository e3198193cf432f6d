//! Files that are written, read, damaged on the disk, and left unfinished.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr)]

mod damage;
mod files;

use std::path::{Path, PathBuf};

use futures::StreamExt as _;
use resources::Digest;
use sealed_files::{Error, SealedFiles, Stored};
use sha2::Digest as _;
use tempfile::TempDir;
use tokio::io::AsyncWriteExt as _;

const CHUNK: usize = 1 << 20;
const NAME: &str = "eksa-system/demo";

/// Files in a scratch folder.
struct Site {
    folder: TempDir,
    files: SealedFiles,
}

impl Site {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let files = sim::sealed_files(folder.path());
        Self { folder, files }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join("sealed-files").join(name)
    }

    fn file(&self, stored: Stored) -> PathBuf {
        self.path(NAME).join(stored.sha256.hex())
    }

    async fn write(&self, content: &[u8]) -> Stored {
        let mut writer = self.files.create(NAME).await.unwrap();
        writer.write_all(content).await.unwrap();
        writer.finish().await.unwrap()
    }

    async fn read(&self, name: &str, digest: Digest) -> Result<Option<Vec<u8>>, Error> {
        let Some(mut reader) = self.files.read(name, digest).await? else {
            return Ok(None);
        };
        let (size, mut content) = (reader.size(), Vec::new());
        while let Some(chunk) = reader.next().await {
            content.extend_from_slice(&chunk?);
        }
        assert_eq!(size, content.len() as u64);
        Ok(Some(content))
    }
}

/// Bytes of which no two chunks are the same.
fn content(size: usize) -> Vec<u8> {
    (0..size)
        .map(|at| u8::try_from((at % 251) ^ (at >> 20)).unwrap())
        .collect()
}

fn sha256(content: &[u8]) -> Digest {
    Digest::new(sha2::Sha256::digest(content).into())
}

/// The names in a folder.
fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}
