//! Known fields that are forbidden on bare metal, or that this version does not carry out. None is passed over in
//! silence.

use crate::bundle::ClusterBundle;
use crate::rules::virtual_site::failure_domains;
use crate::violation::Report;
use crate::virtual_site::VirtualSite;

const REMOVE: &str = "remove the field; it would have no effect";

pub(super) fn check(bundle: &ClusterBundle, report: &mut Report) {
    let spec = &bundle.cluster.spec;
    // Machines of its own for etcd are remarked on where EKS Anywhere makes them.
    if spec.external_etcd_configuration.is_some() && bundle.virtual_site.is_none() {
        report.add(
            "spec.externalEtcdConfiguration",
            "tinkerbell external etcd configuration is unsupported",
            "remove the field; etcd runs on the control-plane machines",
        );
    }
    if !spec.etcd_encryption.is_empty() {
        report.add("spec.etcdEncryption", "etcd encryption is unsupported", REMOVE);
    }
    let mut absent = |path: &str, present: bool| {
        if present {
            report.add(path, "this version does not carry the field out", REMOVE);
        }
    };
    let vsphere = bundle.virtual_site.as_ref().and_then(VirtualSite::vsphere);
    for (at, group) in spec.worker_node_group_configurations.iter().enumerate() {
        absent(
            &format!("spec.workerNodeGroupConfigurations[{at}].failureDomains"),
            !group.failure_domains.is_empty() && vsphere.is_none(),
        );
    }
    if let Some(site) = vsphere {
        failure_domains(bundle, site, report);
    }
    let control = &spec.control_plane_configuration;
    if control.skip_admission_for_system_resources == Some(true) {
        report.add(
            "spec.controlPlaneConfiguration.skipAdmissionForSystemResources",
            "only the kube-apiserver of EKS Distro leaves system resources out of admission; the one of the node image is \
             Kubernetes' own",
            "remove the field, and leave kube-system out by the namespaceSelector of your webhook configurations",
        );
    }
}
