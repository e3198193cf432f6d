//! The audit log of kube-apiserver: its policy, and the arguments and volumes that go with it.

use crate::cluster::{ClusterSettings, Profile};

/// Where the policy lies on a machine and in the pod, as in EKS Anywhere.
pub(crate) const POLICY_PATH: &str = "/etc/kubernetes/audit-policy.yaml";
/// Folder of the log.
pub(crate) const LOG_DIRECTORY: &str = "/var/log/kubernetes";

/// Notes who did what to which object, and no content. Left out is what the cluster's own components do all the time.
/// EKS Anywhere's policy keeps contents too, which may be secret, and takes a disk's and a processor's time.
const DEFAULT_POLICY: &str = include_str!("audit/policy.yaml");

/// The policy. In the lab's profile, and where the user's arguments of kube-apiserver speak of audit, there is none but the
/// user's own.
pub(crate) fn policy(cluster: &ClusterSettings) -> Option<&str> {
    let mut names = cluster.api_server_extra_args.keys();
    let default = cluster.profile == Profile::Standard && !names.any(|name| name.starts_with("audit-"));
    cluster
        .audit_policy
        .as_deref()
        .or_else(|| default.then_some(DEFAULT_POLICY))
}

/// Arguments of kube-apiserver, without those that the user sets: EKS Anywhere's file and limits.
pub(crate) fn arguments(cluster: &ClusterSettings) -> Vec<(&'static str, String)> {
    if policy(cluster).is_none() {
        return Vec::new();
    }
    let log = format!("{LOG_DIRECTORY}/api-audit.log");
    let arguments = [
        ("audit-policy-file", POLICY_PATH),
        ("audit-log-path", &log),
        ("audit-log-maxage", "30"),
        ("audit-log-maxbackup", "10"),
        ("audit-log-maxsize", "512"),
    ];
    let own = &cluster.api_server_extra_args;
    arguments
        .into_iter()
        .filter(|(name, _)| !own.contains_key(*name))
        .map(|(name, value)| (name, value.to_owned()))
        .collect()
}
