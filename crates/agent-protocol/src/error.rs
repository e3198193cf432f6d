//! What can go wrong before the first call.

/// A connection could not be set up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The site CA does not parse or holds no certificate.
    #[error("the site CA holds no usable certificate")]
    SiteCa,
    /// Certificate or key of the client do not parse.
    #[error("the client certificate or its key can't be read")]
    ClientIdentity,
    /// rustls refuses the configuration.
    #[error("the TLS configuration is refused")]
    Tls(#[source] rustls::Error),
    /// The site's name is no DNS name.
    #[error("{name:?} is not a DNS name; gantry.site must be the name in the appliance's certificate")]
    SiteName {
        /// What was given.
        name: String,
    },
    /// The server address is not `HOST:PORT`.
    #[error("{address:?} is not HOST:PORT")]
    Address {
        /// What was given.
        address: String,
    },
}
