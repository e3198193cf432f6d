//! The site CA: one P-256 key that signs for the server, for agents, for first boots and for administrators.
//!
//! Key and certificate lie in one file (`site-ca.pem`), so they cannot come apart. What a request asks for beside its
//! public key is ignored.

use std::fmt;
use std::net::IpAddr;

use jiff::{SignedDuration, Timestamp};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, PublicKeyData, SanType, SerialNumber,
};
use resources::{Digest, Secret};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use sha2::Digest as _;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::{Credential, Error, KeyDir, Validity};

const NAME: &str = "site-ca.pem";
const COMMON_NAME: &str = "Gantry site ";
/// Ten years, as kubeadm gives its own CAs.
pub(crate) const CA_LIFE: SignedDuration = SignedDuration::from_hours(24 * 3652);

/// A certificate for somebody else's key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssuedCertificate {
    /// The certificate (PEM).
    pub pem: String,
    /// Its serial number, hex.
    pub serial: String,
    /// When it ends.
    pub not_after: Timestamp,
    /// Digest of the public key (SubjectPublicKeyInfo, DER).
    pub public_key: Digest,
}

/// The CA of one site.
pub struct SiteCa {
    site: String,
    pem: String,
    der: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
}

impl fmt::Debug for SiteCa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SiteCa")
            .field("site", &self.site)
            .finish_non_exhaustive()
    }
}

impl SiteCa {
    /// The CA in `site-ca.pem`, made at the first start. `site` must be a DNS name: the server certificate carries it.
    pub fn load_or_create(keys: &KeyDir, site: &str, now: Timestamp) -> Result<Self, Error> {
        let path = keys.file(NAME);
        let content = keys.load_or_create(NAME, || make(site, now).map(String::into_bytes))?;
        let damaged = |what: String| Error::Damaged {
            path: path.clone(),
            what,
        };
        let text = String::from_utf8(content).map_err(|_| damaged("no text".into()))?;
        let key = KeyPair::from_pem(&text).map_err(|error| damaged(format!("its key: {error}")))?;
        let der = CertificateDer::from_pem_slice(text.as_bytes())
            .map_err(|error| damaged(format!("its certificate: {error}")))?;
        let (_, parsed) =
            X509Certificate::from_der(&der).map_err(|error| damaged(format!("its certificate: {error}")))?;
        if parsed.public_key().raw != key.subject_public_key_info() {
            return Err(damaged("key and certificate do not belong together".into()));
        }
        let common_name = parsed
            .subject()
            .iter_common_name()
            .find_map(|name| name.as_str().ok());
        let found = common_name
            .and_then(|name| name.strip_prefix(COMMON_NAME))
            .unwrap_or_default()
            .to_owned();
        if found != site {
            return Err(Error::OtherSite {
                path,
                found,
                wanted: site.to_owned(),
            });
        }
        let issuer = Issuer::from_ca_cert_der(&der, key).map_err(|error| damaged(error.to_string()))?;
        let start = text.find("-----BEGIN CERTIFICATE-----").unwrap_or_default();
        let pem = text.get(start..).unwrap_or_default().to_owned();
        Ok(Self {
            site: site.to_owned(),
            pem,
            der,
            issuer,
        })
    }

    /// Name of the site.
    #[must_use]
    pub fn site(&self) -> &str {
        &self.site
    }

    /// The CA's certificate (PEM), public.
    #[must_use]
    pub fn ca_pem(&self) -> &str {
        &self.pem
    }

    /// The CA's certificate (DER).
    #[must_use]
    pub fn ca_der(&self) -> &CertificateDer<'static> {
        &self.der
    }

    /// Key and certificate of a server: the site's name, `names` and `addresses`.
    pub fn issue_server(
        &self,
        names: &[&str],
        addresses: &[IpAddr],
        validity: Validity,
    ) -> Result<Credential, Error> {
        let mut alternatives = Vec::new();
        for name in std::iter::once(self.site.as_str()).chain(names.iter().copied()) {
            let name = name.try_into().map_err(|source| issue(name, source))?;
            alternatives.push(SanType::DnsName(name));
        }
        alternatives.extend(addresses.iter().copied().map(SanType::IpAddress));
        let params = leaf(
            &self.site,
            None,
            alternatives,
            ExtendedKeyUsagePurpose::ServerAuth,
            validity,
        );
        self.with_fresh_key(&self.site, params)
    }

    /// Certificate of the agent on `machine_id` for `attempt`, for the public key in `csr_pem`.
    pub fn issue_attempt(
        &self,
        csr_pem: &str,
        machine_id: &str,
        attempt: u64,
        validity: Validity,
    ) -> Result<IssuedCertificate, Error> {
        self.for_request(
            csr_pem,
            &format!("machine/{machine_id}/attempt/{attempt}"),
            validity,
        )
    }

    /// Certificate of the system that `attempt` installs on `machine_id`, for the public key in `csr_pem`.
    pub fn issue_first_boot(
        &self,
        csr_pem: &str,
        machine_id: &str,
        attempt: u64,
        validity: Validity,
    ) -> Result<IssuedCertificate, Error> {
        self.for_request(
            csr_pem,
            &format!("machine/{machine_id}/first-boot/{attempt}"),
            validity,
        )
    }

    /// Key and certificate of a user of the Kubernetes API: user name as CN, group as O, as Kubernetes reads them, and no
    /// alternative name: names with a URI belong to machines, and the API refuses them. One group: a name of rcgen
    /// holds each attribute once.
    pub fn issue_api_client(&self, name: &str, group: &str, validity: Validity) -> Result<Credential, Error> {
        let params = leaf(
            name,
            Some(group),
            Vec::new(),
            ExtendedKeyUsagePurpose::ClientAuth,
            validity,
        );
        self.with_fresh_key(name, params)
    }

    /// Digest of the public key in a request, after its signature is verified.
    pub fn request_key(csr_pem: &str) -> Result<Digest, Error> {
        verified_key(csr_pem).map(|key| digest_of(&key))
    }

    fn uri(&self, path: &str) -> Result<SanType, Error> {
        let text = format!("spiffe://{}/{path}", self.site);
        let uri = text.as_str().try_into().map_err(|source| issue(&text, source))?;
        Ok(SanType::URI(uri))
    }

    fn for_request(&self, csr_pem: &str, path: &str, validity: Validity) -> Result<IssuedCertificate, Error> {
        let key = verified_key(csr_pem)?;
        let client = ExtendedKeyUsagePurpose::ClientAuth;
        let params = leaf(path, None, vec![self.uri(path)?], client, validity);
        let serial = params
            .serial_number
            .as_ref()
            .map(SerialNumber::to_bytes)
            .unwrap_or_default();
        let certificate = params
            .signed_by(&key, &self.issuer)
            .map_err(|source| issue(path, source))?;
        Ok(IssuedCertificate {
            pem: certificate.pem(),
            serial: hex::encode(serial),
            not_after: validity.not_after(),
            public_key: digest_of(&key),
        })
    }

    fn with_fresh_key(&self, subject: &str, params: CertificateParams) -> Result<Credential, Error> {
        let key = KeyPair::generate().map_err(|source| issue(subject, source))?;
        let certificate = params
            .signed_by(&key, &self.issuer)
            .map_err(|source| issue(subject, source))?;
        Ok(Credential {
            certificate: certificate.pem(),
            key: Secret::new(key.serialize_pem()),
        })
    }
}

/// Key and self-signed certificate of a new CA, both as PEM in one text, the certificate last.
fn make(site: &str, now: Timestamp) -> Result<String, Error> {
    let key = KeyPair::generate().map_err(|source| issue(site, source))?;
    let params = authority(&format!("{COMMON_NAME}{site}"), Validity::lasting(now, CA_LIFE));
    let certificate = params.self_signed(&key).map_err(|source| issue(site, source))?;
    Ok(format!("{}{}", key.serialize_pem(), certificate.pem()))
}

/// Parameters of a CA that signs leaf certificates only.
pub(crate) fn authority(common_name: &str, validity: Validity) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = subject(common_name, None);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![
        KeyUsagePurpose::DigitalSignature,
        KeyUsagePurpose::KeyEncipherment,
        KeyUsagePurpose::KeyCertSign,
        KeyUsagePurpose::CrlSign,
    ];
    params.serial_number = Some(serial());
    validity.apply(&mut params);
    params
}

/// Parameters of a certificate that signs nothing.
pub(crate) fn leaf(
    common_name: &str,
    organisation: Option<&str>,
    alternatives: Vec<SanType>,
    purpose: ExtendedKeyUsagePurpose,
    validity: Validity,
) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = subject(common_name, organisation);
    params.subject_alt_names = alternatives;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![purpose];
    params.use_authority_key_identifier_extension = true;
    params.serial_number = Some(serial());
    validity.apply(&mut params);
    params
}

fn subject(common_name: &str, organisation: Option<&str>) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, common_name);
    if let Some(organisation) = organisation {
        name.push(DnType::OrganizationName, organisation);
    }
    name
}

/// 126 random bits after a leading 01, so that its DER form is always these 16 bytes.
fn serial() -> SerialNumber {
    let [first, rest @ ..] = rand::random::<[u8; 16]>();
    let mut octets = vec![(first & 0x3f) | 0x40];
    octets.extend(rest);
    SerialNumber::from(octets)
}

fn verified_key(csr_pem: &str) -> Result<rcgen::PublicKey, Error> {
    let request = CertificateSigningRequestParams::from_pem(csr_pem)
        .map_err(|error| Error::Request(error.to_string()))?;
    if request.public_key.algorithm() != &rcgen::PKCS_ECDSA_P256_SHA256 {
        return Err(Error::Request("the key is not of P-256".into()));
    }
    Ok(request.public_key)
}

fn digest_of(key: &impl PublicKeyData) -> Digest {
    Digest::new(sha2::Sha256::digest(key.subject_public_key_info()).into())
}

pub(crate) fn issue(subject: &str, source: rcgen::Error) -> Error {
    Error::Issue {
        subject: subject.to_owned(),
        source,
    }
}
