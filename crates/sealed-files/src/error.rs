//! What can go wrong with a sealed file.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use resources::Digest;

/// One failed operation.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A name that leads nowhere, or somewhere else.
    #[error("{name:?} is no name for sealed files: write parts of a-z, 0-9, '-' and '.', separated by '/'")]
    Name {
        /// The name.
        name: String,
    },
    /// The file system is full, or its quota is.
    #[error("there is no space left for {path}; make room on its file system")]
    Full {
        /// What was to be written.
        path: PathBuf,
        /// What the file system says.
        #[source]
        source: io::Error,
    },
    /// The file system refuses.
    #[error("cannot {verb} {path}")]
    File {
        /// What was to be done.
        verb: &'static str,
        /// With which file or folder.
        path: PathBuf,
        /// Why it was not.
        #[source]
        source: io::Error,
    },
    /// A chunk cannot be sealed.
    #[error("cannot seal what is written to {path}")]
    Seal {
        /// The file.
        path: PathBuf,
    },
    /// The file is not as it was written, or was written with another key.
    #[error("{path} is damaged ({what}); it is of no use, restore the file from a backup or remove it")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What does not fit.
        what: Damage,
    },
}

/// What does not fit in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Damage {
    /// No file of this format has its length.
    Cut,
    /// It begins as no file of this format does.
    Header,
    /// A chunk does not open, which is the first one where the key or the folder is another one.
    Chunk(u64),
    /// All of it opens, and is something else.
    Content(Digest),
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cut => f.write_str("it was cut"),
            Self::Header => f.write_str("its header is not of such a file"),
            Self::Chunk(index) => write!(f, "chunk {index} does not open"),
            Self::Content(found) => write!(f, "it holds {found}"),
        }
    }
}

impl Error {
    /// For the path.
    pub(crate) fn file(verb: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full { path, source },
            _ => Self::File { verb, path, source },
        }
    }
}

/// For those who write by [`tokio::io::AsyncWrite`]: the kind stays, and the text names the file.
impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        let kind = match &error {
            Error::Full { source, .. } | Error::File { source, .. } => source.kind(),
            Error::Damaged { .. } => io::ErrorKind::InvalidData,
            Error::Name { .. } => io::ErrorKind::InvalidInput,
            Error::Seal { .. } => io::ErrorKind::Other,
        };
        Self::new(kind, error)
    }
}
