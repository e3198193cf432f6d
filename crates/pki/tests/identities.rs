//! Certificates from the site CA, seen through a real TLS handshake.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::io::{Read, Write};
use std::net::IpAddr;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use pki::{
    ClientCertificates, Credential, Error, Identity, KeyDir, ServingCertificate, SiteCa, Validity,
    peer_identity, server_config,
};
use rcgen::{CertificateParams, KeyPair};
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConnection};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};

const SITE: &str = "site.gantry.internal";
const MACHINE: &str = "7b1c6f0e-52a5-4a4e-9d0b-5b6f3f1c9a10";

fn hour() -> Validity {
    Validity::lasting(Timestamp::now(), SignedDuration::from_hours(1))
}

fn ca(directory: &std::path::Path) -> SiteCa {
    SiteCa::load_or_create(
        &KeyDir::open(directory.join("keys")).unwrap(),
        SITE,
        Timestamp::now(),
    )
    .unwrap()
}

/// A request that asks for names it must not get.
fn request() -> (String, KeyPair) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec!["evil.example".to_owned()]).unwrap();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    (params.serialize_request(&key).unwrap().pem().unwrap(), key)
}

/// Runs a handshake in memory; gives the server's view of the peer.
fn shake(ca: &SiteCa, client: Option<&Credential>, name: &str) -> Result<Option<Identity>, String> {
    let addresses = [IpAddr::from([127, 0, 0, 1])];
    let own = ca.issue_server(&["localhost"], &addresses, hour()).unwrap();
    let own = ServingCertificate::new(&own).unwrap();
    let time = Arc::new(rustls::time_provider::DefaultTimeProvider);
    let server = server_config(ca, own, ClientCertificates::Optional, time).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(ca.ca_der().clone()).unwrap();
    let builder =
        ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
    let config = match client {
        None => builder.with_no_client_auth(),
        Some(credential) => builder
            .with_client_auth_cert(
                vec![CertificateDer::from_pem_slice(credential.certificate.as_bytes()).unwrap()],
                PrivateKeyDer::from_pem_slice(credential.key.reveal().as_bytes()).unwrap(),
            )
            .unwrap(),
    };
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let mut client = ClientConnection::new(Arc::new(config), name).unwrap();
    let mut server = ServerConnection::new(Arc::new(server)).unwrap();
    client.writer().write_all(b"x").unwrap();
    for _ in 0..10 {
        let mut wire = Vec::new();
        client.write_tls(&mut wire).unwrap();
        server.read_tls(&mut wire.as_slice()).unwrap();
        server.process_new_packets().map_err(|error| error.to_string())?;
        let mut wire = Vec::new();
        server.write_tls(&mut wire).unwrap();
        client.read_tls(&mut wire.as_slice()).unwrap();
        client.process_new_packets().map_err(|error| error.to_string())?;
        let mut octet = [0];
        if server.reader().read(&mut octet).is_ok_and(|count| count == 1) {
            return peer_identity(server.peer_certificates(), SITE).map_err(|error| error.to_string());
        }
    }
    Err("no handshake".into())
}

#[test]
fn a_peer_is_who_its_certificate_says_and_nobody_without() {
    let scratch = tempfile::tempdir().unwrap();
    let ca = ca(scratch.path());
    assert_eq!(shake(&ca, None, SITE).unwrap(), None);
    assert_eq!(shake(&ca, None, "127.0.0.1").unwrap(), None);
    assert!(
        shake(&ca, None, "other.internal").is_err(),
        "the server is verified by name"
    );

    let (csr, key) = request();
    let issued = ca.issue_attempt(&csr, MACHINE, 7, hour()).unwrap();
    assert_eq!(issued.public_key, SiteCa::request_key(&csr).unwrap());
    let agent = Credential {
        certificate: issued.pem.clone(),
        key: resources::Secret::new(key.serialize_pem()),
    };
    let expected = Identity::Attempt {
        site: SITE.into(),
        machine_id: MACHINE.into(),
        attempt: 7,
        serial: issued.serial.clone(),
        public_key: issued.public_key,
    };
    assert_eq!(shake(&ca, Some(&agent), SITE).unwrap(), Some(expected));

    let issued = ca.issue_first_boot(&csr, MACHINE, 7, hour()).unwrap();
    let system = Credential {
        certificate: issued.pem,
        key: agent.key.clone(),
    };
    let identity = shake(&ca, Some(&system), SITE).unwrap();
    assert!(
        matches!(identity, Some(Identity::FirstBoot { attempt: 7, .. })),
        "{identity:?}"
    );

    let user = ca
        .issue_api_client("gantry-admin", "system:masters", hour())
        .unwrap();
    assert!(
        shake(&ca, Some(&user), SITE).is_err(),
        "a user of the API is no machine"
    );
}

#[test]
fn what_the_site_did_not_issue_for_clients_is_no_identity() {
    let scratch = tempfile::tempdir().unwrap();
    let site = ca(scratch.path());
    let server = site.issue_server(&[], &[], hour()).unwrap();
    assert!(
        shake(&site, Some(&server), SITE).is_err(),
        "a server certificate is none for clients"
    );
    let elsewhere = tempfile::tempdir().unwrap();
    let other = agent(&ca(elsewhere.path()), hour());
    assert!(
        shake(&site, Some(&other), SITE).is_err(),
        "another CA of the same name"
    );
    let now = Timestamp::now();
    let past = Validity::until(now, now - SignedDuration::from_mins(1));
    assert!(shake(&site, Some(&agent(&site, past)), SITE).is_err(), "expired");
    let here = agent(&site, hour());
    assert!(shake(&site, Some(&here), SITE).is_ok());
    let der = CertificateDer::from_pem_slice(here.certificate.as_bytes()).unwrap();
    assert!(matches!(
        Identity::from_verified(&der, "site.gantry"),
        Err(Error::NoIdentity { .. })
    ));
}

/// Key and certificate of an agent.
fn agent(ca: &SiteCa, validity: Validity) -> Credential {
    let (csr, key) = request();
    Credential {
        certificate: ca.issue_attempt(&csr, MACHINE, 1, validity).unwrap().pem,
        key: resources::Secret::new(key.serialize_pem()),
    }
}

#[test]
fn a_request_counts_by_its_verified_p256_key_alone() {
    let scratch = tempfile::tempdir().unwrap();
    let ca = ca(scratch.path());
    let (csr, _) = request();
    let pem = ca.issue_attempt(&csr, MACHINE, 1, hour()).unwrap().pem;
    let der = CertificateDer::from_pem_slice(pem.as_bytes()).unwrap();
    let text = String::from_utf8_lossy(&der).into_owned();
    assert!(!text.contains("evil.example"), "names of the request are ignored");
    assert!(text.contains("spiffe://site.gantry.internal/machine/"));

    let mut lines: Vec<&str> = csr.lines().collect();
    let at = lines.len() - 2;
    let changed = lines[at].replace(|c: char| c.is_ascii_lowercase(), "A");
    lines[at] = &changed;
    assert!(matches!(
        ca.issue_attempt(&lines.join("\n"), MACHINE, 1, hour()),
        Err(Error::Request(_))
    ));
    let rsa = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap();
    let csr = CertificateParams::default()
        .serialize_request(&rsa)
        .unwrap()
        .pem()
        .unwrap();
    let error = ca.issue_attempt(&csr, MACHINE, 1, hour()).unwrap_err();
    assert!(error.to_string().contains("P-256"), "{error}");
    assert!(matches!(
        SiteCa::request_key("no request"),
        Err(Error::Request(_))
    ));
}

#[test]
fn the_ca_outlives_a_restart_and_keeps_its_site() {
    let scratch = tempfile::tempdir().unwrap();
    let first = ca(scratch.path());
    assert_eq!(first.ca_pem(), ca(scratch.path()).ca_pem());
    let keys = KeyDir::open(scratch.path().join("keys")).unwrap();
    let error = SiteCa::load_or_create(&keys, "other.internal", Timestamp::now()).unwrap_err();
    assert!(
        error.to_string().contains(SITE) && error.to_string().contains("other.internal"),
        "{error}"
    );
    assert!(!first.ca_pem().contains("PRIVATE"));
}
