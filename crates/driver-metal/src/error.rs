//! What can go wrong while a ProviderMachine is carried out.

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
        /// Namespace and name of the object.
        name: String,
        /// Why.
        #[source]
        source: Box<kube::Error>,
    },
    /// A compare-and-set failed.
    #[error(transparent)]
    Commit(#[from] compare_and_set::Error),
    /// The installation's texts could not be made.
    #[error("cannot make the workflow of {machine}")]
    Texts {
        /// ProviderMachine.
        machine: String,
        /// Why.
        #[source]
        source: node_config::Error,
    },
    /// The status of a machine holds a state that is none of bare metal.
    #[error(
        "status.driverState of ProviderMachine {machine} is {state:?}, which is no state of bare metal; nothing is done to it \
         before the status is put right"
    )]
    State {
        /// ProviderMachine.
        machine: String,
        /// What stands there.
        state: String,
    },
    /// The user's own workflow can't be carried out.
    #[error("TinkerbellTemplateConfig {name} can't be carried out: {reason}")]
    Template {
        /// Its name.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Nothing says which disk the installed system is on.
    #[error(
        "Server {server} names no disk that the installation of its machine has written to, so its system can't be repaired; replace \
         the machine instead: gantry replace machine NAME"
    )]
    SystemDisk {
        /// Name of the Server.
        server: String,
    },
    /// The Hardware lacks something that an installation needs.
    #[error("Hardware {hardware} has no {field}; add it and the installation goes on")]
    Hardware {
        /// Name of the Hardware.
        hardware: String,
        /// Path of the field.
        field: &'static str,
    },
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
