//! What stops a reconcile. Errors of BMCs are no such thing: they go to the object's status.

/// Why an object could not be reconciled now.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot read {kind} {name}")]
    Read {
        kind: &'static str,
        name: String,
        source: kube::Error,
    },
    #[error("cannot write {kind} {name}")]
    Write {
        kind: &'static str,
        name: String,
        source: kube::Error,
    },
}

impl Error {
    /// The objects of a kind cannot be listed.
    pub(crate) fn listing(kind: &'static str) -> impl FnOnce(kube::Error) -> Self {
        move |source| Self::Read {
            kind,
            name: "list".to_owned(),
            source,
        }
    }
}
