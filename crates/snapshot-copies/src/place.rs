//! Where copies lie.

use std::path::Path;

use crate::directory::Directory;
use crate::error::Error;
use crate::s3::S3;

/// A directory or a bucket. A key is a relative path with `/`.
#[derive(Debug)]
pub enum Place {
    /// A directory, such as one on a mounted file system.
    Directory(Directory),
    /// A bucket of an S3-compatible store.
    S3(Box<S3>),
}

impl Place {
    /// Where the file of this key is, for people.
    pub(crate) fn of(&self, key: &str) -> String {
        match self {
            Self::Directory(directory) => directory.path(key).display().to_string(),
            Self::S3(s3) => s3.url(key),
        }
    }

    /// Puts a file there, whole or not at all.
    pub(crate) async fn put(&self, key: &str, from: &Path) -> Result<(), Error> {
        match self {
            Self::Directory(directory) => directory.put(key, from).await,
            Self::S3(s3) => s3.put(key, from).await,
        }
    }

    /// Gets a file from there.
    pub(crate) async fn get(&self, key: &str, to: &Path) -> Result<(), Error> {
        match self {
            Self::Directory(directory) => directory.get(key, to).await,
            Self::S3(s3) => s3.get(key, to).await,
        }
    }

    /// Names of the files in a folder.
    pub(crate) async fn list(&self, folder: &str) -> Result<Vec<String>, Error> {
        match self {
            Self::Directory(directory) => directory.list(folder).await,
            Self::S3(s3) => s3.list(folder).await,
        }
    }

    /// Removes a file; done when there is none.
    pub(crate) async fn remove(&self, key: &str) -> Result<(), Error> {
        match self {
            Self::Directory(directory) => directory.remove(key).await,
            Self::S3(s3) => s3.remove(key).await,
        }
    }
}
