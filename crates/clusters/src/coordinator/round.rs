//! What one round of a cluster is about, from its observation to its report.

use cluster_spec::Violation;
use jiff::Timestamp;
use resources::anywhere::Cluster;

use crate::access::Access;
use crate::observe::{Connection, Snapshot};
use crate::pin::Pin;
use crate::report::EtcdFacts;

/// What one round is about.
pub(crate) struct Round<'a> {
    pub(crate) access: &'a Access,
    pub(crate) cluster: &'a Cluster,
    pub(crate) snapshot: Snapshot,
    pub(crate) connection: Option<Connection>,
    pub(crate) pin: Option<Pin>,
    /// What a change of the documents waits for, or one of labels and taints of nodes.
    pub(crate) waits: Option<String>,
    pub(crate) refused: Vec<Violation>,
    /// What is known of the snapshots of its etcd.
    pub(crate) etcd: EtcdFacts,
    pub(crate) now: Timestamp,
}
