//! What can go wrong with the nodes of a cluster.

/// One failed operation.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// The kubeconfig cannot be read. Its content is secret, so the text says nothing of it.
    #[error("the kubeconfig of the cluster cannot be read")]
    Kubeconfig,
    /// A client cannot be made of the kubeconfig.
    #[error("cannot make a client of the cluster")]
    Client(#[source] kube::Error),
    /// There is no such node.
    #[error("the cluster has no node {node}")]
    NoNode {
        /// Its name.
        node: String,
    },
    /// The API did not answer in time.
    #[error("cannot {what}: no answer within {seconds} s")]
    Silent {
        /// What was to be done, such as `cordon node cp-1`.
        what: String,
        /// How long it was waited.
        seconds: u64,
    },
    /// The API refused, or cannot be reached.
    #[error("cannot {what}")]
    Call {
        /// What was to be done, such as `cordon node cp-1`.
        what: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}
