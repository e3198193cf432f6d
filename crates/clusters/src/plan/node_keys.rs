//! Which labels and taints of nodes the documents of a cluster decide about.

use std::collections::BTreeMap;

use node_config::version_label;
use resources::anywhere::Taint;
use resources::gantry::{MachineRole, NodeKeys};
use resources::keys::KUBERNETES_VERSION;

use super::wanted::{Pool, Wanted};

/// Key of the label and of the taint that kubeadm gives nodes of the control plane.
pub(crate) const CONTROL_PLANE_NODE: &str = "node-role.kubernetes.io/control-plane";

impl Pool {
    /// The taints of its nodes, with kubeadm's own where the documents name none.
    pub(crate) fn node_taints(&self) -> Vec<Taint> {
        match (&self.taints, self.role) {
            (Some(taints), _) => taints.clone(),
            (None, MachineRole::Worker) => Vec::new(),
            (None, MachineRole::ControlPlane) => vec![Taint {
                key: CONTROL_PLANE_NODE.to_owned(),
                effect: "NoSchedule".to_owned(),
                ..Taint::default()
            }],
        }
    }

    /// The labels of its nodes that are of this version of Kubernetes: the documents' and the one that says the version.
    pub(crate) fn node_labels(&self, version: &str) -> BTreeMap<String, String> {
        let mut labels = self.labels.clone();
        if !version.is_empty() {
            labels.insert(KUBERNETES_VERSION.to_owned(), version_label(version));
        }
        labels
    }

    /// The keys of the labels and taints of its nodes.
    pub(crate) fn node_keys(&self) -> NodeKeys {
        NodeKeys {
            labels: self.labels.keys().cloned().collect(),
            taints: self.node_taints().iter().map(Taint::id).collect(),
        }
    }
}

impl Wanted {
    /// The keys of each pool, beside those that are `known` of it and may still be on its nodes.
    pub(crate) fn node_keys(&self, known: &BTreeMap<String, NodeKeys>) -> BTreeMap<String, NodeKeys> {
        let pools = self.pools.iter();
        pools
            .map(|pool| {
                let mut keys = pool.node_keys();
                if let Some(known) = known.get(&pool.name) {
                    keys.labels.extend(known.labels.iter().cloned());
                    keys.taints.extend(known.taints.iter().cloned());
                }
                (pool.name.clone(), keys)
            })
            .collect()
    }
}
