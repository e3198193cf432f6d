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
    /// A compare-and-set failed.
    #[error(transparent)]
    Commit(#[from] compare_and_set::Error),
}
