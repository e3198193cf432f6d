//! Who a peer is, as its certificate proves it.
//!
//! The one constructor takes a certificate that TLS verified against the site CA. The names are
//! `spiffe://<site>/machine/<machineId>/attempt/<n>` and `.../first-boot/<n>`. Certificates of API users have no such name
//! and are nobody here.

use resources::Digest;
use rustls_pki_types::CertificateDer;
use sha2::Digest as _;
use x509_parser::prelude::{FromDer as _, GeneralName, X509Certificate};

use crate::Error;

/// An identity of one site. Revocation is the business of the service that is asked: it compares serial, key and
/// attempt with the live object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Identity {
    /// The installer's agent on one machine, for one attempt.
    Attempt {
        /// Site.
        site: String,
        /// `Server.spec.machineId`.
        machine_id: String,
        /// Attempt number.
        attempt: u64,
        /// Serial number of the certificate, hex.
        serial: String,
        /// Digest of the public key (SubjectPublicKeyInfo).
        public_key: Digest,
    },
    /// The installed system's first boot.
    FirstBoot {
        /// Site.
        site: String,
        /// `Server.spec.machineId`.
        machine_id: String,
        /// Attempt that installed it.
        attempt: u64,
        /// Serial number of the certificate, hex.
        serial: String,
        /// Digest of the public key (SubjectPublicKeyInfo).
        public_key: Digest,
    },
}

impl Identity {
    /// `Server.spec.machineId` of the machine that it names.
    #[must_use]
    pub fn machine_id(&self) -> &str {
        match self {
            Self::Attempt { machine_id, .. } | Self::FirstBoot { machine_id, .. } => machine_id,
        }
    }

    /// Reads the identity out of a certificate that TLS has verified against the CA of `site`.
    pub fn from_verified(certificate: &CertificateDer<'_>, site: &str) -> Result<Self, Error> {
        let refused = |why: String| Error::NoIdentity {
            site: site.to_owned(),
            why,
        };
        let (_, parsed) =
            X509Certificate::from_der(certificate).map_err(|error| refused(format!("malformed: {error}")))?;
        let serial = hex::encode(parsed.raw_serial());
        let public_key = Digest::new(sha2::Sha256::digest(parsed.public_key().raw).into());
        let names = parsed
            .subject_alternative_name()
            .map_err(|error| refused(format!("alternative names: {error}")))?
            .map(|extension| extension.value.general_names.as_slice())
            .unwrap_or_default();
        let [GeneralName::URI(uri)] = names else {
            return Err(refused(format!(
                "{} alternative names instead of one URI",
                names.len()
            )));
        };
        let path = uri
            .strip_prefix("spiffe://")
            .and_then(|rest| rest.strip_prefix(site))
            .and_then(|rest| rest.strip_prefix('/'))
            .ok_or_else(|| refused(format!("{uri:?} is a name of another site")))?;
        let site = site.to_owned();
        let number = |text: &str| {
            text.parse::<u64>()
                .map_err(|_| refused(format!("{uri:?} has no number")))
        };
        match path.split('/').collect::<Vec<_>>().as_slice() {
            ["machine", id, "attempt", n] => {
                let (attempt, machine_id) = (number(n)?, (*id).to_owned());
                Ok(Self::Attempt {
                    site,
                    machine_id,
                    attempt,
                    serial,
                    public_key,
                })
            }
            ["machine", id, "first-boot", n] => {
                let (attempt, machine_id) = (number(n)?, (*id).to_owned());
                Ok(Self::FirstBoot {
                    site,
                    machine_id,
                    attempt,
                    serial,
                    public_key,
                })
            }
            _ => Err(refused(format!("{uri:?} is of no known form"))),
        }
    }
}

/// Identity of a connection's peer: none without a certificate; an error when a verified certificate names nobody.
pub fn peer_identity(
    certificates: Option<&[CertificateDer<'_>]>,
    site: &str,
) -> Result<Option<Identity>, Error> {
    match certificates.and_then(<[_]>::first) {
        None => Ok(None),
        Some(leaf) => Identity::from_verified(leaf, site).map(Some),
    }
}
