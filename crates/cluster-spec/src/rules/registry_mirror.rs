//! `registryMirrorConfiguration`: where the mirror is, what it stands for, and what its certificate is checked with.

use std::collections::BTreeSet;

use url::Url;

use super::pem::{self, is_pem};
use crate::bundle::ClusterBundle;
use crate::violation::Report;

pub(super) fn check(bundle: &ClusterBundle, report: &mut Report) {
    let Some(mirror) = &bundle.cluster.spec.registry_mirror_configuration else {
        return;
    };
    let path = "spec.registryMirrorConfiguration";
    if mirror.endpoint.contains(':') || !is_host(&mirror.endpoint) {
        report.add(
            format!("{path}.endpoint"),
            format!("{:?} is neither a host name nor an IPv4 address", mirror.endpoint),
            "write it without scheme, port and path; the port has a field of its own",
        );
    }
    if let Some(port) = &mirror.port
        && !port.parse::<u16>().is_ok_and(|port| port != 0)
    {
        report.add(
            format!("{path}.port"),
            format!("{port:?} is not a port"),
            "write a number from 1 to 65535 in quotes",
        );
    }
    let mut known = BTreeSet::new();
    for (at, mapping) in mirror.oci_namespaces.iter().enumerate() {
        let path = format!("{path}.ociNamespaces[{at}]");
        if !is_host(&mapping.registry) {
            report.add(
                format!("{path}.registry"),
                format!("{:?} is not a registry", mapping.registry),
                "write its host as images name it, such as docker.io",
            );
        } else if !known.insert(&mapping.registry) {
            report.add(
                format!("{path}.registry"),
                format!("{} stands here twice", mapping.registry),
                "keep one of the two",
            );
        }
        if !is_path(&mapping.namespace) {
            report.add(
                format!("{path}.namespace"),
                format!("{:?} is not a path of repositories", mapping.namespace),
                "write lower-case letters, digits, '.', '_' and '-', with a '/' between parts and none around them",
            );
        }
    }
    if let Some(certificates) = &mirror.ca_cert_content
        && !is_pem(certificates)
    {
        report.add(
            format!("{path}.caCertContent"),
            "this is not a certificate in PEM",
            pem::NEXT_STEP,
        );
    }
}

/// A host name or IPv4 address, with or without a port.
pub(super) fn is_host(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || b".-:".contains(&byte);
    let host = text.split(':').next().unwrap_or_default();
    let ends = [host.bytes().next(), host.bytes().last()];
    text.bytes().all(inner)
        && ends
            .iter()
            .all(|byte| byte.is_some_and(|byte| byte.is_ascii_alphanumeric()))
        && Url::parse(&format!("https://{text}")).is_ok_and(|url| url.has_host())
}

/// A path of repositories, which may be empty.
pub(super) fn is_path(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._-".contains(&byte);
    let is_part = |part: &str| !part.is_empty() && part.bytes().all(inner) && !part.starts_with('.');
    text.is_empty() || text.split('/').all(is_part)
}
