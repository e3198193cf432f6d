//! The rules of a cluster by themselves, in EKS Anywhere's order of validation.

mod address_holder;
mod api_server;
mod audit_policy;
mod cilium;
mod control_plane;
mod health;
mod host_os;
mod identity;
mod images;
mod kubelet;
mod labels;
mod network;
mod pem;
mod proxy;
mod references;
mod registry_mirror;
mod rollout;
mod site;
mod taints;
mod unsupported;
mod virtual_site;
mod workers;

use kube::ResourceExt;
use resources::gantry::Release;

pub(crate) use address_holder::faults as address_holder_faults;
pub(crate) use images::holds_digits;
pub(crate) use references::machine_groups;

use crate::bundle::ClusterBundle;
use crate::violation::{Report, Violation};

/// Checks a bundle with its defaults set. `releases` are those that the appliance knows.
#[must_use]
pub fn validate(bundle: &ClusterBundle, releases: &[Release]) -> Vec<Violation> {
    let mut report = Report::new("Cluster", &bundle.name());
    name(bundle, &mut report);
    control_plane::check(bundle, &mut report);
    address_holder::check(bundle, releases, &mut report);
    api_server::check(bundle, &mut report);
    health::check(bundle, &mut report);
    rollout::check(bundle, &mut report);
    references::check(bundle, &mut report);
    workers::check(bundle, &mut report);
    network::check(bundle, &mut report);
    proxy::check(bundle, &mut report);
    registry_mirror::check(bundle, &mut report);
    kubelet::check(bundle, &mut report);
    audit_policy::check(bundle, &mut report);
    identity::check(bundle, &mut report);
    unsupported::check(bundle, &mut report);
    images::check_version(bundle, releases, &mut report);
    let mut found = report.found;
    found.extend(identity::providers(bundle));
    match bundle.virtual_site {
        Some(_) => found.extend(virtual_site::check(bundle, releases)),
        None => {
            found.extend(site::check(bundle));
            found.extend(images::check(bundle, releases));
        }
    }
    found
}

/// Kind, name and namespace of each document that says where and of what machines are made.
fn documents(bundle: &ClusterBundle) -> Vec<(&'static str, String, Option<String>)> {
    if let Some(site) = &bundle.virtual_site {
        return site.documents();
    }
    let datacenter = &bundle.datacenter;
    let configs = bundle.machine_configs.values();
    let configs = configs.map(|config| ("TinkerbellMachineConfig", config.name_any(), config.namespace()));
    std::iter::once((
        "TinkerbellDatacenterConfig",
        datacenter.name_any(),
        datacenter.namespace(),
    ))
    .chain(configs)
    .collect()
}

/// The name becomes part of every object's and node's name.
fn name(bundle: &ClusterBundle, report: &mut Report) {
    let name = bundle.name();
    let inner = |octet: u8| octet.is_ascii_lowercase() || octet.is_ascii_digit() || octet == b'-';
    let first = name
        .bytes()
        .next()
        .is_some_and(|octet| octet.is_ascii_lowercase());
    if !(first && name.len() > 1 && name.bytes().all(inner) && !name.ends_with('-')) {
        report.add(
            "metadata.name",
            format!("{name:?} is not a cluster name"),
            "use two or more lower-case letters, digits and '-', with a letter first and no '-' at the end",
        );
    }
    if name.len() > 35 {
        report.add(
            "metadata.name",
            format!("number of characters in {name} should be less than 36"),
            "choose a shorter name",
        );
    }
    let namespace = bundle.cluster.namespace();
    let mut others = documents(bundle);
    others.retain(|(_, _, other)| *other != namespace);
    for (kind, other, other_namespace) in others {
        report.add(
            "metadata.namespace",
            format!(
                "{kind} {other} is in namespace {}, the cluster in {}",
                other_namespace.unwrap_or_default(),
                namespace.clone().unwrap_or_default()
            ),
            "put all objects of a cluster in one namespace",
        );
    }
}
