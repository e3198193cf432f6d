//! The PKI of a cluster, as kubeadm and kubectl read it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use jiff::{SignedDuration, Timestamp};
use pki::{ClusterPki, Validity};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use sha2::Digest;
use x509_parser::prelude::{FromDer, X509Certificate};

fn pki() -> ClusterPki {
    ClusterPki::generate(Validity::lasting(
        Timestamp::now(),
        SignedDuration::from_hours(24 * 365),
    ))
    .unwrap()
}

#[test]
fn every_authority_is_one_and_signs_for_itself() {
    let pki = pki();
    for (name, authority) in [
        ("kubernetes", &pki.ca),
        ("etcd-ca", &pki.etcd),
        ("front-proxy-ca", &pki.front_proxy),
    ] {
        let der = CertificateDer::from_pem_slice(authority.certificate.as_bytes()).unwrap();
        let (_, parsed) = X509Certificate::from_der(&der).unwrap();
        assert!(parsed.is_ca(), "{name}");
        assert_eq!(parsed.subject().to_string(), format!("CN={name}"));
        parsed.verify_signature(None).unwrap();
        assert!(authority.key.reveal().starts_with("-----BEGIN PRIVATE KEY-----"));
    }
    assert!(
        pki.service_account
            .public
            .starts_with("-----BEGIN PUBLIC KEY-----")
    );
    assert!(!format!("{pki:?}").contains("PRIVATE"));
}

#[test]
fn the_hash_is_that_of_the_public_key() {
    let pki = pki();
    let der = CertificateDer::from_pem_slice(pki.ca.certificate.as_bytes()).unwrap();
    let (_, parsed) = X509Certificate::from_der(&der).unwrap();
    let expected = hex::encode(sha2::Sha256::digest(parsed.public_key().raw));
    assert_eq!(pki.ca_cert_hash().unwrap(), format!("sha256:{expected}"));
}

#[test]
fn the_kubeconfig_holds_a_short_certificate_of_the_cluster_ca() {
    let pki = pki();
    let now = Timestamp::now();
    let validity = Validity::lasting(now, SignedDuration::from_hours(1));
    let client = pki.admin_client(validity).unwrap();
    let der = CertificateDer::from_pem_slice(client.certificate.as_bytes()).unwrap();
    let (_, leaf) = X509Certificate::from_der(&der).unwrap();
    let ca_der = CertificateDer::from_pem_slice(pki.ca.certificate.as_bytes()).unwrap();
    let (_, ca) = X509Certificate::from_der(&ca_der).unwrap();
    leaf.verify_signature(Some(ca.public_key())).unwrap();
    assert_eq!(
        leaf.subject().to_string(),
        "CN=kubernetes-admin, O=system:masters"
    );
    assert_eq!(
        leaf.validity().not_after.timestamp(),
        validity.not_after().as_second()
    );

    let text = pki
        .admin_kubeconfig("https://192.0.2.10:6443", "prod", validity)
        .unwrap();
    for line in [
        "    server: \"https://192.0.2.10:6443\"",
        "current-context: \"prod-admin@prod\"",
        "    cluster: \"prod\"",
    ] {
        assert!(text.reveal().lines().any(|have| have == line), "{line}");
    }
}

#[test]
fn a_client_of_etcd_is_signed_by_its_ca() {
    let pki = pki();
    let hour = Validity::lasting(Timestamp::now(), SignedDuration::from_hours(1));
    let client = pki.etcd_client(hour).unwrap();
    let der = CertificateDer::from_pem_slice(client.certificate.as_bytes()).unwrap();
    let (_, leaf) = X509Certificate::from_der(&der).unwrap();
    let ca_der = CertificateDer::from_pem_slice(pki.etcd.certificate.as_bytes()).unwrap();
    let (_, ca) = X509Certificate::from_der(&ca_der).unwrap();
    leaf.verify_signature(Some(ca.public_key())).unwrap();
    assert_eq!(leaf.subject().to_string(), "CN=gantry");
    let usage = leaf.extended_key_usage().unwrap().unwrap().value;
    assert!(usage.client_auth && !usage.server_auth);
}

#[test]
fn a_key_that_is_not_that_of_its_certificate_is_named() {
    let (mine, other) = (pki(), pki());
    mine.check().unwrap();
    let with = |change: &dyn Fn(&mut ClusterPki)| {
        let mut pki = mine.clone();
        change(&mut pki);
        pki.check().unwrap_err().to_string()
    };
    for (what, error) in [
        ("the cluster CA", with(&|pki| pki.ca.key = other.ca.key.clone())),
        ("the etcd CA", with(&|pki| pki.etcd.key = other.etcd.key.clone())),
        (
            "the front proxy's CA",
            with(&|pki| pki.front_proxy.certificate = other.front_proxy.certificate.clone()),
        ),
        (
            "the key of service accounts",
            with(&|pki| pki.service_account.public = other.service_account.public.clone()),
        ),
        (
            "the etcd CA",
            with(&|pki| pki.etcd.certificate = "-----BEGIN CERTIFICATE-----".to_owned()),
        ),
    ] {
        assert!(error.contains(what), "{what}: {error}");
    }
}
