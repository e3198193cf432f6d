//! The nodes of a cluster, found by name and by the identity of their machine.

use std::collections::HashMap;

use super::node_view::NodeView;

/// The nodes of a cluster.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Nodes {
    all: Vec<NodeView>,
    names: HashMap<String, usize>,
    providers: HashMap<String, usize>,
}

impl Nodes {
    /// These. Of several with one identity the first counts.
    pub(crate) fn new(all: Vec<NodeView>) -> Self {
        let (mut names, mut providers) = (HashMap::new(), HashMap::new());
        for (place, node) in all.iter().enumerate() {
            names.entry(node.name.clone()).or_insert(place);
            if let Some(id) = &node.provider_id {
                providers.entry(id.clone()).or_insert(place);
            }
        }
        Self {
            all,
            names,
            providers,
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &NodeView> {
        self.all.iter()
    }

    pub(crate) fn named(&self, name: &str) -> Option<&NodeView> {
        self.all.get(*self.names.get(name)?)
    }

    /// The node with this providerID.
    pub(crate) fn of_provider(&self, id: &str) -> Option<&NodeView> {
        self.all.get(*self.providers.get(id)?)
    }
}
