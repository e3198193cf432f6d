//! What can go wrong with a backup or a restore.

use std::io;
use std::path::{Path, PathBuf};

/// An error of a backup or a restore; the text names the file and the next step.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// There is nothing to back up.
    #[error("there is no {} of an appliance; name its data directory: --data DIR", path.display())]
    NoAppliance {
        /// The database that is missing.
        path: PathBuf,
    },
    /// Another backup is being made.
    #[error("another backup of this appliance is being made; wait until it has ended")]
    Busy,
    /// The file is no backup, or is damaged.
    #[error("{} is no whole backup: {why}; take another one, nothing was changed", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// The backup is sealed with another key.
    #[error(
        "{} was made at site {site} with another seal.key than the one in {}; give the file that was made with \
         --keys-to: --keys FILE, or another --key-dir; nothing was changed",
        path.display(),
        keys.display()
    )]
    OtherKeys {
        /// The backup.
        path: PathBuf,
        /// The site that it says it is of.
        site: String,
        /// The key directory.
        keys: PathBuf,
    },
    /// The key directory has other keys than the file.
    #[error(
        "{} is there already and differs from the one in {}; choose another --key-dir, or move it away; nothing was changed",
        path.display(),
        from.display()
    )]
    KeysThere {
        /// The key file.
        path: PathBuf,
        /// The file with the keys.
        from: PathBuf,
    },
    /// The data directory has an appliance's data in it.
    #[error(
        "{} has the data of an appliance; with --replace they are moved into a folder beside them; nothing was changed",
        path.display()
    )]
    DataThere {
        /// The data directory.
        path: PathBuf,
    },
    /// The data directory or a database cannot be used.
    #[error("data directory {}", path.display())]
    Store {
        /// The directory.
        path: PathBuf,
        #[source]
        source: store::Error,
    },
    /// Keys cannot be read.
    #[error("keys in {}", path.display())]
    Keys {
        /// The directory.
        path: PathBuf,
        #[source]
        source: pki::Error,
    },
    /// The objects of the backup cannot be opened.
    #[error("the objects of the backup do not open")]
    Api(#[source] apiserver::Error),
    /// An object of the backup cannot be read or marked.
    #[error("{what} of the backup")]
    Objects {
        /// Which.
        what: String,
        #[source]
        source: Box<kube::Error>,
    },
    /// A file cannot be read or written.
    #[error("cannot {verb} {}", path.display())]
    File {
        /// What was tried.
        verb: &'static str,
        /// The file.
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// The task that reads or writes files has ended early.
    #[error("the work on files has ended early")]
    Task(#[from] tokio::task::JoinError),
}

/// Turns an error of the file system into ours.
pub(super) fn file(verb: &'static str, path: &Path) -> impl FnOnce(io::Error) -> BackupError {
    let path = path.to_owned();
    move |source| BackupError::File { verb, path, source }
}

/// The file is not a whole backup, because of this.
pub(super) fn damaged<E: ToString>(path: &Path) -> impl FnOnce(E) -> BackupError {
    let path = path.to_owned();
    move |why| BackupError::Damaged {
        path,
        why: why.to_string(),
    }
}
