//! The identity of an object.

use std::fmt;
use std::sync::Arc;

/// Identity of an object: resource (`hardware.tinkerbell.org`), namespace ("" when cluster-scoped), name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Key {
    pub(crate) resource: Arc<str>,
    pub(crate) namespace: String,
    pub(crate) name: String,
}

impl Key {
    /// Key of an object that has no namespace.
    pub(crate) fn cluster_scoped(resource: &str, name: &str) -> Key {
        Key {
            resource: Arc::from(resource),
            namespace: String::new(),
            name: name.to_owned(),
        }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}/{}", self.resource, self.namespace, self.name)
    }
}
