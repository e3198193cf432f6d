//! What can go wrong, one variant for each failed operation.

use std::path::PathBuf;
use std::sync::Arc;

/// Error of the store. Cloneable, because one failed commit fails every command of its batch.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The data directory could not be made or opened.
    #[error("cannot use data directory {}", path.display())]
    DataDir {
        /// The directory or its lock file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: Arc<std::io::Error>,
    },
    /// Another process holds the data directory.
    #[error(
        "data directory {} is in use by {holder}; stop that process or choose another directory",
        path.display()
    )]
    InUse {
        /// The directory.
        path: PathBuf,
        /// "process N" or "another process".
        holder: String,
    },
    /// The linked SQLite is one with known corruption bugs in WAL mode.
    #[error("SQLite {found} is too old: at least {needed} is needed")]
    SqliteTooOld {
        /// Version of the library.
        found: String,
        /// Least version.
        needed: &'static str,
    },
    /// The database was written by a newer version of the program.
    #[error("database {} has schema version {found}, this program knows up to {known}", path.display())]
    TooNew {
        /// Database file.
        path: PathBuf,
        /// Version in the file.
        found: i64,
        /// Newest version that the program knows.
        known: i64,
    },
    /// The database could not be opened or migrated.
    #[error("cannot open database {}", path.display())]
    Open {
        /// Database file.
        path: PathBuf,
        /// What SQLite said.
        #[source]
        source: Arc<sqlx::Error>,
    },
    /// A statement failed.
    #[error("database statement failed")]
    Statement(#[source] Arc<sqlx::Error>),
    /// The commit of a batch failed; none of its commands took effect.
    #[error("database commit failed")]
    Commit(#[source] Arc<sqlx::Error>),
    /// A transaction of records failed; none of them took effect.
    #[error("records could not be appended")]
    Append(#[source] Arc<rusqlite::Error>),
    /// The thread that appends records could not be started.
    #[error("no thread for the records file")]
    Thread(#[source] Arc<std::io::Error>),
    /// A command panicked; its changes were rolled back.
    #[error("a write command panicked and was rolled back")]
    Panicked,
    /// The writer has been shut down.
    #[error("the database writer has stopped")]
    Stopped,
    /// `PRAGMA integrity_check` found damage.
    #[error("database {} is damaged: {findings}", path.display())]
    Damaged {
        /// Database file.
        path: PathBuf,
        /// First findings of SQLite.
        findings: String,
    },
    /// A backup could not be written.
    #[error("cannot write backup {}", path.display())]
    Backup {
        /// Target file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: Arc<std::io::Error>,
    },
    /// A stored payload is not JSON.
    #[error("record {id} holds no valid JSON")]
    Payload {
        /// Record number.
        id: i64,
        /// What the parser said.
        #[source]
        source: Arc<serde_json::Error>,
    },
}

impl From<sqlx::Error> for Error {
    fn from(source: sqlx::Error) -> Self {
        Error::Statement(Arc::new(source))
    }
}

impl From<rusqlite::Error> for Error {
    fn from(source: rusqlite::Error) -> Self {
        Error::Append(Arc::new(source))
    }
}
