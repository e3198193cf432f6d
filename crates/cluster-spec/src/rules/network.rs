//! Networks: CIDRs, masks, CNI.

use std::net::IpAddr;

use ipnet::IpNet;

use super::cilium;
use crate::bundle::ClusterBundle;
use crate::cilium::CILIUM;
use crate::violation::Report;

pub(super) fn check(bundle: &ClusterBundle, report: &mut Report) {
    let network = &bundle.cluster.spec.cluster_network;
    let pods = cidr(&network.pods.cidr_blocks, "spec.clusterNetwork.pods", report);
    let services = cidr(
        &network.services.cidr_blocks,
        "spec.clusterNetwork.services",
        report,
    );
    if let (Some(pods), Some(services)) = (pods, services)
        && (pods.contains(&services.network()) || services.contains(&pods.network()))
    {
        report.add(
            "spec.clusterNetwork.services.cidrBlocks[0]",
            format!("{services} and the pods' {pods} overlap"),
            "choose two ranges that have no address in common",
        );
    }
    let addresses = [
        (
            "the control-plane endpoint",
            bundle
                .cluster
                .spec
                .control_plane_configuration
                .endpoint
                .as_ref()
                .map(|e| &e.host),
        ),
        ("tinkerbellIP", Some(&bundle.datacenter.spec.tinkerbell_ip)),
    ];
    for (range, path) in [(pods, "pods"), (services, "services")] {
        for (what, address) in &addresses {
            let address = address.and_then(|text| text.parse::<IpAddr>().ok());
            if let (Some(range), Some(address)) = (range, address)
                && range.contains(&address)
            {
                report.add(
                    format!("spec.clusterNetwork.{path}.cidrBlocks[0]"),
                    format!("{what} {address} lies inside {range}"),
                    "choose a range that has nothing to do with the machines' network",
                );
            }
        }
    }
    if let Some(pods) = pods {
        mask(bundle, pods, report);
    }
    if network
        .dns
        .as_ref()
        .and_then(|dns| dns.resolv_conf.as_ref())
        .is_some_and(|conf| conf.path.is_empty())
    {
        report.add(
            "spec.clusterNetwork.dns.resolvConf.path",
            "the path is empty",
            "write one or remove resolvConf",
        );
    }
    cni(bundle, report);
}

fn cidr(blocks: &[String], path: &str, report: &mut Report) -> Option<IpNet> {
    match blocks {
        [block] => match block.parse::<IpNet>() {
            Ok(range @ IpNet::V4(_)) => Some(range),
            Ok(IpNet::V6(_)) => {
                report.add(
                    format!("{path}.cidrBlocks[0]"),
                    format!("{block} is IPv6"),
                    "write an IPv4 CIDR",
                );
                None
            }
            Err(_) => {
                report.add(
                    format!("{path}.cidrBlocks[0]"),
                    format!("{block:?} is not a CIDR"),
                    "write an address, '/' and a prefix length of 0 to 32, such as 10.96.0.0/12",
                );
                None
            }
        },
        [] => {
            report.add(
                format!("{path}.cidrBlocks"),
                "a CIDR is missing",
                "write one, such as 10.96.0.0/12",
            );
            None
        }
        more => {
            report.add(
                format!("{path}.cidrBlocks"),
                format!("{} CIDRs stand here, one is allowed", more.len()),
                "keep one",
            );
            None
        }
    }
}

/// kube-controller-manager cuts a range for each node out of the pods' range, at most 2^16 of them.
fn mask(bundle: &ClusterBundle, pods: IpNet, report: &mut Report) {
    let size = bundle
        .cluster
        .spec
        .cluster_network
        .nodes
        .as_ref()
        .and_then(|nodes| nodes.cidr_mask_size);
    let (size, prefix) = (size.unwrap_or(24), i32::from(pods.prefix_len()));
    let path = "spec.clusterNetwork.nodes.cidrMaskSize";
    if !(1..=30).contains(&size) || size <= prefix {
        report.add(
            path,
            format!("a node's /{size} does not fit into the pods' {pods}"),
            format!("write a number from {} to 30", prefix + 1),
        );
    } else if size - prefix > 16 {
        report.add(
            path,
            format!("the pods' {pods} holds more than 65536 ranges of /{size}"),
            format!("write at most {}", prefix + 16),
        );
    }
}

fn cni(bundle: &ClusterBundle, report: &mut Report) {
    let network = &bundle.cluster.spec.cluster_network;
    let path = "spec.clusterNetwork.cniConfig";
    let config = match (&network.cni, &network.cni_config) {
        (Some(name), None) if name == CILIUM => return,
        (Some(name), config) => {
            let (message, next_step) = match config {
                Some(_) => (
                    format!("cni: {name} is the old spelling, and the new one, cniConfig, is there too"),
                    "keep cniConfig".to_owned(),
                ),
                None => (
                    format!("{name:?} is not known here"),
                    "write cniConfig: {cilium: {}} or cniConfig: {flannel: {}}".to_owned(),
                ),
            };
            return report.add("spec.clusterNetwork.cni", message, next_step);
        }
        (None, None) => {
            return report.add(
                path,
                "no CNI is chosen",
                "write cniConfig: {cilium: {}} or cniConfig: {flannel: {}}",
            );
        }
        (None, Some(config)) => config,
    };
    let chosen = [&config.cilium, &config.kindnetd, &config.flannel]
        .iter()
        .filter(|config| config.is_some())
        .count();
    if chosen != 1 {
        return report.add(path, format!("{chosen} CNIs are chosen"), "choose exactly one");
    }
    if config.kindnetd.is_some() {
        report.add(
            format!("{path}.kindnetd"),
            "kindnetd is not installed by this version, on Docker neither",
            "write cniConfig: {cilium: {}} or cniConfig: {flannel: {}}",
        );
    }
    if let Some(cilium) = &config.cilium {
        cilium::check(cilium, report);
    }
    if config
        .flannel
        .as_ref()
        .and_then(serde_json::Value::as_object)
        .is_some_and(|fields| !fields.is_empty())
    {
        report.add(
            format!("{path}.flannel"),
            "flannel has no settings",
            "write flannel: {}",
        );
    }
}
