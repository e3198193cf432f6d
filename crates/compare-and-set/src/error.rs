//! What can go wrong with a write that is none of a lost race.

/// A write failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The API refused the change or did not answer.
    #[error("cannot write {object}")]
    Write {
        /// Kind, namespace and name.
        object: String,
        /// Cause.
        #[source]
        source: kube::Error,
    },
    /// A value cannot be written as JSON.
    #[error("cannot encode a value for {object}")]
    Encode {
        /// Kind, namespace and name.
        object: String,
        /// Cause.
        #[source]
        source: serde_json::Error,
    },
    /// Somebody else was first, again and again; for callers that gave up.
    #[error("{object} is being changed by others all the time; try again")]
    Busy {
        /// Kind, namespace and name.
        object: String,
    },
}

impl Error {
    /// The caller lost too often.
    pub fn busy<K: kube::Resource<DynamicType = ()>>(object: &K) -> Self {
        Self::Busy {
            object: place(object),
        }
    }
}

/// `Server eksa-system/node-1`.
pub(crate) fn place<K: kube::Resource<DynamicType = ()>>(object: &K) -> String {
    let name = object.meta().name.as_deref().unwrap_or_default();
    let kind = K::kind(&());
    match &object.meta().namespace {
        Some(namespace) => format!("{kind} {namespace}/{name}"),
        None => format!("{kind} {name}"),
    }
}
