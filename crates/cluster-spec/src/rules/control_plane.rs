//! Control plane: endpoint, count, taints, names of the certificate.

use std::net::{IpAddr, Ipv4Addr};

use crate::bundle::ClusterBundle;
use crate::rules::labels::check_labels;
use crate::rules::taints::check_taints;
use crate::violation::Report;
use crate::virtual_site::VirtualSite;

const PATH: &str = "spec.controlPlaneConfiguration";

pub(super) fn check(bundle: &ClusterBundle, report: &mut Report) {
    let control = &bundle.cluster.spec.control_plane_configuration;
    let host = control
        .endpoint
        .as_ref()
        .map_or("", |endpoint| endpoint.host.as_str());
    match host.parse::<IpAddr>() {
        Ok(IpAddr::V4(address)) if usable(address) => {}
        Ok(IpAddr::V4(_)) => report.add(
            format!("{PATH}.endpoint.host"),
            format!("{host} cannot be a control-plane address"),
            "write a free address of the machines' network",
        ),
        Ok(IpAddr::V6(_)) => report.add(
            format!("{PATH}.endpoint.host"),
            format!("{host} is an IPv6 address"),
            "write an IPv4 address",
        ),
        // As with EKS Anywhere; before machines are made it says what is missing.
        Err(_) if host.is_empty() && matches!(bundle.virtual_site, Some(VirtualSite::Docker(_))) => {}
        Err(_) if host.is_empty() => report.add(
            format!("{PATH}.endpoint.host"),
            "the control plane has no endpoint",
            "write a free address of the machines' network; the API will answer there",
        ),
        Err(_) => report.add(
            format!("{PATH}.endpoint.host"),
            format!("{host:?} is not an IP address"),
            "write an address without port, such as 192.0.2.10",
        ),
    }
    if control.count < 1 {
        report.add(
            format!("{PATH}.count"),
            "the control plane needs at least one machine",
            "write 1 or 3",
        );
    } else if control.count % 2 == 0 {
        report.add(
            format!("{PATH}.count"),
            "control plane node count cannot be an even number when using stacked etcd topology",
            format!("write {} or {}", control.count - 1, control.count + 1),
        );
    }
    check_labels(&control.labels, &format!("{PATH}.labels"), report);
    if let Some(taints) = &control.taints {
        check_taints(taints, &format!("{PATH}.taints"), report);
        let workers = bundle.cluster.spec.worker_node_group_configurations.iter();
        if !taints.is_empty() && workers.filter(|group| group.count != Some(0)).count() == 0 {
            report.add(
                format!("{PATH}.taints"),
                "without workers the control plane cannot be tainted",
                "remove the taints or add a worker group",
            );
        }
    }
    for (at, name) in control.cert_sans.iter().enumerate() {
        let label = |part: &str| {
            !part.is_empty()
                && part
                    .bytes()
                    .all(|octet| octet.is_ascii_alphanumeric() || b"-*".contains(&octet))
        };
        if name.parse::<IpAddr>().is_err() && !name.split('.').all(label) {
            report.add(
                format!("{PATH}.certSans[{at}]"),
                format!("{name:?} is neither an address nor a DNS name"),
                "write one of the two",
            );
        }
    }
}

fn usable(address: Ipv4Addr) -> bool {
    !(address.is_unspecified() || address.is_loopback() || address.is_multicast() || address.is_broadcast())
}
