//! `apiServerExtraArgs`: flags of kube-apiserver, without those that make up the cluster itself. And `podIamConfig`, which is one
//! of those.

use super::identity::issuer;
use crate::bundle::ClusterBundle;
use crate::violation::Report;

/// Flags that kubeadm writes from the keys, addresses and etcd of the cluster, beside those that [`OWN_PREFIXES`] begin.
const OWN: [&str; 9] = [
    "advertise-address",
    "bind-address",
    "client-ca-file",
    "enable-bootstrap-token-auth",
    "insecure-port",
    "secure-port",
    "service-cluster-ip-range",
    "tls-cert-file",
    "tls-private-key-file",
];
const OWN_PREFIXES: [&str; 5] = [
    "etcd-",
    "kubelet-client-",
    "proxy-client-",
    "requestheader-",
    "service-account-",
];

pub(super) fn check(bundle: &ClusterBundle, report: &mut Report) {
    if bundle.cluster.spec.pod_iam_config.is_some() {
        let named = bundle.service_account_issuer().unwrap_or_default();
        issuer("spec.podIamConfig.serviceAccountIssuer", named, report);
    }
    let path = "spec.controlPlaneConfiguration.apiServerExtraArgs";
    let control = &bundle.cluster.spec.control_plane_configuration;
    for name in control.api_server_extra_args.keys() {
        let flag = name.trim_start_matches('-');
        if flag != name {
            report.add(
                format!("{path}.{name}"),
                format!("{name} begins with '-'"),
                format!("write {flag}"),
            );
        } else if OWN.contains(&flag) || OWN_PREFIXES.iter().any(|prefix| flag.starts_with(prefix)) {
            report.add(
                format!("{path}.{name}"),
                "the cluster's own keys, addresses and etcd decide this flag",
                "remove it",
            );
        }
    }
}
