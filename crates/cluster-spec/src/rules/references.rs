//! References between documents.

use kube::ResourceExt;
use resources::anywhere::ObjectRef;

use crate::bundle::ClusterBundle;
use crate::violation::Report;

pub(super) fn check(bundle: &ClusterBundle, report: &mut Report) {
    let spec = &bundle.cluster.spec;
    let datacenter = bundle.datacenter.name_any();
    if spec.datacenter_ref.kind != "TinkerbellDatacenterConfig" {
        report.add(
            "spec.datacenterRef.kind",
            format!("{:?} is not a datacenter of bare metal", spec.datacenter_ref.kind),
            "write TinkerbellDatacenterConfig",
        );
    } else if spec.datacenter_ref.name != datacenter {
        report.add(
            "spec.datacenterRef.name",
            format!(
                "the file has no TinkerbellDatacenterConfig named {:?}",
                spec.datacenter_ref.name
            ),
            format!("write {datacenter}"),
        );
    }
    for (path, reference) in machine_groups(bundle) {
        machine_group(bundle, reference, path, report);
    }
}

/// The fields of a Cluster that name machine configurations.
pub(crate) fn machine_groups(bundle: &ClusterBundle) -> impl Iterator<Item = (String, Option<&ObjectRef>)> {
    let spec = &bundle.cluster.spec;
    let control_plane = spec.control_plane_configuration.machine_group_ref.as_ref();
    let groups = spec.worker_node_group_configurations.iter().enumerate();
    let workers = groups.map(|(at, group)| {
        let path = format!("spec.workerNodeGroupConfigurations[{at}].machineGroupRef");
        (path, group.machine_group_ref.as_ref())
    });
    let path = "spec.controlPlaneConfiguration.machineGroupRef".to_owned();
    std::iter::once((path, control_plane)).chain(workers)
}

fn machine_group(bundle: &ClusterBundle, reference: Option<&ObjectRef>, path: String, report: &mut Report) {
    let Some(reference) = reference else {
        return report.add(
            path,
            "machineGroupRef is missing",
            "name a TinkerbellMachineConfig of this file",
        );
    };
    if reference.kind != "TinkerbellMachineConfig" {
        report.add(
            format!("{path}.kind"),
            format!(
                "{:?} is not a machine configuration of bare metal",
                reference.kind
            ),
            "write TinkerbellMachineConfig",
        );
    } else if !bundle.machine_configs.contains_key(&reference.name) {
        let names: Vec<&str> = bundle.machine_configs.keys().map(String::as_str).collect();
        report.add(
            format!("{path}.name"),
            format!(
                "the file has no TinkerbellMachineConfig named {:?}",
                reference.name
            ),
            if names.is_empty() {
                "add one".to_owned()
            } else {
                format!("write one of {}", names.join(", "))
            },
        );
    }
}
