//! What can go wrong between a decision and its commit.

/// One failed operation.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An object cannot be read.
    #[error("cannot read {kind} {name}")]
    Read {
        /// Kind.
        kind: &'static str,
        /// Name.
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
        /// Name.
        name: String,
        /// Cause.
        #[source]
        source: kube::Error,
    },
    /// Somebody else was first, again and again.
    #[error("{name} is being changed by others all the time; try again")]
    Busy {
        /// Name.
        name: String,
    },
    /// A value cannot be written as JSON.
    #[error("cannot encode {name}")]
    Encode {
        /// Name.
        name: String,
        /// Cause.
        #[source]
        source: serde_json::Error,
    },
}
