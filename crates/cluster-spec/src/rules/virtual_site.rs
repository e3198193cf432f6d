//! VSphereDatacenterConfig and VSphereMachineConfig, and the groups of machines that are made of them. A
//! DockerDatacenterConfig has no field.

use std::collections::BTreeSet;

use kube::ResourceExt as _;
use resources::anywhere::{OsFamily, VSphereDatacenterConfigSpec, VSphereMachineConfig};
use resources::gantry::{MachineRole, Release};

use super::host_os;
use super::images::check_family;
use super::site::users;
use crate::bundle::{ClusterBundle, GroupMachines};
use crate::violation::{Report, Violation};
use crate::virtual_site::{VSphereSite, VirtualSite};

/// The smallest machine that EKS Anywhere makes.
const LEAST_MEMORY_MIB: i32 = 2048;
const LEAST_DISK_GIB: i32 = 20;
/// The most networks of a machine.
const MOST_NETWORKS: usize = 2;

pub(super) fn check(bundle: &ClusterBundle, releases: &[Release]) -> Vec<Violation> {
    let Some(VirtualSite::VSphere(site)) = &bundle.virtual_site else {
        return Vec::new();
    };
    let mut report = Report::new("VSphereDatacenterConfig", &site.datacenter.name_any());
    datacenter(&site.datacenter.spec, &mut report);
    let mut found = report.found;
    let family = bundle.groups().first().and_then(|group| group.os_family());
    for config in site.machine_configs.values() {
        found.extend(machine_config(bundle, config, family, releases));
    }
    found
}

/// The failure domains of worker groups, which are fields of the Cluster.
pub(super) fn failure_domains(bundle: &ClusterBundle, site: &VSphereSite, report: &mut Report) {
    let known: Vec<&str> = site
        .datacenter
        .spec
        .failure_domains
        .iter()
        .map(|domain| domain.name.as_str())
        .collect();
    let groups = bundle.cluster.spec.worker_node_group_configurations.iter();
    for (at, group) in groups.enumerate() {
        let path = format!("spec.workerNodeGroupConfigurations[{at}].failureDomains");
        if group.failure_domains.len() > 1 {
            report.add(
                path.clone(),
                "the machines of a worker group are in one failure domain",
                "keep one, and make a worker group for each of the others",
            );
        }
        for name in &group.failure_domains {
            if !known.contains(&name.as_str()) {
                report.add(
                    path.clone(),
                    format!("the VSphereDatacenterConfig has no failure domain named {name:?}"),
                    match known.as_slice() {
                        [] => "remove the field, or add failureDomains to the VSphereDatacenterConfig"
                            .to_owned(),
                        known => format!("write one of {}", known.join(", ")),
                    },
                );
            }
        }
    }
}

fn datacenter(spec: &VSphereDatacenterConfigSpec, report: &mut Report) {
    for (path, value, next_step) in [
        (
            "spec.datacenter",
            &spec.datacenter,
            "write the name or inventory path of a datacenter",
        ),
        (
            "spec.network",
            &spec.network,
            "write the name or inventory path of the machines' network",
        ),
        (
            "spec.server",
            &spec.server,
            "write the host name or address of the vCenter",
        ),
    ] {
        if value.is_empty() {
            report.add(path, "the field is empty", next_step);
        }
    }
    let mut known = BTreeSet::new();
    for (at, domain) in spec.failure_domains.iter().enumerate() {
        let path = format!("spec.failureDomains[{at}].name");
        if domain.name.is_empty() {
            report.add(path, "the failure domain has no name", "give it one");
        } else if !known.insert(&domain.name) {
            report.add(
                path,
                format!("{} stands here twice", domain.name),
                "give each its own",
            );
        }
    }
}

fn machine_config(
    bundle: &ClusterBundle,
    config: &VSphereMachineConfig,
    family: Option<OsFamily>,
    releases: &[Release],
) -> Vec<Violation> {
    let mut report = Report::new("VSphereMachineConfig", &config.name_any());
    let groups = bundle.groups();
    let own = groups
        .iter()
        .filter(|group| group.machines == GroupMachines::VSphere(config));
    let own: Vec<_> = own.collect();
    places(config, &mut report);
    sizes(config, &mut report);
    let spec = &config.spec;
    for group in &own {
        check_family(spec.os_family, group.kubernetes_version, releases, &mut report);
    }
    if !own.is_empty() && family != spec.os_family {
        report.add(
            "spec.osFamily",
            "differs from that of the control plane",
            "control plane and workers have the same osFamily",
        );
    }
    if spec.networks.len() > MOST_NETWORKS {
        report.add(
            "spec.networks",
            format!("a machine has {MOST_NETWORKS} networks at most"),
            "keep the first ones",
        );
    }
    let of_control_plane = own.iter().any(|group| group.role == MachineRole::ControlPlane);
    if of_control_plane && !spec.networks.is_empty() {
        report.add(
            "spec.networks",
            "machines of a control plane are on the network of the datacenter alone",
            "remove the field, or give the workers a machine configuration of their own",
        );
    }
    users(&spec.users, &mut report);
    host_os::check(spec.host_os_configuration.as_ref(), &mut report);
    report.found
}

fn places(config: &VSphereMachineConfig, report: &mut Report) {
    let spec = &config.spec;
    for (path, value, next_step) in [
        (
            "spec.datastore",
            Some(&spec.datastore),
            "write the name or inventory path of a datastore",
        ),
        (
            "spec.resourcePool",
            Some(&spec.resource_pool),
            "write the name or inventory path of a resource pool",
        ),
        (
            "spec.template",
            spec.template.as_ref(),
            "write the name or inventory path of a template of that osFamily, built as for EKS Anywhere",
        ),
    ] {
        if value.is_none_or(String::is_empty) {
            report.add(path, "the field is empty", next_step);
        }
    }
}

fn sizes(config: &VSphereMachineConfig, report: &mut Report) {
    let spec = &config.spec;
    for (path, number, least) in [
        ("spec.numCPUs", spec.num_cpus, 1),
        ("spec.memoryMiB", spec.memory_mib, LEAST_MEMORY_MIB),
        ("spec.diskGiB", spec.disk_gib, LEAST_DISK_GIB),
    ] {
        if let Some(number) = number.filter(|number| *number < least) {
            report.add(
                path,
                format!("{number} is too little for a node"),
                format!("write {least} or more"),
            );
        }
    }
}
