//! Which fields of a cluster may not change once it exists (EKS Anywhere's webhook rules), and versions.

use kube::ResourceExt;
use resources::anywhere::TinkerbellMachineConfig;

use crate::bundle::ClusterBundle;
use crate::rules::version;
use crate::violation::{Report, Violation};

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
    let (control_before, control) = (
        &before.control_plane_configuration,
        &after.control_plane_configuration,
    );
    fixed(
        &mut report,
        "spec.controlPlaneConfiguration.endpoint",
        &control_before.endpoint,
        &control.endpoint,
    );
    fixed(
        &mut report,
        "spec.controlPlaneConfiguration.labels",
        &control_before.labels,
        &control.labels,
    );
    fixed(
        &mut report,
        "spec.controlPlaneConfiguration.taints",
        &control_before.taints,
        &control.taints,
    );
    fixed(
        &mut report,
        "spec.controlPlaneConfiguration.machineGroupRef",
        &control_before.machine_group_ref,
        &control.machine_group_ref,
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
    let upgraded = before.kubernetes_version != after.kubernetes_version;
    let mut scaled = control_before.count != control.count;
    for (at, group) in after.worker_node_group_configurations.iter().enumerate() {
        let path = format!("spec.workerNodeGroupConfigurations[{at}]");
        let known = before
            .worker_node_group_configurations
            .iter()
            .find(|known| known.name == group.name);
        let Some(known) = known else {
            scaled = true;
            continue;
        };
        fixed(
            &mut report,
            &format!("{path}.labels"),
            &known.labels,
            &group.labels,
        );
        fixed(
            &mut report,
            &format!("{path}.taints"),
            &known.taints,
            &group.taints,
        );
        fixed(
            &mut report,
            &format!("{path}.machineGroupRef"),
            &known.machine_group_ref,
            &group.machine_group_ref,
        );
        scaled |= known.count != group.count;
    }
    scaled |= before.worker_node_group_configurations.len() != after.worker_node_group_configurations.len();
    if upgraded && scaled {
        report.add(
            "spec.kubernetesVersion",
            "cannot perform scale up or down during rolling upgrades",
            "change counts and version one after the other",
        );
    }
    if upgraded
        && let (Some(from), Some(to)) = (
            version(&before.kubernetes_version),
            version(&after.kubernetes_version),
        )
        && to != (from.0, from.1 + 1)
    {
        report.add(
            "spec.kubernetesVersion",
            format!(
                "from {} to {} is not one minor version up",
                before.kubernetes_version, after.kubernetes_version
            ),
            format!("write {}.{} first", from.0, from.1 + 1),
        );
    }
    report.found
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
