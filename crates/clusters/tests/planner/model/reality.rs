//! Machines, nodes and members of etcd as they really are, whatever the appliance knows of them.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

/// All of them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Reality {
    /// Machines by name.
    pub(crate) iron: BTreeMap<String, Iron>,
    /// Nodes by the name of their machine.
    pub(crate) nodes: BTreeMap<String, Node>,
    /// Members of etcd by id.
    pub(crate) etcd: BTreeMap<u64, Voter>,
    /// The number that the cluster keeps.
    pub(crate) last_plan: Option<u32>,
    pub(crate) cni: bool,
    /// Revision and version of the control plane that joining machines read.
    pub(crate) joins_with: Option<String>,
    pub(crate) config_version: String,
    /// Version that the add-ons were brought to, and whether their pods keep their images.
    pub(crate) addons_version: Option<String>,
    pub(crate) held: bool,
    /// Versions whose nodes have DaemonSets of their own, those that the ones of all nodes leave out, and the version of these.
    pub(crate) of_versions: BTreeSet<String>,
    pub(crate) left_out: BTreeSet<String>,
    pub(crate) pods_version: String,
    /// Hosts that are free for every pool, where the driver says so.
    pub(crate) spare: Option<usize>,
    /// The API does not answer, though it could.
    pub(crate) silent: bool,
    /// Etcd refuses everything.
    pub(crate) stopped: bool,
    /// Writes that the cluster has acknowledged.
    pub(crate) writes: u64,
    /// Pods that renew certificates, by machine: the number of their plan, and what becomes of them.
    pub(crate) renewals: BTreeMap<String, (u32, Fate)>,
    /// Jobs of upgrade gates, by machine and the wish to run them once more, and what becomes of them.
    pub(crate) gates: BTreeMap<(String, usize), Fate>,
    next_id: u64,
}

/// A machine.
#[derive(Debug, Clone)]
pub(crate) struct Iron {
    /// Number of the plan that made it.
    pub(crate) plan: u32,
    pub(crate) on: bool,
    pub(crate) installation: Fate,
    pub(crate) join: Fate,
    /// Rounds that its power takes to go off; it never does while this is `None`.
    pub(crate) power_off: Option<usize>,
    /// What it was given: whether that is `kubeadm init`.
    pub(crate) given: Option<bool>,
}

/// What becomes of something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It is done after so many rounds.
    Done(usize),
    /// It fails after so many rounds.
    Fails(usize),
    /// It never ends.
    Hangs,
}

#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) ready: bool,
    pub(crate) since: Timestamp,
}

/// A member of etcd.
#[derive(Debug, Clone)]
pub(crate) struct Voter {
    /// The machine that it runs on, known or not.
    pub(crate) machine: String,
    pub(crate) voting: bool,
    pub(crate) alive: bool,
}

impl Fate {
    /// One round further; true when it comes to its end now.
    pub(crate) fn step(&mut self) -> bool {
        match self {
            Self::Hangs | Self::Done(0) | Self::Fails(0) => false,
            Self::Done(rounds) | Self::Fails(rounds) => {
                *rounds -= 1;
                *rounds == 0
            }
        }
    }
}

impl Reality {
    /// Voters, and how many of them are healthy.
    pub(crate) fn voters(&self) -> (usize, usize) {
        let voting = || self.etcd.values().filter(|voter| voter.voting);
        (voting().count(), voting().filter(|voter| voter.alive).count())
    }

    pub(crate) fn has_quorum(&self) -> bool {
        let (voters, healthy) = self.voters();
        healthy > voters / 2
    }

    pub(crate) fn answers(&self) -> bool {
        self.has_quorum() && !self.silent && !self.stopped
    }

    pub(crate) fn add_member(&mut self, machine: &str, voting: bool) {
        self.next_id += 1;
        let voter = Voter {
            machine: machine.to_owned(),
            voting,
            alive: true,
        };
        self.etcd.insert(self.next_id, voter);
    }

    pub(crate) fn set_node(&mut self, machine: &str, ready: bool, now: Timestamp) {
        let node = Node { ready, since: now };
        self.nodes.insert(machine.to_owned(), node);
    }

    /// A machine loses its power.
    pub(crate) fn power_off(&mut self, machine: &str, now: Timestamp) {
        if let Some(iron) = self.iron.get_mut(machine) {
            iron.on = false;
        }
        if self.nodes.get(machine).is_some_and(|node| node.ready) {
            self.set_node(machine, false, now);
        }
        for voter in self.etcd.values_mut().filter(|voter| voter.machine == machine) {
            voter.alive = false;
        }
    }

    /// Whether a machine does all that it is there for.
    pub(crate) fn is_healthy(&self, machine: &str) -> bool {
        let on = self.iron.get(machine).is_some_and(|iron| iron.on);
        let mut voters = self.etcd.values().filter(|voter| voter.machine == machine);
        on && self.nodes.get(machine).is_some_and(|node| node.ready) && voters.all(|voter| voter.alive)
    }
}
