//! What can go wrong with a bundle.

use std::io;
use std::path::{Path, PathBuf};

use resources::Digest;

/// Why a bundle cannot be read, trusted or imported.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or folder on this machine.
    #[error("{action} {path}: {source}")]
    File {
        /// What was done.
        action: &'static str,
        /// To which file.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// The source is neither a folder nor a URL.
    #[error("{text:?} is neither a folder of this machine nor an http or https URL")]
    Source {
        /// As it was given.
        text: String,
    },
    /// The HTTP client does not start.
    #[error("the HTTP client does not start: {0}")]
    Client(reqwest::Error),
    /// The connection failed.
    #[error("{url}: {source}")]
    Fetch {
        /// Of the file.
        url: String,
        /// Why it failed.
        source: reqwest::Error,
    },
    /// The server does not give the file.
    #[error("{url}: the server answered HTTP status {status}")]
    Refused {
        /// Of the file.
        url: String,
        /// HTTP status.
        status: u16,
    },
    /// A file is longer than anything of its kind.
    #[error("{place} is longer than {limit} bytes")]
    TooLong {
        /// Path or URL.
        place: String,
        /// The most that is read.
        limit: u64,
    },
    /// The index says something that is not carried out.
    #[error("{place}: {reason}")]
    Index {
        /// Path or URL of the index.
        place: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The text is not a public key.
    #[error("{place}: not a minisign public key: {reason}")]
    Key {
        /// Path, or what the key belongs to.
        place: String,
        /// What is wrong with it.
        reason: String,
    },
    /// There is an index, and no signature beside it.
    #[error(
        "{place} is not there, so nobody says that the index is right; --unsigned imports it all the same"
    )]
    Unsigned {
        /// Path or URL of the signature.
        place: String,
    },
    /// The signature is of another key, or of other bytes.
    #[error("{place} does not fit the index and the key {key}: {reason}")]
    Signature {
        /// Path or URL of the signature.
        place: String,
        /// Id of the key.
        key: String,
        /// What is wrong with it.
        reason: String,
    },
    /// What came is not what the index promises.
    #[error("{place}: {found}, and the index says {wanted}; nothing of it was kept")]
    WrongDigest {
        /// Path or URL of the file.
        place: String,
        /// Of what came.
        found: Digest,
        /// Of the index.
        wanted: Digest,
    },
    /// The file ends too early, each time.
    #[error("{place}: {got} of {wanted} bytes came; the same command continues there")]
    Short {
        /// Path or URL of the file.
        place: String,
        /// Bytes that are there.
        got: u64,
        /// Bytes of the index.
        wanted: u64,
    },
    /// The bundle has nothing for a version of Kubernetes that was asked for.
    #[error("the bundle has nothing for Kubernetes {asked}; it has {known}")]
    Version {
        /// Minor version.
        asked: String,
        /// Minor versions in the bundle.
        known: String,
    },
    /// The disk is too small.
    #[error("{folder} has {free} MB free, and {needed} MB are needed")]
    Space {
        /// The parts folder.
        folder: PathBuf,
        /// In units of 1,000,000 bytes.
        free: u64,
        /// In units of 1,000,000 bytes.
        needed: u64,
    },
    /// Another import writes to the folder.
    #[error("another import writes to {folder}; try again when it has ended")]
    Busy {
        /// The parts folder.
        folder: PathBuf,
    },
}

/// For `map_err`: the action and the file that failed.
pub(crate) fn failed(path: &Path, action: &'static str) -> impl FnOnce(io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error::File { action, path, source }
}
