//! Why a write did not happen.

/// Why a write did not happen.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum WriteError {
    /// Create: there is such an object.
    #[error("it exists already")]
    Exists,
    /// Update, delete: it changed since, or went.
    #[error("it changed since")]
    Conflict,
    /// Its JSON is longer than what is stored.
    #[error("it has {bytes} bytes of JSON, at most {most} can be stored")]
    TooLarge {
        /// Bytes that it has.
        bytes: usize,
        /// Bytes that it may have.
        most: usize,
    },
    /// It is nested too deeply to be read again.
    #[error("it is nested too deeply")]
    TooDeep,
    /// It cannot be sealed.
    #[error("it cannot be sealed")]
    Unsealed,
    /// The database holds an object of this name that cannot be read.
    #[error("the stored object cannot be read: {0}")]
    Unreadable(String),
    /// The store failed.
    #[error(transparent)]
    Store(store::Error),
}

impl From<store::Error> for WriteError {
    fn from(error: store::Error) -> Self {
        WriteError::Store(error)
    }
}

impl From<sqlx::Error> for WriteError {
    fn from(error: sqlx::Error) -> Self {
        WriteError::Store(error.into())
    }
}
