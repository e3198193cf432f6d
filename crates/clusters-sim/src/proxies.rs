//! Pods of kube-proxy on the nodes of a played cluster, as the controller of DaemonSets makes them. No node has another image than
//! that of its own version, so a pod of another one does not run.

use std::collections::{BTreeMap, BTreeSet};

use clusters::{AddonsView, NodeView};
use resources::keys;

/// kube-proxy on all nodes.
#[derive(Debug, Default)]
pub struct Proxies {
    /// The version that each node was installed with.
    versions: BTreeMap<String, String>,
    /// Images of the pods of a node, by the label of their DaemonSet; that of all nodes has none.
    pods: BTreeMap<String, BTreeMap<Option<String>, String>>,
    /// The first time that a node was without a pod that runs.
    pub without: Option<String>,
}

impl Proxies {
    /// A node is there with this version.
    pub(crate) fn runs(&mut self, node: &str, version: &str) {
        self.versions.insert(node.to_owned(), version.to_owned());
        self.pods.remove(node);
    }

    /// The controller does what follows from nodes and DaemonSets.
    pub(crate) fn follow(&mut self, nodes: &BTreeMap<String, NodeView>, addons: &AddonsView) {
        let Some(image) = &addons.proxy else {
            return;
        };
        let repository = image
            .rsplit_once(':')
            .map_or(&**image, |(repository, _)| repository);
        for (name, node) in nodes {
            let label = node.labels.get(keys::KUBERNETES_VERSION);
            let left_out = label.is_some_and(|label| addons.left_out.contains(label));
            let own = label.filter(|label| addons.of_versions.contains(*label));
            let wanted: BTreeSet<Option<String>> = own
                .map(|own| Some(own.clone()))
                .into_iter()
                .chain((!left_out).then_some(None))
                .collect();
            let pods = self.pods.entry(name.clone()).or_default();
            pods.retain(|set, _| wanted.contains(set));
            for set in wanted {
                let current = match &set {
                    Some(own) => format!("{repository}:{own}"),
                    None => image.clone(),
                };
                let keeps = set.is_none() && addons.held;
                match pods.get_mut(&set) {
                    Some(_) if keeps => {}
                    Some(known) => *known = current,
                    None => {
                        pods.insert(set, current);
                    }
                }
            }
            let Some(version) = self.versions.get(name) else {
                continue;
            };
            let runs = |image: &String| *image == format!("{repository}:{version}");
            if !pods.values().any(runs) {
                let what = format!("node {name} has {version}, and pods of kube-proxy of {pods:?}");
                self.without.get_or_insert(what);
            }
        }
        self.pods.retain(|name, _| nodes.contains_key(name));
        self.versions.retain(|name, _| nodes.contains_key(name));
    }
}
