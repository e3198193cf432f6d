//! The secrets by which a node joins.

use resources::Secret;

/// What a node needs to join.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JoinSecrets {
    /// Bootstrap token, `abcdef.0123456789abcdef`.
    pub token: Secret<String>,
    /// `sha256:` and 64 hex digits.
    pub ca_cert_hash: String,
}
