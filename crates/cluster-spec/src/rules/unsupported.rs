//! Known fields that are forbidden on bare metal, or that this version does not carry out. None is passed over in
//! silence.

use serde_json::Value;

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
    absent("spec.gitOpsRef", spec.git_ops_ref.is_some());
    absent(
        "spec.identityProviderRefs",
        !spec.identity_provider_refs.is_empty(),
    );
    absent("spec.proxyConfiguration", spec.proxy_configuration.is_some());
    absent(
        "spec.registryMirrorConfiguration",
        spec.registry_mirror_configuration.is_some(),
    );
    absent("spec.podIamConfig", spec.pod_iam_config.is_some());
    let disabled = |packages: &Value| packages.get("disable").and_then(Value::as_bool) == Some(true);
    absent(
        "spec.packages",
        spec.packages.as_ref().is_some_and(|packages| !disabled(packages)),
    );
    let control = &spec.control_plane_configuration;
    let path = "spec.controlPlaneConfiguration";
    absent(
        &format!("{path}.auditPolicyContent"),
        control.audit_policy_content.is_some(),
    );
    absent(
        &format!("{path}.skipAdmissionForSystemResources"),
        control.skip_admission_for_system_resources == Some(true),
    );
    absent(
        &format!("{path}.kubeletConfiguration"),
        control.kubelet_configuration.is_some(),
    );
    for (at, group) in spec.worker_node_group_configurations.iter().enumerate() {
        let path = format!("spec.workerNodeGroupConfigurations[{at}]");
        absent(
            &format!("{path}.kubeletConfiguration"),
            group.kubelet_configuration.is_some(),
        );
        absent(
            &format!("{path}.failureDomains"),
            !group.failure_domains.is_empty(),
        );
    }
}
