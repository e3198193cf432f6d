//! Known fields that are forbidden on bare metal, or that this version does not carry out. None is passed over in
//! silence.

use crate::bundle::ClusterBundle;
use crate::violation::Report;

const REMOVE: &str = "remove the field; it would have no effect";

pub(super) fn check(bundle: &ClusterBundle, report: &mut Report) {
    let spec = &bundle.cluster.spec;
    if spec.external_etcd_configuration.is_some() {
        report.add(
            "spec.externalEtcdConfiguration",
            "tinkerbell external etcd configuration is unsupported",
            "remove the field; etcd runs on the control-plane machines",
        );
    }
    if !spec.etcd_encryption.is_empty() {
        report.add(
            "spec.etcdEncryption",
            "etcd encryption is unsupported on bare metal",
            REMOVE,
        );
    }
    let mut absent = |path: &str, present: bool| {
        if present {
            report.add(path, "this version does not carry the field out", REMOVE);
        }
    };
    for (at, group) in spec.worker_node_group_configurations.iter().enumerate() {
        absent(
            &format!("spec.workerNodeGroupConfigurations[{at}].failureDomains"),
            !group.failure_domains.is_empty(),
        );
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
