//! The username and password that a registry asks for.

use resources::Secret;

/// What a registry asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegistryCredentials {
    /// Name of the user.
    pub username: String,
    /// Password.
    pub password: Secret<String>,
}
