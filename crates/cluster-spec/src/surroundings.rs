//! The addresses of a cluster against what is around it: hardware, BMCs, other clusters, the appliance.
//!
//! These rules hold when a cluster is created. Later the surroundings may change without its fault, so a cluster that
//! exists is not judged by them.

mod hosts;

use std::net::{IpAddr, Ipv4Addr};

use ipnet::Ipv4Net;
use kube::ResourceExt;
use resources::Mac;
use resources::anywhere::Cluster;
use resources::gantry::MachineRole;
use resources::keys::{SKIP_IP_CHECK, VRRP_ID};

pub use hosts::Hosts;

use crate::address_holder::{AddressHolder, address_holder, annotation_path};
use crate::bundle::{ClusterBundle, Group};
use crate::violation::{Report, Violation};
use crate::vrrp::{self, vrrp_id};

const ENDPOINT: &str = "spec.controlPlaneConfiguration.endpoint.host";
const TINKERBELL_IP: &str = "spec.tinkerbellIP";

/// What is around a cluster.
#[derive(Debug, Clone, Copy)]
pub struct Surroundings<'a> {
    /// All Hardware, that of other clusters included, and all BMCs.
    pub hosts: &'a Hosts,
    /// The other clusters that were there first.
    pub clusters: &'a [&'a Cluster],
    /// Where the appliance answers machines; not known offline.
    pub appliance: Option<Ipv4Addr>,
    /// Who answered for [`endpoint_to_probe`] on the network of the machines.
    pub holder: Option<Mac>,
}

impl Default for Surroundings<'_> {
    /// Nothing.
    fn default() -> Self {
        Self {
            hosts: &hosts::NONE,
            clusters: &[],
            appliance: None,
            holder: None,
        }
    }
}

/// The control-plane address that nobody on the network of the machines may answer for when the cluster is created;
/// `None` where a load balancer of the user's answers, or the user wants no such check.
#[must_use]
pub fn endpoint_to_probe(cluster: &Cluster) -> Option<Ipv4Addr> {
    let skipped = cluster
        .annotations()
        .get(SKIP_IP_CHECK)
        .is_some_and(|value| value == "true");
    vrrp::endpoint(cluster).filter(|_| is_on_machines(cluster) && !skipped)
}

/// Checks that nobody else has the addresses of a cluster, and that they are where they are of use.
#[must_use]
pub fn check_surroundings(bundle: &ClusterBundle, around: &Surroundings<'_>) -> Vec<Violation> {
    let mut report = Report::new("Cluster", &bundle.name());
    if let Some(endpoint) = vrrp::endpoint(&bundle.cluster) {
        let taken = users(endpoint, around);
        for user in taken.into_iter().chain(routers(endpoint, around)) {
            report.add(
                ENDPOINT,
                format!("{endpoint} is already {user}"),
                "write an address that nobody else has; the API will answer there",
            );
        }
        if let Some(mac) = around.holder {
            report.add(
                ENDPOINT,
                format!("{endpoint} is in use: {} answers for it", host(mac, around)),
                format!(
                    "write an address that nobody else has, or switch that host off; to create the cluster all the \
                     same, annotate it with {SKIP_IP_CHECK}: \"true\" (--skip-ip-check)"
                ),
            );
        }
        if is_on_machines(&bundle.cluster) {
            in_network(bundle, endpoint, around, &mut report);
        }
        if has_router_id(&bundle.cluster) {
            router_id(bundle, endpoint, around, &mut report);
        }
    }
    ranges(bundle, around, &mut report);
    let mut found = report.found;
    found.extend(appliance(bundle, around));
    found
}

/// Who has this address, in words that follow "is already".
fn users(address: Ipv4Addr, around: &Surroundings<'_>) -> Vec<String> {
    let hosts = around.hosts;
    let machines = hosts.machines_at(address);
    let machines = machines.map(|name| format!("the address of machine {name}"));
    let bmcs = hosts.bmcs_at(address);
    let bmcs = bmcs.map(|name| format!("the address of BMC {name}"));
    let clusters = around
        .clusters
        .iter()
        .filter(|other| vrrp::endpoint(other) == Some(address));
    let clusters = clusters.map(|other| format!("the endpoint of cluster {}", other.name_any()));
    machines.chain(bmcs).chain(clusters).collect()
}

/// A host by its MAC address, and by the machine that has it.
fn host(mac: Mac, around: &Surroundings<'_>) -> String {
    match around.hosts.machine_of(mac) {
        Some(machine) => format!("{mac} (machine {machine})"),
        None => mac.to_string(),
    }
}

/// Whether machines use this address as gateway or name server, each said once. The appliance itself may be both.
fn routers(address: Ipv4Addr, around: &Surroundings<'_>) -> Vec<String> {
    let hosts = around.hosts;
    let gateway = hosts.behind_gateway(address);
    let gateway = gateway.map(|name| format!("the gateway of machine {name}"));
    let server = hosts.asks_names_of(address);
    let server = server.map(|name| format!("a name server of machine {name}"));
    gateway.into_iter().chain(server).collect()
}

/// Networks of the Hardware that groups of this role may get.
fn networks<'a>(
    bundle: &ClusterBundle,
    role: Option<MachineRole>,
    around: &Surroundings<'a>,
) -> Vec<(&'a str, Ipv4Net)> {
    let groups = bundle.groups();
    let groups = groups
        .iter()
        .filter(|group| role.is_none_or(|role| group.role == role));
    let terms: Vec<_> = groups.flat_map(Group::selector_terms).collect();
    around.hosts.selected(&terms)
}

fn in_network(bundle: &ClusterBundle, endpoint: Ipv4Addr, around: &Surroundings<'_>, report: &mut Report) {
    let networks = networks(bundle, Some(MachineRole::ControlPlane), around);
    let Some((name, network)) = networks.first() else {
        return;
    };
    if !networks.iter().any(|(_, network)| network.contains(&endpoint)) {
        report.add(
            ENDPOINT,
            format!("{endpoint} is in none of the networks of the control-plane machines ({name}: {network})"),
            "write a free address of that network, or set skipLoadBalancerDeployment and bring the address up yourself",
        );
    }
}

/// Two clusters of one segment with one virtual router id take the address from each other.
fn router_id(bundle: &ClusterBundle, endpoint: Ipv4Addr, around: &Surroundings<'_>, report: &mut Report) {
    if let Some(Err(text)) = vrrp::stated(&bundle.cluster) {
        report.add(
            annotation_path(VRRP_ID),
            format!("{text:?} is not a virtual router id"),
            "write a number from 1 to 255, or remove the annotation",
        );
        return;
    }
    let id = vrrp_id(&bundle.cluster);
    let networks = networks(bundle, None, around);
    let one_segment = |other: Ipv4Addr| {
        let known = networks.iter().find(|(_, network)| network.contains(&endpoint));
        known.is_none_or(|(_, network)| network.contains(&other))
    };
    for other in around.clusters.iter().filter(|other| has_router_id(other)) {
        let theirs = vrrp::endpoint(other);
        if vrrp_id(other) == id && theirs.is_some_and(|theirs| theirs != endpoint && one_segment(theirs)) {
            report.add(
                annotation_path(VRRP_ID),
                format!(
                    "the virtual router id {id} of {endpoint} is also that of cluster {}",
                    other.name_any()
                ),
                format!("annotate this cluster with {VRRP_ID} and a free number from 1 to 255, or choose another endpoint"),
            );
        }
    }
}

/// Whether a machine of the control plane has the endpoint on its network interface.
fn is_on_machines(cluster: &Cluster) -> bool {
    address_holder(cluster) != AddressHolder::LoadBalancer
}

/// Whether the endpoint is that of a virtual router.
fn has_router_id(cluster: &Cluster) -> bool {
    address_holder(cluster) == AddressHolder::Keepalived
}

/// Pods and Services against the networks of the machines and the endpoints of other clusters.
fn ranges(bundle: &ClusterBundle, around: &Surroundings<'_>, report: &mut Report) {
    let network = &bundle.cluster.spec.cluster_network;
    let machines = networks(bundle, None, around);
    for (path, blocks) in [
        ("pods", &network.pods.cidr_blocks),
        ("services", &network.services.cidr_blocks),
    ] {
        let [block] = blocks.as_slice() else { continue };
        let Ok(range) = block.parse::<Ipv4Net>() else {
            continue;
        };
        let overlaps = |other: &Ipv4Net| range.contains(&other.network()) || other.contains(&range.network());
        let machine = machines.iter().find(|(_, network)| overlaps(network));
        let machine = machine.map(|(name, network)| format!("the network {network} of machine {name}"));
        let endpoint = around.clusters.iter().find_map(|other| {
            let endpoint = vrrp::endpoint(other)?;
            range
                .contains(&endpoint)
                .then(|| format!("the endpoint {endpoint} of cluster {}", other.name_any()))
        });
        for taken in machine.into_iter().chain(endpoint) {
            report.add(
                format!("spec.clusterNetwork.{path}.cidrBlocks[0]"),
                format!("{range} and {taken} overlap"),
                "choose a range that has nothing to do with the machines' networks",
            );
        }
    }
}

fn appliance(bundle: &ClusterBundle, around: &Surroundings<'_>) -> Vec<Violation> {
    let mut report = Report::new("TinkerbellDatacenterConfig", &bundle.datacenter.name_any());
    let text = &bundle.datacenter.spec.tinkerbell_ip;
    let Ok(IpAddr::V4(address)) = text.parse::<IpAddr>() else {
        return Vec::new();
    };
    for user in users(address, around) {
        report.add(
            TINKERBELL_IP,
            format!("{address} is already {user}"),
            "write the address at which the appliance answers machines",
        );
    }
    if let Some(appliance) = around.appliance.filter(|appliance| *appliance != address) {
        report.add(
            TINKERBELL_IP,
            format!("this appliance answers machines at {appliance}, not at {address}"),
            format!("write {appliance}, or start the appliance with --address {address}"),
        );
    }
    report.found
}
