//! TLS settings of a listener of the site.

use std::sync::Arc;

use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use crate::{Credential, Error, SiteCa};

/// What a listener does about certificates of its peers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientCertificates {
    /// Asks for none.
    Ignored,
    /// Asks for one; a peer may have none, but one that it shows must be of the site CA and valid.
    Optional,
}

/// Settings with the server's own credential, for HTTP/2 and HTTP/1.1. The TLS provider is named here and not taken
/// from the process.
pub fn server_config(
    ca: &SiteCa,
    own: &Credential,
    clients: ClientCertificates,
) -> Result<ServerConfig, Error> {
    let failed = |error: &dyn std::fmt::Display| Error::Tls(error.to_string());
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|error| failed(&error))?;
    let builder = match clients {
        ClientCertificates::Ignored => builder.with_no_client_auth(),
        ClientCertificates::Optional => {
            let mut roots = RootCertStore::empty();
            roots.add(ca.ca_der().clone()).map_err(|error| failed(&error))?;
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
                .allow_unauthenticated()
                .build()
                .map_err(|error| failed(&error))?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let chain = CertificateDer::pem_slice_iter(own.certificate.as_bytes())
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| failed(&error))?;
    let key = PrivateKeyDer::from_pem_slice(own.key.reveal().as_bytes()).map_err(|error| failed(&error))?;
    let mut config = builder
        .with_single_cert(chain, key)
        .map_err(|error| failed(&error))?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}
