//! `hostOSConfiguration`: certificates that can be installed; what needs Bottlerocket, or a program that node images don't have.

use std::collections::BTreeSet;

use resources::anywhere::TinkerbellMachineConfig;

use super::pem::{self, is_pem};
use crate::violation::Report;

pub(super) fn check(config: &TinkerbellMachineConfig, report: &mut Report) {
    let Some(settings) = &config.spec.host_os_configuration else {
        return;
    };
    let path = "spec.hostOSConfiguration";
    if settings.ntp_configuration.is_some() {
        report.add(
            format!("{path}.ntpConfiguration"),
            "node images have no time client in them, so no server would be asked",
            "remove the field; machines keep the time of their clocks",
        );
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
