//! A file in its folder.

use std::path::Path;

use resources::Digest;
use tokio::fs;

use crate::Error;

/// How the names of files begin that are being written. No file that is complete has such a name.
pub(crate) const UNFINISHED: &str = ".new-";

/// A file: the digest of what it holds, and how much that is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stored {
    /// SHA-256 of the plain content.
    pub sha256: Digest,
    /// Bytes of the plain content.
    pub size: u64,
}

/// Makes what is on the folder's list durable.
pub(crate) async fn sync_folder(folder: &Path) -> Result<(), Error> {
    let sync = async || fs::File::open(folder).await?.sync_all().await;
    sync().await.map_err(Error::file("sync", folder))
}
