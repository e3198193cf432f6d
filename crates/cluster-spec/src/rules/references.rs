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
    machine_group(
        bundle,
        spec.control_plane_configuration.machine_group_ref.as_ref(),
        "spec.controlPlaneConfiguration",
        report,
    );
    for (at, group) in spec.worker_node_group_configurations.iter().enumerate() {
        let path = format!("spec.workerNodeGroupConfigurations[{at}]");
        machine_group(bundle, group.machine_group_ref.as_ref(), &path, report);
    }
}

fn machine_group(bundle: &ClusterBundle, reference: Option<&ObjectRef>, path: &str, report: &mut Report) {
    let path = format!("{path}.machineGroupRef");
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
