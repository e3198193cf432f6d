//! `hostOSConfiguration`: time servers that can be asked, certificates that can be installed; what needs Bottlerocket.

use std::collections::BTreeSet;
use std::net::IpAddr;

use resources::anywhere::{HostOsConfiguration, NtpConfiguration};

use super::pem::{self, is_pem};
use crate::violation::Report;

pub(super) fn check(settings: Option<&HostOsConfiguration>, report: &mut Report) {
    let Some(settings) = settings else {
        return;
    };
    let path = "spec.hostOSConfiguration";
    if let Some(time) = &settings.ntp_configuration {
        time_servers(time, &format!("{path}.ntpConfiguration.servers"), report);
    }
    if settings.bottlerocket_configuration.is_some() {
        report.add(
            format!("{path}.bottlerocketConfiguration"),
            "there is no node image of Bottlerocket",
            "remove the field; kubeletConfiguration of the Cluster sets up the kubelet",
        );
    }
    let mut known = BTreeSet::new();
    for (at, bundle) in settings.cert_bundles.iter().enumerate() {
        let path = format!("{path}.certBundles[{at}]");
        let inner = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        let is_name = !bundle.name.is_empty() && bundle.name.len() <= 63 && bundle.name.bytes().all(inner);
        if !is_name {
            report.add(
                format!("{path}.name"),
                format!("{:?} is not the name of a file", bundle.name),
                "use at most 63 letters, digits, '.', '_' and '-'",
            );
        } else if !known.insert(&bundle.name) {
            report.add(
                format!("{path}.name"),
                format!("{} stands here twice", bundle.name),
                "give each its own name",
            );
        }
        if !is_pem(&bundle.data) {
            report.add(
                format!("{path}.data"),
                "this is not a certificate in PEM",
                pem::NEXT_STEP,
            );
        }
    }
}

fn time_servers(time: &NtpConfiguration, path: &str, report: &mut Report) {
    if time.servers.is_empty() {
        report.add(
            path.to_owned(),
            "there is no server to ask",
            "name at least one, or remove ntpConfiguration",
        );
    }
    for (at, server) in time.servers.iter().enumerate() {
        if !is_host(server) {
            report.add(
                format!("{path}[{at}]"),
                format!("{server:?} is neither a host name nor an address"),
                "write a name such as ntp.example.com, or an address, without a port",
            );
        }
    }
}

/// Whether this is an address, or a name as RFC 1123 §2.1 has it.
fn is_host(text: &str) -> bool {
    let is_label = |label: &str| {
        let inner = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        (1..=63).contains(&label.len())
            && label.bytes().all(inner)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    text.parse::<IpAddr>().is_ok()
        || (text.len() <= 253 && text.trim_end_matches('.').split('.').all(is_label))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts() {
        let long = format!("{}.example", "a".repeat(64));
        for (text, expected) in [
            ("192.0.2.1", true),
            ("2001:db8::1", true),
            ("ntp.example.com", true),
            ("ntp.example.com.", true),
            ("0.pool.example", true),
            ("", false),
            ("ntp.example.com:123", false),
            ("-ntp.example", false),
            ("ntp server", false),
            ("ntp..example", false),
            (&long, false),
        ] {
            assert_eq!(is_host(text), expected, "{text:?}");
        }
    }
}
