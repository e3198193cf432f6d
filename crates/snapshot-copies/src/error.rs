//! What can go wrong with a copy.

use std::io;
use std::path::{Path, PathBuf};

use sealed_files::Damage;

/// An operation failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file system refuses.
    #[error("cannot {what} {}", path.display())]
    File {
        /// What was to be done.
        what: &'static str,
        /// With which file or folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The directory is not there.
    #[error("{} is no directory; make it, or mount what it lies on", path.display())]
    NoDirectory {
        /// Which.
        path: PathBuf,
    },
    /// A key, or another file of the settings, is not as it should be.
    #[error("{}: {what}", path.display())]
    Setting {
        /// Which file.
        path: PathBuf,
        /// What is wrong, and what to write.
        what: &'static str,
    },
    /// An endpoint or a place is not as it should be.
    #[error("{text:?}: {what}")]
    Address {
        /// As it was given.
        text: String,
        /// What is wrong.
        what: &'static str,
    },
    /// There is no such copy.
    #[error("there is no copy {place}")]
    Missing {
        /// Where it should be.
        place: String,
    },
    /// What the copy holds is not what its name says.
    #[error("{place} can't be used: {}", suspicion(.source))]
    Damaged {
        /// Where it is.
        place: String,
        /// What was found.
        #[source]
        source: sealed_files::Error,
    },
    /// A sealed file could not be made or kept on its way.
    #[error("cannot seal {place}")]
    Sealed {
        /// Where it is to be.
        place: String,
        /// Why.
        #[source]
        source: sealed_files::Error,
    },
    /// There is no key for the store.
    #[error("{place} has no key for the store: it must have AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")]
    NoKey {
        /// Where it should be.
        place: String,
    },
    /// The key for the store can't be read.
    #[error("cannot read the key for the store from {place}: {why}")]
    Key {
        /// Where it should be.
        place: String,
        /// What was found.
        why: String,
    },
    /// The store can't be asked.
    #[error("cannot ask for {place}")]
    Request {
        /// About what.
        place: String,
        /// Why.
        #[source]
        source: reqwest::Error,
    },
    /// The store refuses.
    #[error("{place}: the store answers {status}: {said}")]
    Refused {
        /// About what.
        place: String,
        /// Status of HTTP.
        status: u16,
        /// Code and message of the store.
        said: String,
    },
    /// The store takes too long.
    #[error("{place}: not done within {seconds} s")]
    Slow {
        /// About what.
        place: String,
        /// How long it was waited.
        seconds: u64,
    },
}

/// What may have happened to a copy.
fn suspicion(found: &sealed_files::Error) -> &'static str {
    match found {
        sealed_files::Error::Damaged {
            what: Damage::Chunk(0),
            ..
        } => {
            "it was sealed with another key than etcdSnapshotKeyFile holds, is of another cluster, or was damaged or changed \
             at its beginning"
        }
        sealed_files::Error::Damaged {
            what: Damage::Cut, ..
        } => "it was cut off",
        _ => "it was damaged or changed",
    }
}

impl Error {
    /// Whether the same request may succeed when it is sent again: the way there or the store has failed.
    pub(crate) const fn may_pass(&self) -> bool {
        match self {
            Self::Request { .. } | Self::Slow { .. } => true,
            Self::Refused { status, .. } => *status >= 500 || *status == 429,
            _ => false,
        }
    }

    pub(crate) fn file(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::File { what, path, source }
    }
}
