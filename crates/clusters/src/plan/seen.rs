//! What the planner looks at: the machines of a cluster, its etcd and its API, as they were observed.

use std::collections::{BTreeMap, BTreeSet};

use cluster_spec::is_older;
use jiff::Timestamp;
use resources::gantry::MachineRole;

use super::certificate_state::CertificateState;
use super::wanted::{Pool, Wanted};

/// One observation of a cluster.
#[derive(Debug, Clone, PartialEq)]
pub struct Seen {
    /// How far its first member is.
    pub founding: Founding,
    /// The machine that was given `kubeadm init`.
    pub founder: Option<String>,
    /// Whether its authorities and the objects above its machines are there.
    pub pki: bool,
    /// Whether its network is installed.
    pub network: bool,
    /// Whether its kubeconfig is there and DNS and kube-proxy run.
    pub finished: bool,
    /// Its machines.
    pub members: Vec<Member>,
    /// Its API.
    pub api: ApiState,
    /// Members of its etcd.
    pub etcd: EtcdState,
    /// Number of a plan that has changed the cluster and is not known here: the records are older than reality, as after a
    /// restore.
    pub unknown_plan: Option<u32>,
    /// Free hosts by pool. A pool of which nobody knows is absent: that is not the same as none.
    pub free: BTreeMap<String, FreeHosts>,
    /// How many nodes of the cluster are becoming machines of each pool (`gantry adopt machine`): no others are made for them.
    pub adopting: BTreeMap<String, usize>,
    /// Names of machines that were used already and must not be given again.
    pub used: BTreeSet<String>,
    /// Revision of the control plane whose version and settings machines that join it read; `None` before the first rollout.
    pub joins_with: Option<String>,
    /// The data of etcd while the only member of the control plane is installed anew.
    pub saved: Option<SavedData>,
    /// DNS, kube-proxy or the CNI have other images than the cluster's Releases.
    pub addons_behind: bool,
    /// Nodes of the worker groups that are behind the control plane would have no pods of kube-proxy and the CNI.
    pub older_unserved: bool,
    /// The certificates of its control plane.
    pub certificates: CertificateState,
    /// What a person has tested between two machines of a rollout.
    pub gates: Gates,
}

/// The upgrade gates of a cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Gates {
    /// There are none.
    #[default]
    None,
    /// There are some.
    Named,
    /// There are some, and one of them can't be run; why.
    Unusable(String),
}

/// How far the upgrade gates are after a machine has joined.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GateState {
    /// They have succeeded, or the machine was not made for a rollout.
    NotNeeded,
    /// They have not ended.
    Pending,
    /// One has failed, and why.
    Failed(String),
}

/// Hosts that machines of a pool could have now.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FreeHosts {
    /// How many.
    pub count: usize,
    /// How many of them are counted in other pools too.
    pub shared: usize,
    /// These pools.
    pub with: BTreeSet<String>,
}

/// The data of etcd on their way from one installation of the only member to the next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SavedData {
    /// The machine whose etcd it is; empty when a person wants the cluster to start with an older snapshot.
    pub machine: String,
    /// The machines of the control plane that do not come back after that.
    pub given_up: BTreeSet<String>,
    /// Whether they are saved. Until then they are on that machine alone.
    pub is_whole: bool,
    /// Whether that etcd answers and refuses to serve them.
    pub is_stopped: bool,
}

/// How far the first member of a cluster is. It follows from specs, not from the plans there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Founding {
    /// No machine that is there was given `kubeadm init`.
    NotYet,
    /// The machine that was given it is there, and the cluster's API has not answered yet.
    UnderWay,
    /// The API has answered: the cluster exists, and is not started a second time whatever becomes of its first member.
    Done,
}

/// The API of a cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ApiState {
    /// No machine was ever given what makes it answer.
    NotYet,
    /// It was asked and did not answer.
    Silent,
    /// It answers.
    Answers,
}

/// A machine of a cluster.
#[derive(Debug, Clone, PartialEq)]
pub struct Member {
    /// Name of its Machine and ProviderMachine.
    pub name: String,
    /// Pool that it belongs to; empty when nothing says so any more.
    pub pool: String,
    /// Its role.
    pub role: MachineRole,
    /// Digest of what is installed on it; empty when nothing says so any more.
    pub revision: String,
    /// Version of Kubernetes that it was made with, such as `v1.35.4`; empty when nothing says so any more.
    pub version: String,
    /// How far it is.
    pub stage: Stage,
    /// Whether a host was found for it.
    pub has_host: bool,
    /// Why it was given up by its driver or by the coordinator.
    pub failure: Option<String>,
    /// Its node.
    pub node: NodeState,
    /// Since when it is no healthy voting member of etcd, which it should be.
    pub etcd_down: Option<Timestamp>,
    /// Whether it may become a member of etcd at any moment: it was given what makes it one a short while ago, and has not
    /// said that it is done.
    pub joining: bool,
    /// What its driver says when giving it back takes too long.
    pub overdue: Option<String>,
    /// A person wants it replaced: its Machine was deleted.
    pub unwanted: bool,
    /// It was a node before it was a machine here (`gantry adopt machine`): it is not taken away without a person's approval.
    pub adopted: bool,
    /// It is to be the first of its pool to go (annotation `cluster.x-k8s.io/delete-machine`).
    pub first_out: bool,
    /// How many failed machines it follows.
    pub replacement: u32,
    /// A person wants a failed machine to be replaced once more.
    pub retry: bool,
    /// The upgrade gates after it has joined.
    pub gate: GateState,
    /// When it was made.
    pub created: Timestamp,
}

/// How far a machine is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Its system is not installed yet.
    Installing,
    /// Its system runs and asks for its bootstrap data, or works on it.
    Asks,
    /// It has become a node of its cluster.
    Joined,
    /// It is being given back.
    Leaving,
}

/// The node of a machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodeState {
    /// Nobody who knows could be asked, the machine has none yet, or one that is starting.
    Unknown,
    /// Ready.
    Ready,
    /// There is a node that is not Ready, or there is none any more, since then.
    Down {
        /// Since when.
        since: Timestamp,
    },
}

/// What is known of etcd.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EtcdState {
    /// It was not asked, or did not answer.
    Unknown,
    /// Its members.
    Members(Vec<EtcdMember>),
}

/// A member of etcd.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EtcdMember {
    /// Its id.
    pub id: u64,
    /// Name: that of its node. A member that has not started has none.
    pub name: String,
    /// The machine that it runs on, where that is one of the cluster's.
    pub machine: Option<String>,
    /// Whether it votes; a learner does not.
    pub voting: bool,
    /// Whether it answered and is up to date.
    pub healthy: bool,
}

impl EtcdMember {
    /// Its machine, else its name, else its id in hexadecimal digits, as `etcdctl` writes it.
    #[must_use]
    pub fn subject(&self) -> String {
        match (&self.machine, self.name.is_empty()) {
            (Some(machine), _) => machine.clone(),
            (None, false) => self.name.clone(),
            (None, true) => format!("{:x}", self.id),
        }
    }
}

impl Member {
    /// Whether it is gone or about to go.
    pub(crate) fn is_leaving(&self) -> bool {
        self.stage == Stage::Leaving
    }

    /// Whether it has joined the cluster.
    pub(crate) fn has_joined(&self) -> bool {
        self.stage == Stage::Joined
    }

    /// Its pool. A cluster has one control plane, so its members are known by their role.
    pub(crate) fn pool_in<'a>(&self, wanted: &'a Wanted) -> Option<&'a Pool> {
        let is_of = |pool: &&Pool| {
            pool.role == self.role && (pool.role == MachineRole::ControlPlane || pool.name == self.pool)
        };
        wanted.pools.iter().find(is_of)
    }

    /// Whether something else is installed on it than on new machines of its pool.
    pub(crate) fn is_outdated(&self, pool: &Pool) -> bool {
        !self.revision.is_empty() && self.revision != pool.revision
    }
}

impl Seen {
    /// The saved data that a plan goes on with. Nothing is when etcd has got other members before it was stopped: that is taken
    /// back, and they come first.
    pub(crate) fn saved(&self) -> Option<&SavedData> {
        let has_others = matches!(&self.etcd, EtcdState::Members(members) if members.len() > 1);
        let saved = self.saved.as_ref()?;
        let is_open = !saved.is_whole && !saved.is_stopped && !saved.machine.is_empty();
        (!(is_open && has_others)).then_some(saved)
    }

    /// The members of a pool. A cluster has one control plane, so its members are known by their role, even those whose
    /// pool is lost.
    pub(crate) fn of_pool<'a>(&'a self, pool: &'a Pool) -> impl Iterator<Item = &'a Member> {
        let is_of = move |member: &&Member| {
            let control_plane = pool.role == MachineRole::ControlPlane;
            member.role == pool.role && (control_plane || member.pool == pool.name)
        };
        self.members.iter().filter(is_of)
    }

    /// The same in one order, whatever the order in which it was observed.
    pub(crate) fn in_order(&self) -> Self {
        let mut seen = self.clone();
        seen.members.sort_by(|one, other| one.name.cmp(&other.name));
        if let EtcdState::Members(members) = &mut seen.etcd {
            members.sort_by_key(|member| member.id);
        }
        seen
    }

    /// Whether nothing can be known of a cluster that exists: what is recorded of it may be older than it is.
    pub(crate) fn is_out_of_sight(&self) -> bool {
        self.founding == Founding::Done && self.api != ApiState::Answers
    }

    /// The first member of the control plane with another version of Kubernetes than is wanted: a node must not be newer than
    /// the API servers.
    pub(crate) fn behind<'a>(&'a self, wanted: &Wanted) -> Option<&'a Member> {
        let is_behind = |member: &&Member| {
            let counts = member.role == MachineRole::ControlPlane && !member.is_leaving();
            counts && !member.version.is_empty() && member.version != wanted.version
        };
        self.members.iter().find(is_behind)
    }

    /// The first member of the control plane that a new node of this pool would be newer than.
    pub(crate) fn older_than<'a>(&'a self, wanted: &Wanted, pool: &Pool) -> Option<&'a Member> {
        if pool.version == wanted.version {
            return self.behind(wanted);
        }
        let is_older = |member: &&Member| {
            let counts = member.role == MachineRole::ControlPlane && !member.is_leaving();
            counts && !member.version.is_empty() && is_older(&member.version, &pool.version)
        };
        self.members.iter().find(is_older)
    }

    /// A nothing: the observation before the first plan.
    #[must_use]
    pub fn nothing() -> Self {
        Self {
            founding: Founding::NotYet,
            founder: None,
            pki: false,
            network: false,
            finished: false,
            members: Vec::new(),
            api: ApiState::NotYet,
            etcd: EtcdState::Unknown,
            unknown_plan: None,
            free: BTreeMap::new(),
            adopting: BTreeMap::new(),
            used: BTreeSet::new(),
            joins_with: None,
            saved: None,
            addons_behind: false,
            older_unserved: false,
            certificates: CertificateState::default(),
            gates: Gates::None,
        }
    }
}
