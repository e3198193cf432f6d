//! A cluster that lives: an appliance that observes, plans and carries out, and machines, nodes and members of etcd that do
//! what they do. The planner and what decides which plan follows which are the real ones; what surrounds them is abstract.

mod effects;
mod events;
mod gates;
mod machines;
mod observation;
mod reality;
mod records;
mod renewals;
mod rounds;
mod steps;
mod text;

use clusters::Wanted;
use jiff::Timestamp;

pub(crate) use self::reality::{Fate, Reality};
pub(crate) use self::records::Records;
use crate::samples::now;

/// Why a coordinator does not get any further.
#[derive(Debug)]
pub(crate) enum Stop {
    /// It was killed.
    Killed,
    /// It did what must not be done.
    Wrong(String),
}

/// The cluster.
#[derive(Clone)]
pub(crate) struct World {
    pub(crate) now: Timestamp,
    pub(crate) records: Records,
    pub(crate) reality: Reality,
    /// How machines that are made next are installed and join.
    pub(crate) fates: Vec<(Fate, Fate)>,
    /// The data of etcd can't be saved.
    pub(crate) saving_fails: bool,
    /// What the cluster has lost.
    pub(crate) lost: Option<String>,
    /// What becomes of Pods that renew certificates.
    pub(crate) renewal_fate: Fate,
    /// What becomes of the Jobs of upgrade gates.
    pub(crate) gate_fate: Fate,
    /// Pods can't be moved.
    pub(crate) held_pods: bool,
    /// Writes until the coordinator is killed.
    pub(crate) writes_left: Option<usize>,
    /// The records are older than the cluster, and nobody has approved a plan since.
    pub(crate) unapproved: bool,
    /// The records were restored from older ones.
    pub(crate) restored: bool,
    /// A person approves what waits for it.
    pub(crate) approves: bool,
    /// What happened, for a test that fails.
    pub(crate) log: Vec<String>,
}

impl World {
    pub(crate) fn new(wanted: Wanted) -> Self {
        Self {
            now: now(),
            records: Records::new(wanted),
            reality: Reality::default(),
            fates: Vec::new(),
            saving_fails: false,
            lost: None,
            renewal_fate: Fate::Done(1),
            gate_fate: Fate::Done(1),
            held_pods: false,
            writes_left: None,
            unapproved: false,
            restored: false,
            approves: false,
            log: Vec::new(),
        }
    }
}
