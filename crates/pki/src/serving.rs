//! The certificate that a listener shows. It can be exchanged while the listener runs: later handshakes get the new one.

use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use crate::{Credential, Error};

/// The newest certificate of a listener, with its key.
#[derive(Debug)]
pub struct ServingCertificate(ArcSwap<CertifiedKey>);

impl ServingCertificate {
    /// Begins with this one.
    pub fn new(credential: &Credential) -> Result<Arc<Self>, Error> {
        let key = certified(credential)?;
        Ok(Arc::new(Self(ArcSwap::from_pointee(key))))
    }

    /// Shows this one from the next handshake on.
    pub fn replace(&self, credential: &Credential) -> Result<(), Error> {
        self.0.store(Arc::new(certified(credential)?));
        Ok(())
    }
}

impl ResolvesServerCert for ServingCertificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.load_full())
    }
}

fn certified(credential: &Credential) -> Result<CertifiedKey, Error> {
    let failed = |error: &dyn std::fmt::Display| Error::Tls(error.to_string());
    let chain = CertificateDer::pem_slice_iter(credential.certificate.as_bytes())
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| failed(&error))?;
    let key =
        PrivateKeyDer::from_pem_slice(credential.key.reveal().as_bytes()).map_err(|error| failed(&error))?;
    let key = any_supported_type(&key).map_err(|error| failed(&error))?;
    Ok(CertifiedKey::new(chain, key))
}
