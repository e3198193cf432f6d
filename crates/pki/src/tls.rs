//! TLS settings of a listener of the site.

use std::sync::Arc;

use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::time_provider::TimeProvider;
use rustls::{RootCertStore, ServerConfig};

use crate::{Error, ServingCertificate, SiteCa};

/// What a listener does about certificates of its peers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientCertificates {
    /// Asks for none.
    Ignored,
    /// Asks for one; a peer may have none, but one that it shows must be of the site CA and valid.
    Optional,
}

/// Settings with the server's own certificate, for HTTP/2 and HTTP/1.1. The TLS provider is named here and not taken
/// from the process; `time` is what certificates of peers are checked by.
///
/// Sessions are not resumed: each connection proves anew who its peer is, with a certificate that is valid then.
pub fn server_config(
    ca: &SiteCa,
    own: Arc<ServingCertificate>,
    clients: ClientCertificates,
    time: Arc<dyn TimeProvider>,
) -> Result<ServerConfig, Error> {
    let failed = |error: &dyn std::fmt::Display| Error::Tls(error.to_string());
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_details(provider.clone(), time)
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
    let mut config = builder.with_cert_resolver(own);
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(config)
}
