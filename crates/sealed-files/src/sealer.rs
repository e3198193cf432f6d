//! The cipher, which the caller brings: the site's key belongs to who keeps keys.

/// A chunk cannot be sealed, or a sealed one cannot be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("chunk cannot be sealed or opened")]
pub struct SealError;

/// Authenticated encryption with a key of its own.
pub trait Sealer: Send + Sync + std::fmt::Debug {
    /// Bytes that a sealed text is longer than the plain one.
    fn overhead(&self) -> usize;

    /// Encrypts `plain`, bound to `context`.
    ///
    /// # Errors
    /// When the cipher refuses.
    fn seal(&self, plain: &[u8], context: &str) -> Result<Vec<u8>, SealError>;

    /// Decrypts what [`Sealer::seal`] made with the same context.
    ///
    /// # Errors
    /// When it is anything else.
    fn open(&self, sealed: &[u8], context: &str) -> Result<Vec<u8>, SealError>;
}
