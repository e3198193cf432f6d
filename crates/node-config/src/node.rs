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
    /// Where it is.
    pub place: NodePlace,
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

/// What a node is told of where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NodePlace {
    /// All of it, because its host was known before.
    Known {
        /// Address.
        ip: Ipv4Addr,
        /// Address of the NIC that carries it.
        mac: Mac,
        /// Identity of the machine, `tinkerbell://NAMESPACE/HARDWARE`.
        provider_id: String,
    },
    /// Nothing, because its machine is made with this configuration: its address is that of its way to the network, and its
    /// identity is noted in the cluster by whoever knows it.
    Found,
}

/// What stands for the address of a node that finds it itself; the bootstrap script puts it in.
pub(crate) const ADDRESS: &str = "@ADDRESS@";

impl NodePlace {
    /// The address, or what stands for it.
    pub(crate) fn address(&self) -> String {
        match self {
            Self::Known { ip, .. } => ip.to_string(),
            Self::Found => ADDRESS.to_owned(),
        }
    }

    /// The identity of the machine, where it is known.
    pub(crate) fn provider_id(&self) -> Option<&str> {
        match self {
            Self::Known { provider_id, .. } => Some(provider_id),
            Self::Found => None,
        }
    }
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
