//! What can go wrong while a ProviderMachine is carried out, apart from what its driver says.

/// A failed operation, with its object.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The API refused or did not answer.
    #[error("cannot {operation} {kind} {name}")]
    Api {
        /// What was tried.
        operation: &'static str,
        /// Kind of the object.
        kind: &'static str,
        /// Name of the object.
        name: String,
        /// Why.
        #[source]
        source: Box<kube::Error>,
    },
    /// A compare-and-set failed.
    #[error(transparent)]
    Commit(#[from] compare_and_set::Error),
    /// The status of a machine holds a state that is none of a plugin driver.
    #[error(
        "status.driverState of ProviderMachine {machine} is {state:?}, which is no state of a plugin driver; nothing is done to \
         it before the status is put right"
    )]
    State {
        /// ProviderMachine.
        machine: String,
        /// What stands there.
        state: String,
    },
    /// The API has no id of the installation.
    #[error("namespace default has no uid, which machines at providers are marked with")]
    Installation,
}

impl Error {
    pub(crate) fn api(
        operation: &'static str,
        kind: &'static str,
        name: impl Into<String>,
    ) -> impl FnOnce(kube::Error) -> Self {
        let name = name.into();
        move |source| Self::Api {
            operation,
            kind,
            name,
            source: Box::new(source),
        }
    }
}
