//! Which fields of a cluster may not change once it exists (EKS Anywhere's webhook rules), and versions.

use kube::ResourceExt;
use resources::anywhere::{ClusterSpec, ControlPlaneConfiguration, TinkerbellMachineConfig};
use resources::keys::VRRP_ID;

use crate::bundle::ClusterBundle;
use crate::rules::version;
use crate::violation::{Report, Violation};
use crate::vrrp;

const NEXT_STEP: &str = "put the old value back, or delete the cluster and create it anew";

/// Compares the wanted bundle with the one that exists.
#[must_use]
pub fn check_update(old: &ClusterBundle, new: &ClusterBundle) -> Vec<Violation> {
    let mut found = cluster(old, new);
    found.extend(datacenter(old, new));
    for (name, config) in &new.machine_configs {
        if let Some(before) = old.machine_configs.get(name) {
            found.extend(machine_config(before, config));
        }
    }
    found
}

fn fixed<T: PartialEq>(report: &mut Report, path: &str, old: &T, new: &T) {
    if old != new {
        report.add(path, "the field cannot change", NEXT_STEP);
    }
}

fn cluster(old: &ClusterBundle, new: &ClusterBundle) -> Vec<Violation> {
    let mut report = Report::new("Cluster", &new.name());
    let (before, after) = (&old.cluster.spec, &new.cluster.spec);
    fixed(
        &mut report,
        "spec.managementCluster",
        &before.management_cluster,
        &after.management_cluster,
    );
    fixed(
        &mut report,
        "spec.datacenterRef",
        &before.datacenter_ref,
        &after.datacenter_ref,
    );
    control_plane(
        &before.control_plane_configuration,
        &after.control_plane_configuration,
        &mut report,
    );
    fixed(
        &mut report,
        &format!("metadata.annotations[{VRRP_ID}]"),
        &vrrp::stated(&old.cluster),
        &vrrp::stated(&new.cluster),
    );
    let (network_before, network) = (&before.cluster_network, &after.cluster_network);
    fixed(
        &mut report,
        "spec.clusterNetwork.pods",
        &network_before.pods,
        &network.pods,
    );
    fixed(
        &mut report,
        "spec.clusterNetwork.services",
        &network_before.services,
        &network.services,
    );
    fixed(
        &mut report,
        "spec.clusterNetwork.dns",
        &network_before.dns,
        &network.dns,
    );
    fixed(
        &mut report,
        "spec.clusterNetwork.nodes",
        &network_before.nodes,
        &network.nodes,
    );
    fixed(
        &mut report,
        "spec.clusterNetwork.cniConfig",
        &old.cni(),
        &new.cni(),
    );
    let scaled = workers(before, after, &mut report);
    kubernetes(before, after, scaled, &mut report);
    report.found
}

fn control_plane(before: &ControlPlaneConfiguration, after: &ControlPlaneConfiguration, report: &mut Report) {
    let path = |field: &str| format!("spec.controlPlaneConfiguration.{field}");
    fixed(report, &path("endpoint"), &before.endpoint, &after.endpoint);
    fixed(report, &path("labels"), &before.labels, &after.labels);
    fixed(report, &path("taints"), &before.taints, &after.taints);
    fixed(
        report,
        &path("machineGroupRef"),
        &before.machine_group_ref,
        &after.machine_group_ref,
    );
}

/// Whether any count or the list of groups changes.
fn workers(before: &ClusterSpec, after: &ClusterSpec, report: &mut Report) -> bool {
    let (known, wanted) = (
        &before.worker_node_group_configurations,
        &after.worker_node_group_configurations,
    );
    let count = |spec: &ClusterSpec| spec.control_plane_configuration.count;
    let mut scaled = count(before) != count(after) || known.len() != wanted.len();
    for (at, group) in wanted.iter().enumerate() {
        let Some(known) = known.iter().find(|known| known.name == group.name) else {
            scaled = true;
            continue;
        };
        let path = |field: &str| format!("spec.workerNodeGroupConfigurations[{at}].{field}");
        fixed(report, &path("labels"), &known.labels, &group.labels);
        fixed(report, &path("taints"), &known.taints, &group.taints);
        fixed(
            report,
            &path("machineGroupRef"),
            &known.machine_group_ref,
            &group.machine_group_ref,
        );
        scaled |= known.count != group.count;
    }
    scaled
}

fn kubernetes(before: &ClusterSpec, after: &ClusterSpec, scaled: bool, report: &mut Report) {
    let (before, after) = (&before.kubernetes_version, &after.kubernetes_version);
    if before == after {
        return;
    }
    if scaled {
        report.add(
            "spec.kubernetesVersion",
            "cannot perform scale up or down during rolling upgrades",
            "change counts and version one after the other",
        );
    }
    if let (Some(from), Some(to)) = (version(before), version(after))
        && to != (from.0, from.1 + 1)
    {
        report.add(
            "spec.kubernetesVersion",
            format!("from {before} to {after} is not one minor version up"),
            format!("write {}.{} first", from.0, from.1 + 1),
        );
    }
}

fn datacenter(old: &ClusterBundle, new: &ClusterBundle) -> Vec<Violation> {
    let mut report = Report::new("TinkerbellDatacenterConfig", &new.datacenter.name_any());
    let (before, after) = (&old.datacenter.spec, &new.datacenter.spec);
    fixed(
        &mut report,
        "spec.tinkerbellIP",
        &before.tinkerbell_ip,
        &after.tinkerbell_ip,
    );
    fixed(
        &mut report,
        "spec.skipLoadBalancerDeployment",
        &before.skip_load_balancer_deployment,
        &after.skip_load_balancer_deployment,
    );
    report.found
}

fn machine_config(before: &TinkerbellMachineConfig, after: &TinkerbellMachineConfig) -> Vec<Violation> {
    let mut report = Report::new("TinkerbellMachineConfig", &after.name_any());
    fixed(
        &mut report,
        "spec.osFamily",
        &before.spec.os_family,
        &after.spec.os_family,
    );
    fixed(&mut report, "spec.users", &before.spec.users, &after.spec.users);
    report.found
}
