//! What is of one node alone.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use resources::Mac;
use resources::anywhere::{CertBundle, Taint};
use serde_json::Value;

/// What is of one node alone.
#[derive(Debug, Clone, PartialEq)]
pub struct NodeSettings {
    /// Name of the node: the machine's host name.
    pub name: String,
    /// Address.
    pub ip: Ipv4Addr,
    /// Address of the NIC that carries it.
    pub mac: Mac,
    /// Identity of the machine, `tinkerbell://NAMESPACE/HARDWARE`.
    pub provider_id: String,
    /// Labels that the kubelet sets on its own node ([`kubelet_sets_label`]); others are left out.
    pub labels: BTreeMap<String, String>,
    /// Taints; `None` means kubeadm's own (control planes are tainted).
    pub taints: Option<Vec<Taint>>,
    /// Fields of its KubeletConfiguration (kubelet.config.k8s.io/v1beta1), over those of the cluster.
    pub kubelet: Option<Value>,
    /// Time servers that its system asks (host names or addresses); none means those of the image.
    pub time_servers: Vec<String>,
    /// Certificates of authorities that its system trusts.
    pub cert_bundles: Vec<CertBundle>,
}

/// Whether a kubelet may set this label on its own node (admission plugin NodeRestriction): keys of kubernetes.io and
/// k8s.io are the cluster's, but for a few.
#[must_use]
pub fn kubelet_sets_label(key: &str) -> bool {
    let Some((prefix, _)) = key.split_once('/') else {
        return true;
    };
    let of = |domain: &str| prefix == domain || prefix.ends_with(&format!(".{domain}"));
    if !of("kubernetes.io") && !of("k8s.io") {
        return true;
    }
    let own = ["kubelet.kubernetes.io", "node.kubernetes.io"];
    own.iter()
        .any(|domain| prefix == *domain || prefix.ends_with(&format!(".{domain}")))
        || ["topology.kubernetes.io/region", "topology.kubernetes.io/zone"].contains(&key)
}

#[cfg(test)]
mod tests {
    use super::kubelet_sets_label;

    #[test]
    fn labels_of_the_cluster_are_not_the_kubelets() {
        for (key, own) in [
            ("rack", true),
            ("example.com/rack", true),
            ("node.kubernetes.io/pool", true),
            ("topology.kubernetes.io/zone", true),
            ("node-role.kubernetes.io/worker", false),
            ("kubernetes.io/role", false),
            ("x.k8s.io/y", false),
            ("notkubernetes.io/y", true),
        ] {
            assert_eq!(kubelet_sets_label(key), own, "{key}");
        }
    }
}
