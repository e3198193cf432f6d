//! What a TLS server shows of itself, whether its certificate still counts or not.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use resources::Digest;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error as TlsError, RootCertStore, SignatureScheme,
};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use sha2::Digest as _;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::Error;

/// A certificate that a server has shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServedCertificate {
    /// When it ends.
    pub not_after: Timestamp,
    /// SHA-256 of its DER.
    pub sha256: Digest,
}

impl ServedCertificate {
    /// What a server shows that has the first certificate of a PEM file. `None` where there is none in it.
    #[must_use]
    pub fn of_pem(pem: &[u8]) -> Option<Self> {
        let first = CertificateDer::pem_slice_iter(pem).next()?;
        served(&first.ok()?)
    }
}

/// TLS settings for one handshake with one server, which say afterwards what certificate it has shown. It must be of the
/// authority and for the server's name, and may have ended: that is what is asked for. Nothing may be sent over such a
/// connection. The client shows no certificate, so a server that wants one ends the connection after its own.
#[derive(Debug)]
pub struct ServedCertificateProbe {
    verifier: Arc<Verifier>,
}

#[derive(Debug)]
struct Verifier {
    inner: Arc<WebPkiServerVerifier>,
    seen: Mutex<Option<ServedCertificate>>,
}

impl ServedCertificateProbe {
    /// For servers whose certificate is of this authority (PEM).
    pub fn new(authority: &str) -> Result<Self, Error> {
        let wrong = |why: String| Error::Pem {
            what: "the certificate of the authority",
            why,
        };
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(authority.as_bytes()) {
            let certificate = certificate.map_err(|error| wrong(error.to_string()))?;
            roots.add(certificate).map_err(|error| wrong(error.to_string()))?;
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let inner = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider)
            .build()
            .map_err(|error| wrong(error.to_string()))?;
        Ok(Self {
            verifier: Arc::new(Verifier {
                inner,
                seen: Mutex::new(None),
            }),
        })
    }

    /// The settings.
    pub fn config(&self) -> Result<ClientConfig, Error> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| Error::Tls(error.to_string()))?;
        let verifier: Arc<dyn ServerCertVerifier> = self.verifier.clone();
        Ok(builder
            .dangerous()
            .with_custom_certificate_verifier(verifier)
            .with_no_client_auth())
    }

    /// The name by which a server at an address is checked.
    #[must_use]
    pub fn name(address: IpAddr) -> ServerName<'static> {
        ServerName::IpAddress(address.into())
    }

    /// What the server has shown, as soon as the handshake is so far. `None` where it has shown nothing, not a certificate
    /// of the authority for its name, or one whose key it does not have.
    #[must_use]
    pub fn seen(&self) -> Option<ServedCertificate> {
        *self.verifier.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, TlsError> {
        let served = served(end_entity).ok_or(TlsError::InvalidCertificate(CertificateError::BadEncoding))?;
        // One that has ended is checked as it was in its last second.
        let last = u64::try_from(served.not_after.as_second().saturating_sub(1)).unwrap_or(0);
        let at = UnixTime::since_unix_epoch(Duration::from_secs(now.as_secs().min(last)));
        self.inner
            .verify_server_cert(end_entity, intermediates, server_name, ocsp_response, at)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        let valid = self.inner.verify_tls12_signature(message, cert, dss)?;
        self.note(cert);
        Ok(valid)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        let valid = self.inner.verify_tls13_signature(message, cert, dss)?;
        self.note(cert);
        Ok(valid)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}

impl Verifier {
    /// The server has the key of this certificate, which was checked before.
    fn note(&self, certificate: &CertificateDer<'_>) {
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = served(certificate);
    }
}

fn served(certificate: &CertificateDer<'_>) -> Option<ServedCertificate> {
    let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
    Some(ServedCertificate {
        not_after: Timestamp::from_second(parsed.validity().not_after.timestamp()).ok()?,
        sha256: Digest::new(sha2::Sha256::digest(certificate).into()),
    })
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use jiff::SignedDuration;
    use rcgen::{ExtendedKeyUsagePurpose, Issuer, KeyPair, SanType};
    use resources::Secret;
    use rustls::{ClientConnection, ServerConfig, ServerConnection};

    use super::*;
    use crate::site_ca::{authority, leaf};
    use crate::{Credential, ServingCertificate, Validity};

    const ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 11));

    fn new_authority() -> Credential {
        let key = KeyPair::generate().unwrap();
        let validity = Validity::lasting(Timestamp::now(), SignedDuration::from_hours(1));
        Credential {
            certificate: authority("etcd-ca", validity).self_signed(&key).unwrap().pem(),
            key: Secret::new(key.serialize_pem()),
        }
    }

    /// A certificate for the address, from two hours ago until so many seconds from now.
    fn serving(authority: &Credential, seconds: i64) -> Credential {
        let key = KeyPair::from_pem(authority.key.reveal()).unwrap();
        let issuer = Issuer::from_ca_cert_pem(&authority.certificate, key).unwrap();
        let now = Timestamp::now();
        let validity = Validity::until(
            now - SignedDuration::from_hours(2),
            now + SignedDuration::from_secs(seconds),
        );
        let purpose = ExtendedKeyUsagePurpose::ServerAuth;
        let params = leaf("node", None, vec![SanType::IpAddress(ADDRESS)], purpose, validity);
        let key = KeyPair::generate().unwrap();
        Credential {
            certificate: params.signed_by(&key, &issuer).unwrap().pem(),
            key: Secret::new(key.serialize_pem()),
        }
    }

    /// What is seen of a server with this certificate.
    fn seen(authority: &Credential, own: &Credential, address: IpAddr) -> Option<ServedCertificate> {
        let probe = ServedCertificateProbe::new(&authority.certificate).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let server = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_cert_resolver(ServingCertificate::new(own).unwrap());
        let mut server = ServerConnection::new(Arc::new(server)).unwrap();
        let name = ServedCertificateProbe::name(address);
        let mut client = ClientConnection::new(Arc::new(probe.config().unwrap()), name).unwrap();
        for _ in 0..4 {
            let mut sent = Vec::new();
            client.write_tls(&mut sent).unwrap();
            if !sent.is_empty() {
                server.read_tls(&mut sent.as_slice()).unwrap();
                let _ = server.process_new_packets();
            }
            let mut answer = Vec::new();
            server.write_tls(&mut answer).unwrap();
            if !answer.is_empty() {
                client.read_tls(&mut answer.as_slice()).unwrap();
                let _ = client.process_new_packets();
            }
        }
        probe.seen()
    }

    #[test]
    fn a_certificate_is_seen_whether_it_still_counts_or_not() {
        let authority = new_authority();
        for seconds in [3600, -3600] {
            let own = serving(&authority, seconds);
            let seen = seen(&authority, &own, ADDRESS).unwrap();
            let left = seen.not_after.duration_since(Timestamp::now()).as_secs();
            assert!((left - seconds).abs() < 60, "{left}");
            let der = CertificateDer::from_pem_slice(own.certificate.as_bytes()).unwrap();
            assert_eq!(seen, served(&der).unwrap());
        }
    }

    #[test]
    fn certificates_of_others_are_not_seen() {
        let authority = new_authority();
        let own = serving(&authority, 3600);
        assert_eq!(seen(&new_authority(), &own, ADDRESS), None);
        let other = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 12));
        assert_eq!(seen(&authority, &own, other), None);
        // Whoever has only the certificate has another key.
        let mut stolen = own;
        stolen.key = serving(&authority, 3600).key;
        assert_eq!(seen(&authority, &stolen, ADDRESS), None);
    }
}
