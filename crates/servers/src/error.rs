//! What can go wrong between a decision and its commit.

use kube::ResourceExt as _;
use resources::gantry::Server;

/// One failed operation.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An object cannot be read.
    #[error("cannot read {kind} {name}")]
    Read {
        /// Kind.
        kind: &'static str,
        /// Namespace and name.
        name: String,
        /// Cause.
        #[source]
        source: kube::Error,
    },
    /// An object cannot be written.
    #[error("cannot write {what} of {name}")]
    Write {
        /// Kind or field.
        what: &'static str,
        /// Namespace and name.
        name: String,
        /// Cause.
        #[source]
        source: kube::Error,
    },
    /// The Servers have not been read yet.
    #[error("the appliance is still reading its objects; ask again")]
    NotReady,
    /// A compare-and-set failed.
    #[error(transparent)]
    Commit(#[from] compare_and_set::Error),
    /// A file of a first boot cannot be read.
    #[error("cannot read the file of the first boot of {machine}")]
    File {
        /// Name of the Server.
        machine: String,
        /// Cause.
        #[source]
        source: sealed_files::Error,
    },
    /// A certificate cannot be given.
    #[error("no certificate for {machine}")]
    Certificate {
        /// Name of the Server.
        machine: String,
        /// Cause.
        #[source]
        source: pki::Error,
    },
}

/// Namespace and name, for messages.
pub(crate) fn place(server: &Server) -> String {
    format!("{}/{}", server.namespace().unwrap_or_default(), server.name_any())
}
