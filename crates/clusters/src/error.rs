//! What can go wrong between the coordinator and the APIs.

/// An operation of the coordinator failed; it is tried again.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An object could not be read.
    #[error("cannot read {what}")]
    Read {
        /// Which object or kind.
        what: String,
        /// Why.
        #[source]
        source: kube::Error,
    },
    /// An object could not be written.
    #[error("cannot write {what}")]
    Write {
        /// Which object.
        what: String,
        /// Why.
        #[source]
        source: kube::Error,
    },
    /// An object has a name that the cluster needs, and belongs to somebody else.
    #[error("{what} belongs to {owner} and is left alone; delete or rename it")]
    Taken {
        /// Which object.
        what: String,
        /// `cluster NAME`, or that no cluster is known.
        owner: String,
    },
    /// A compare-and-set failed.
    #[error(transparent)]
    Commit(#[from] compare_and_set::Error),
    /// An API did not answer in time.
    #[error("no answer about {what} within {seconds} s")]
    Timeout {
        /// Which object.
        what: String,
        /// How long it was waited.
        seconds: u64,
    },
    /// A value could not be encoded or decoded.
    #[error("cannot encode or decode {what}")]
    Json {
        /// What.
        what: String,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// Keys or certificates could not be made or read.
    #[error("cannot make or read {what}")]
    Pki {
        /// Which.
        what: String,
        /// Why.
        #[source]
        source: pki::Error,
    },
    /// A text of a node could not be made.
    #[error("cannot make the texts of {machine}")]
    NodeConfig {
        /// Which machine.
        machine: String,
        /// Why.
        #[source]
        source: node_config::Error,
    },
    /// What is kept of a cluster could not be removed.
    #[error("cannot remove what is kept of {name}")]
    Files {
        /// Namespace and name of the cluster.
        name: String,
        /// Why.
        #[source]
        source: sealed_files::Error,
    },
    /// A Secret of the cluster lacks a part.
    #[error("Secret {name} lacks {key}; it was changed by somebody")]
    Secret {
        /// Name.
        name: String,
        /// Key.
        key: &'static str,
    },
    /// The new cluster cannot be reached with its kubeconfig.
    #[error("cannot make a client of cluster {cluster}")]
    Client {
        /// Cluster.
        cluster: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// An object lacks what its maker sets.
    #[error("{what} lacks {field}")]
    Incomplete {
        /// Which object.
        what: String,
        /// What is missing.
        field: &'static str,
    },
}
