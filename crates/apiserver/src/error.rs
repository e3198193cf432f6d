//! What can go wrong when the server is opened or run. Failed requests are [`crate::ApiError`].

/// Error of the server itself.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The store failed.
    #[error("object store failed")]
    Store(#[from] store::Error),
    /// A stored row is not a JSON object.
    #[error("stored object {key} is not valid JSON")]
    Row {
        /// Resource, namespace and name.
        key: String,
        /// What the parser said.
        #[source]
        source: serde_json::Error,
    },
    /// A sealed value cannot be opened: wrong key or changed bytes.
    #[error("stored secret {key} cannot be opened; is it the key file of this data directory?")]
    Unseal {
        /// Namespace/name.
        key: String,
    },
    /// A CustomResourceDefinition given at start is not usable.
    #[error("CustomResourceDefinition {name} is not usable: {reason}")]
    Definition {
        /// Its name.
        name: String,
        /// What is wrong.
        reason: String,
    },
    /// An object that the server makes itself was refused.
    #[error("cannot create {object} at start")]
    Bootstrap {
        /// Kind and name.
        object: String,
        /// Why.
        #[source]
        source: crate::ApiError,
    },
}
