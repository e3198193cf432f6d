//! What is said of a cluster as a whole.

use jiff::Timestamp;
use resources::anywhere::{EtcdDrills, FailureReason};
use resources::conditions::Fact;

/// What is said of the cluster as a whole.
#[derive(Debug, Clone, Default)]
pub(crate) struct Report {
    /// Planning, Creating, Running, Deleting, Failed.
    pub(crate) phase: &'static str,
    /// What it waits for.
    pub(crate) reason: Option<String>,
    /// When waiting ends.
    pub(crate) deadline: Option<Timestamp>,
    /// What is wrong, and what a person can do.
    pub(crate) failure: Option<(FailureReason, String)>,
    /// What is wanted and cannot be done now.
    pub(crate) blocked: Vec<String>,
    /// The exchange of its machines is paused: by whom, and how far it is.
    pub(crate) paused: Option<String>,
    /// Whether the cluster is as it is wanted and nothing is under way.
    pub(crate) settled: bool,
    /// Whether its etcd is saved as it should be.
    pub(crate) etcd: EtcdFacts,
}

/// What is said of the snapshots of a cluster's etcd.
#[derive(Debug, Clone, Default)]
pub(crate) struct EtcdFacts {
    /// Conditions.
    pub(crate) facts: Vec<Fact>,
    /// Rehearsals of a restore; none where nothing is known.
    pub(crate) drills: Option<EtcdDrills>,
}
