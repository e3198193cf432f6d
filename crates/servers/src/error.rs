//! What can go wrong between a decision and its commit.

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
    /// Somebody else was first, again and again.
    #[error("{name} is being changed by others all the time; try again")]
    Busy {
        /// Namespace and name.
        name: String,
    },
    /// A status cannot be written as JSON.
    #[error("cannot encode the status of {name}")]
    Encode {
        /// Namespace and name.
        name: String,
        /// Cause.
        #[source]
        source: serde_json::Error,
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
