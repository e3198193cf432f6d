//! What can go wrong while the service is set up. A running service answers with an HTTP status.

/// Error of the HTTP boot service.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The site CA is no PEM certificate.
    #[error("the site CA is no PEM certificate; it must begin with -----BEGIN CERTIFICATE-----")]
    SiteCa,
}
