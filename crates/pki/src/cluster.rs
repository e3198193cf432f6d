//! The CAs and keys of one cluster, made before its first machine (kubeadm's "external files" layout).
//!
//! All keys are P-256 in PKCS #8, which kubeadm and kube-apiserver read. Until `kubeadm init` has made its RBAC
//! rules, only the group `system:masters` has rights, so administrators' certificates carry it and are short.

use std::net::IpAddr;

use rcgen::{CertificateParams, ExtendedKeyUsagePurpose, Issuer, KeyPair, PublicKeyData as _, SanType};
use resources::Secret;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, SubjectPublicKeyInfoDer};
use sha2::Digest as _;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::credential::Credential;
use crate::site_ca::{authority, issue, leaf};
use crate::{Error, Validity, kubeconfig};

/// The key pair that signs service-account tokens (`sa.pub`, `sa.key`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceAccountKeys {
    /// Public key (PEM, SubjectPublicKeyInfo).
    pub public: String,
    /// Private key (PEM, PKCS #8).
    pub private: Secret<String>,
}

/// Everything that signs in one cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterPki {
    /// `ca.crt`, `ca.key`.
    pub ca: Credential,
    /// `etcd/ca.crt`, `etcd/ca.key`.
    pub etcd: Credential,
    /// `front-proxy-ca.crt`, `front-proxy-ca.key`.
    pub front_proxy: Credential,
    /// `sa.pub`, `sa.key`.
    pub service_account: ServiceAccountKeys,
}

impl ClusterPki {
    /// Makes all of it anew.
    pub fn generate(validity: Validity) -> Result<Self, Error> {
        let key = KeyPair::generate().map_err(|source| issue("service accounts", source))?;
        Ok(Self {
            ca: new_authority("kubernetes", validity)?,
            etcd: new_authority("etcd-ca", validity)?,
            front_proxy: new_authority("front-proxy-ca", validity)?,
            service_account: ServiceAccountKeys {
                public: key.public_key_pem(),
                private: Secret::new(key.serialize_pem()),
            },
        })
    }

    /// Whether each key is that of its certificate, or of its public half.
    pub fn check(&self) -> Result<(), Error> {
        let parts = [
            ("the cluster CA", &self.ca),
            ("the etcd CA", &self.etcd),
            ("the front proxy's CA", &self.front_proxy),
        ];
        for (what, credential) in parts {
            let public = public_key(what, &credential.certificate)?;
            is_pair(what, &credential.key, &public)?;
        }
        let what = "the key of service accounts";
        let public = self.service_account.public.as_bytes();
        let public = SubjectPublicKeyInfoDer::from_pem_slice(public).map_err(|error| Error::Pem {
            what,
            why: error.to_string(),
        })?;
        is_pair(what, &self.service_account.private, &public)
    }

    /// Hash of the cluster CA as `kubeadm join --discovery-token-ca-cert-hash` takes it: `sha256:` and the SHA-256 of
    /// its SubjectPublicKeyInfo.
    pub fn ca_cert_hash(&self) -> Result<String, Error> {
        let public = public_key("the cluster CA's certificate", &self.ca.certificate)?;
        Ok(format!("sha256:{}", hex::encode(sha2::Sha256::digest(public))))
    }

    /// Certificate of an administrator (CN `kubernetes-admin`, O `system:masters`).
    pub fn admin_client(&self, validity: Validity) -> Result<Credential, Error> {
        admin_client(&self.ca, validity)
    }

    /// Certificate of a client of etcd (CN `gantry`). kubeadm's etcd lets every certificate of its CA do everything.
    pub fn etcd_client(&self, validity: Validity) -> Result<Credential, Error> {
        etcd_client(&self.etcd, validity)
    }

    /// Certificate with which a member of etcd serves clients and other members at an address.
    pub fn etcd_server(&self, address: IpAddr, validity: Validity) -> Result<Credential, Error> {
        let (name, purpose) = (address.to_string(), ExtendedKeyUsagePurpose::ServerAuth);
        let alternatives = vec![SanType::IpAddress(address)];
        let params = leaf(&name, None, alternatives, purpose, validity);
        signed(&self.etcd, "the etcd CA", &name, params)
    }

    /// A kubeconfig for [`Self::admin_client`]; `server` is the API's URL, such as `https://192.0.2.10:6443`.
    pub fn admin_kubeconfig(
        &self,
        server: &str,
        cluster: &str,
        validity: Validity,
    ) -> Result<Secret<String>, Error> {
        admin_kubeconfig(&self.ca, server, cluster, validity)
    }
}

/// The SubjectPublicKeyInfo of a certificate; `what` names it in errors.
fn public_key(what: &'static str, certificate: &str) -> Result<Vec<u8>, Error> {
    let wrong = |why: String| Error::Pem { what, why };
    let der =
        CertificateDer::from_pem_slice(certificate.as_bytes()).map_err(|error| wrong(error.to_string()))?;
    let (_, parsed) = X509Certificate::from_der(&der).map_err(|error| wrong(error.to_string()))?;
    Ok(parsed.public_key().raw.to_vec())
}

/// Whether a private key belongs to a public one.
fn is_pair(what: &'static str, key: &Secret<String>, public: &[u8]) -> Result<(), Error> {
    let key = KeyPair::from_pem(key.reveal()).map_err(|error| Error::Pem {
        what,
        why: error.to_string(),
    })?;
    match key.subject_public_key_info() == public {
        true => Ok(()),
        false => Err(Error::OtherKey { what }),
    }
}

fn admin_client(ca: &Credential, validity: Validity) -> Result<Credential, Error> {
    let group = Some("system:masters");
    client(ca, "the cluster CA", "kubernetes-admin", group, validity)
}

/// As [`ClusterPki::etcd_client`], for who has the CA of etcd alone.
pub fn etcd_client(etcd: &Credential, validity: Validity) -> Result<Credential, Error> {
    client(etcd, "the etcd CA", "gantry", None, validity)
}

/// As [`ClusterPki::admin_kubeconfig`], for who has the cluster CA alone.
pub fn admin_kubeconfig(
    ca: &Credential,
    server: &str,
    cluster: &str,
    validity: Validity,
) -> Result<Secret<String>, Error> {
    let client = admin_client(ca, validity)?;
    Ok(kubeconfig::admin(server, cluster, &ca.certificate, &client))
}

/// `what` names the authority in errors.
fn client(
    authority: &Credential,
    what: &'static str,
    name: &str,
    group: Option<&str>,
    validity: Validity,
) -> Result<Credential, Error> {
    let purpose = ExtendedKeyUsagePurpose::ClientAuth;
    let params = leaf(name, group, Vec::new(), purpose, validity);
    signed(authority, what, name, params)
}

/// A certificate of an authority for a new key.
fn signed(
    authority: &Credential,
    what: &'static str,
    name: &str,
    params: CertificateParams,
) -> Result<Credential, Error> {
    let wrong = |error: rcgen::Error| Error::Pem {
        what,
        why: error.to_string(),
    };
    let ca_key = KeyPair::from_pem(authority.key.reveal()).map_err(wrong)?;
    let issuer = Issuer::from_ca_cert_pem(&authority.certificate, ca_key).map_err(wrong)?;
    let key = KeyPair::generate().map_err(|source| issue(name, source))?;
    let certificate = params
        .signed_by(&key, &issuer)
        .map_err(|source| issue(name, source))?;
    Ok(Credential {
        certificate: certificate.pem(),
        key: Secret::new(key.serialize_pem()),
    })
}

fn new_authority(common_name: &str, validity: Validity) -> Result<Credential, Error> {
    let key = KeyPair::generate().map_err(|source| issue(common_name, source))?;
    let certificate = authority(common_name, validity)
        .self_signed(&key)
        .map_err(|source| issue(common_name, source))?;
    Ok(Credential {
        certificate: certificate.pem(),
        key: Secret::new(key.serialize_pem()),
    })
}
