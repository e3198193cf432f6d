//! References between documents.

use kube::ResourceExt;
use resources::anywhere::ObjectRef;

use crate::bundle::ClusterBundle;
use crate::violation::Report;
use crate::virtual_site::VirtualSite;

pub(super) fn check(bundle: &ClusterBundle, report: &mut Report) {
    let spec = &bundle.cluster.spec;
    let (kind, datacenter) = match &bundle.virtual_site {
        Some(site) => (site.datacenter_kind(), site.name()),
        None => ("TinkerbellDatacenterConfig", bundle.datacenter.name_any()),
    };
    if spec.datacenter_ref.kind != kind {
        report.add(
            "spec.datacenterRef.kind",
            format!(
                "{:?} is no datacenter that is known here",
                spec.datacenter_ref.kind
            ),
            "write TinkerbellDatacenterConfig, VSphereDatacenterConfig or DockerDatacenterConfig",
        );
    } else if spec.datacenter_ref.name != datacenter {
        report.add(
            "spec.datacenterRef.name",
            format!("the file has no {kind} named {:?}", spec.datacenter_ref.name),
            format!("write {datacenter}"),
        );
    }
    for (path, reference) in machine_groups(bundle) {
        machine_group(bundle, reference, path, report);
    }
}

/// Kind of the machine configurations, and the names of those that there are; `None` where machines need none.
fn machine_configs(bundle: &ClusterBundle) -> Option<(&'static str, Vec<&str>)> {
    match &bundle.virtual_site {
        None => {
            let names = bundle.machine_configs.keys().map(String::as_str);
            Some(("TinkerbellMachineConfig", names.collect()))
        }
        Some(VirtualSite::VSphere(site)) => {
            let names = site.machine_configs.keys().map(String::as_str);
            Some(("VSphereMachineConfig", names.collect()))
        }
        Some(VirtualSite::Docker(_)) => None,
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
    let Some((kind, names)) = machine_configs(bundle) else {
        if reference.is_some() {
            let next_step = "remove the field";
            report.add(
                path,
                "the machines of a Docker daemon have no configuration",
                next_step,
            );
        }
        return;
    };
    let Some(reference) = reference else {
        let next_step = format!("name a {kind} of this file");
        return report.add(path, "machineGroupRef is missing", next_step);
    };
    if reference.kind != kind {
        report.add(
            format!("{path}.kind"),
            format!(
                "{:?} is not a machine configuration of this provider",
                reference.kind
            ),
            format!("write {kind}"),
        );
    } else if !names.contains(&reference.name.as_str()) {
        report.add(
            format!("{path}.name"),
            format!("the file has no {kind} named {:?}", reference.name),
            if names.is_empty() {
                "add one".to_owned()
            } else {
                format!("write one of {}", names.join(", "))
            },
        );
    }
}
