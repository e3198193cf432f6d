//! Who is woken when hosts change.

/// An object of a namespace that hosts concern. Clusters are in order before machines.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Follower {
    /// A ProviderCluster, which counts the hosts of its pools.
    Cluster(String),
    /// A ProviderMachine, which looks for a host.
    Machine(String),
}
