//! A certificate with its key.

use resources::Secret;

/// A certificate (PEM) and its private key (PKCS #8, PEM).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credential {
    /// Certificate.
    pub certificate: String,
    /// Private key.
    pub key: Secret<String>,
}
