//! What can go wrong while building, each with the thing it went wrong on.

use std::path::{Path, PathBuf};

/// A build failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The name is not a part.
    #[error("there is no image part {name:?}; the parts are {known}")]
    UnknownPart {
        /// What was asked for.
        name: String,
        /// The names that exist.
        known: String,
    },
    /// The version is not one of a release.
    #[error("there is no recipe of Kubernetes {name:?}; there are recipes of {known}")]
    UnknownRelease {
        /// What was asked for.
        name: String,
        /// The versions that exist.
        known: String,
    },
    /// The embedded recipe does not make sense.
    #[error("recipe {file}: {reason}")]
    Recipe {
        /// File under `images/`.
        file: String,
        /// What is wrong in it.
        reason: String,
    },
    /// Programs are missing and cannot be installed by this user.
    #[error(
        "missing on this machine: {packages}; as root run: apt-get install --no-install-recommends {packages}"
    )]
    HostPackages {
        /// Debian package names, separated by spaces.
        packages: String,
    },
    /// No usable Go toolchain.
    #[error(
        "Go {needed} or newer is needed to build {part} and was not found ({found}); install it from go.dev/dl and put it in PATH"
    )]
    Go {
        /// Part that needs it.
        part: String,
        /// Lowest version.
        needed: &'static str,
        /// What was found instead.
        found: String,
    },
    /// The recipe unpacks file systems with their owners and devices.
    #[error(
        "building {part} needs root (it unpacks a Debian system with its owners and devices); run it with sudo"
    )]
    NotRoot {
        /// Part that needs it.
        part: String,
    },
    /// A program could not be started.
    #[error("{program} could not be started")]
    Start {
        /// Program.
        program: String,
        /// Cause.
        #[source]
        source: std::io::Error,
    },
    /// A program failed.
    #[error("{program} failed with {status}; its last lines:\n{tail}")]
    Command {
        /// Program with its arguments.
        program: String,
        /// Exit status.
        status: String,
        /// End of its output.
        tail: String,
    },
    /// A file operation failed.
    #[error("cannot {action} {path}")]
    File {
        /// Verb.
        action: &'static str,
        /// File.
        path: PathBuf,
        /// Cause.
        #[source]
        source: std::io::Error,
    },
    /// A file of the cache is not what its builder wrote.
    #[error("{path} is damaged; build again with --force")]
    Damaged {
        /// File.
        path: PathBuf,
        /// Cause.
        #[source]
        source: serde_json::Error,
    },
    /// Something that a recipe expects is not in the Debian tree.
    #[error("{what} is not in the Debian tree; look at images/{recipe}")]
    MissingInTree {
        /// Path or module.
        what: String,
        /// Recipe that names it.
        recipe: &'static str,
    },
    /// The caller asked to stop.
    #[error("the build was cancelled; nothing half-done is kept, the same command starts it again")]
    Cancelled,
}

impl Error {
    /// For `map_err` on file operations.
    pub(crate) fn file(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::File { action, path, source }
    }
}

/// What everything here returns.
pub(crate) type Result<T> = std::result::Result<T, Error>;
