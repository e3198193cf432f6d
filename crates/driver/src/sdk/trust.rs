//! Whom a driver trusts at the other end of TLS: authorities, one pinned certificate (by SHA-1, as vCenter shows it, or by
//! SHA-256), or anybody, when a person has asked for that.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, SHA256, digest};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs as crypto, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error as TlsError, RootCertStore, SignatureScheme,
};

/// Whom to trust.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trust {
    /// Certificates that these authorities, PEM, have signed for the name that is connected to.
    Authorities(String),
    /// This one certificate, whatever its name and date.
    Pinned(Thumbprint),
    /// Any. The driver has to warn of it in `CheckScope`.
    Insecure,
}

/// Digest of a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Thumbprint {
    /// SHA-1.
    Sha1([u8; 20]),
    /// SHA-256.
    Sha256([u8; 32]),
}

/// Why trust can't be set up.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// Neither a SHA-1 nor a SHA-256.
    #[error(
        "{0:?} is no thumbprint: it has 20 (SHA-1) or 32 (SHA-256) bytes in hexadecimal digits, as AA:BB:..."
    )]
    Thumbprint(String),
    /// No certificate in the text, or one that can't be read.
    #[error("the certificates of authorities are not PEM, or there is none")]
    Authorities,
    /// The library refuses.
    #[error("TLS can't be set up")]
    Tls(#[from] TlsError),
}

impl FromStr for Thumbprint {
    type Err = TrustError;

    fn from_str(text: &str) -> Result<Self, TrustError> {
        let wrong = || TrustError::Thumbprint(text.to_owned());
        let digits = text.trim().replace([':', ' '], "");
        let bytes = hex::decode(digits).map_err(|_| wrong())?;
        if let Ok(sha1) = <[u8; 20]>::try_from(bytes.as_slice()) {
            return Ok(Self::Sha1(sha1));
        }
        bytes.try_into().map(Self::Sha256).map_err(|_| wrong())
    }
}

impl fmt::Display for Thumbprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = match self {
            Self::Sha1(bytes) => bytes.as_slice(),
            Self::Sha256(bytes) => bytes.as_slice(),
        };
        let pairs: Vec<String> = bytes.iter().map(|byte| format!("{byte:02X}")).collect();
        f.write_str(&pairs.join(":"))
    }
}

impl Thumbprint {
    fn matches(&self, certificate: &[u8]) -> bool {
        match self {
            Self::Sha1(pinned) => digest(&SHA1_FOR_LEGACY_USE_ONLY, certificate).as_ref() == pinned,
            Self::Sha256(pinned) => digest(&SHA256, certificate).as_ref() == pinned,
        }
    }
}

impl Trust {
    /// For a client of HTTPS.
    ///
    /// # Errors
    /// See [`TrustError`].
    pub fn client_config(&self) -> Result<ClientConfig, TrustError> {
        let provider = Arc::new(crypto::default_provider());
        let builder =
            ClientConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions()?;
        let pinned = match self {
            Self::Authorities(pem) => {
                return Ok(builder
                    .with_root_certificates(authorities(pem)?)
                    .with_no_client_auth());
            }
            Self::Pinned(thumbprint) => Some(*thumbprint),
            Self::Insecure => None,
        };
        let verifier = Arc::new(WithoutAuthority { pinned, provider });
        Ok(builder
            .dangerous()
            .with_custom_certificate_verifier(verifier)
            .with_no_client_auth())
    }
}

fn authorities(pem: &str) -> Result<RootCertStore, TrustError> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
        let certificate = certificate.map_err(|_| TrustError::Authorities)?;
        roots.add(certificate).map_err(|_| TrustError::Authorities)?;
    }
    if roots.is_empty() {
        return Err(TrustError::Authorities);
    }
    Ok(roots)
}

/// Asks no authority. That the other end has the certificate's key is checked in any case.
#[derive(Debug)]
struct WithoutAuthority {
    pinned: Option<Thumbprint>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for WithoutAuthority {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, TlsError> {
        match self.pinned {
            Some(pinned) if !pinned.matches(end_entity) => Err(TlsError::InvalidCertificate(
                CertificateError::ApplicationVerificationFailure,
            )),
            _ => Ok(ServerCertVerified::assertion()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        verify_tls12_signature(
            message,
            cert,
            dss,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        verify_tls13_signature(
            message,
            cert,
            dss,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rcgen::{CertifiedKey, generate_simple_self_signed};
    use rustls::pki_types::PrivateKeyDer;
    use rustls::{ClientConnection, ServerConfig, ServerConnection};

    use super::{Thumbprint, Trust, TrustError};

    /// Whether a client that trusts so finishes a handshake with a server that has the certificate.
    fn connects(trust: &Trust, server: &CertifiedKey<rcgen::KeyPair>, name: &'static str) -> bool {
        let key = PrivateKeyDer::try_from(server.signing_key.serialize_der()).expect("a key");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(vec![server.cert.der().clone()], key)
            .expect("a certificate with its key");
        let mut server = ServerConnection::new(Arc::new(config)).expect("a server");
        let config = Arc::new(trust.client_config().expect("a client"));
        let mut client = ClientConnection::new(config, name.try_into().expect("a name")).expect("a client");
        while client.is_handshaking() {
            let mut bytes = Vec::new();
            client.write_tls(&mut bytes).expect("into memory");
            server.read_tls(&mut bytes.as_slice()).expect("from memory");
            if server.process_new_packets().is_err() {
                return false;
            }
            let mut bytes = Vec::new();
            server.write_tls(&mut bytes).expect("into memory");
            client.read_tls(&mut bytes.as_slice()).expect("from memory");
            if client.process_new_packets().is_err() {
                return false;
            }
        }
        true
    }

    #[test]
    fn trust_goes_as_far_as_it_says() {
        let server = generate_simple_self_signed(["vc.example".to_owned()]).expect("a certificate");
        let other = generate_simple_self_signed(["vc.example".to_owned()]).expect("a certificate");
        let der = server.cert.der();
        let sha1 = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA1_FOR_LEGACY_USE_ONLY, der);
        let sha1 = Trust::Pinned(Thumbprint::Sha1(sha1.as_ref().try_into().expect("20 bytes")));
        let sha256 = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, der);
        let sha256 = Trust::Pinned(Thumbprint::Sha256(sha256.as_ref().try_into().expect("32 bytes")));
        let signed = Trust::Authorities(server.cert.pem());
        for (trust, its_name, another_name, another_server) in [
            (&sha1, true, true, false),
            (&sha256, true, true, false),
            (&signed, true, false, false),
            (&Trust::Insecure, true, true, true),
        ] {
            assert_eq!(connects(trust, &server, "vc.example"), its_name, "{trust:?}");
            assert_eq!(
                connects(trust, &server, "else.example"),
                another_name,
                "{trust:?}"
            );
            assert_eq!(connects(trust, &other, "vc.example"), another_server, "{trust:?}");
        }
    }

    #[test]
    fn thumbprints_are_read_as_people_write_them() {
        let text = "AA:BB:CC:DD:EE:FF:00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD";
        let read: Thumbprint = text.parse().expect("SHA-1");
        assert_eq!(read.to_string(), text);
        let lower: Thumbprint = text.to_lowercase().replace(':', "").parse().expect("SHA-1");
        assert_eq!(lower, read);
        assert!(matches!("ab".repeat(32).parse(), Ok(Thumbprint::Sha256(_))));
        for wrong in ["", "AA", "no digits", &"ab".repeat(21)] {
            assert!(
                matches!(wrong.parse::<Thumbprint>(), Err(TrustError::Thumbprint(_))),
                "{wrong}"
            );
        }
    }

    #[test]
    fn no_authority_is_an_error() {
        let trust = Trust::Authorities("no PEM".to_owned());
        assert!(matches!(trust.client_config(), Err(TrustError::Authorities)));
    }
}
