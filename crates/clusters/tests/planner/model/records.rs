//! What the appliance keeps of a cluster. A backup is a copy of it.

use std::collections::{BTreeMap, BTreeSet};

use clusters::{Gates, Pool, Wanted};
use jiff::Timestamp;
use resources::Digest;
use resources::gantry::{MachineRole, Plan};

/// All of it.
#[derive(Debug, Clone)]
pub(crate) struct Records {
    pub(crate) wanted: Wanted,
    pub(crate) pki: bool,
    pub(crate) kubeconfig: bool,
    pub(crate) founder: Option<Founder>,
    pub(crate) saved: Option<Saved>,
    /// Number of the newest plan, written before it.
    pub(crate) last_plan: u32,
    pub(crate) plans: BTreeMap<u32, Plan>,
    /// Digests of the plans that a person has approved.
    pub(crate) approvals: BTreeSet<Digest>,
    /// Plan and machine that hold the disruption token.
    pub(crate) token: Option<(u32, String)>,
    pub(crate) machines: BTreeMap<String, Machine>,
    /// When a person asked for new certificates.
    pub(crate) renewal_requested_at: Option<Timestamp>,
    /// Whether upgrade gates are named, and can be run.
    pub(crate) gates: Gates,
    /// How often a person wanted the gates to be run once more.
    pub(crate) gate_retries: usize,
}

#[derive(Debug, Clone)]
pub(crate) struct Founder {
    pub(crate) machine: String,
    pub(crate) answered: bool,
    /// It starts with the saved data.
    pub(crate) restores: bool,
}

/// The data of etcd while the only member is installed anew.
#[derive(Debug, Clone)]
pub(crate) struct Saved {
    pub(crate) machine: String,
    /// The last write in them, once they are whole.
    pub(crate) last_write: Option<u64>,
}

/// A Machine, its ProviderMachine and its bootstrap Secret.
#[derive(Debug, Clone)]
pub(crate) struct Machine {
    pub(crate) pool: String,
    pub(crate) role: MachineRole,
    pub(crate) revision: String,
    pub(crate) version: String,
    pub(crate) created: Timestamp,
    pub(crate) replacement: u32,
    /// The Machine is deleted, and held by its finalizer.
    pub(crate) marked: bool,
    /// The identity of its node is noted.
    pub(crate) joined: bool,
    pub(crate) first_out: bool,
    pub(crate) node_down: Option<Timestamp>,
    pub(crate) etcd_down: Option<Timestamp>,
    /// Number of the plan that renewed its certificates last, and when.
    pub(crate) renewed: Option<(u32, Timestamp)>,
    /// It is to pass the upgrade gates.
    pub(crate) gated: bool,
    /// When its bootstrap data was made.
    pub(crate) given: Option<Timestamp>,
    /// `None` once its driver has given it back.
    pub(crate) provider: Option<Provider>,
}

/// What its driver and the coordinator say to each other.
#[derive(Debug, Clone, Default)]
pub(crate) struct Provider {
    /// When the driver was asked to give it back.
    pub(crate) deleted: Option<Timestamp>,
    pub(crate) failed: bool,
    pub(crate) given_up: bool,
    pub(crate) retry: bool,
    /// The installed system asks for its data.
    pub(crate) asks: bool,
    /// The installed system is done with its first boot.
    pub(crate) done: bool,
}

impl Machine {
    /// Whether it is of a pool. A cluster has one control plane, so its members are known by their role.
    pub(crate) fn is_of(&self, pool: &Pool) -> bool {
        pool.role == self.role && (pool.role == MachineRole::ControlPlane || pool.name == self.pool)
    }
}

impl Records {
    pub(crate) fn new(wanted: Wanted) -> Self {
        Self {
            wanted,
            pki: false,
            kubeconfig: false,
            founder: None,
            saved: None,
            last_plan: 0,
            plans: BTreeMap::new(),
            approvals: BTreeSet::new(),
            token: None,
            machines: BTreeMap::new(),
            renewal_requested_at: None,
            gates: Gates::None,
            gate_retries: 0,
        }
    }

    /// Whether the data of etcd are saved.
    pub(crate) fn is_saved(&self) -> bool {
        self.saved
            .as_ref()
            .is_some_and(|saved| saved.last_write.is_some())
    }

    /// The plan that counts.
    pub(crate) fn plan(&self) -> Option<&Plan> {
        self.plans.values().next_back()
    }

    /// The founder, while the machine is there that was given `kubeadm init`.
    pub(crate) fn living_founder(&self) -> Option<&String> {
        let founder = &self.founder.as_ref()?.machine;
        let machine = self.machines.get(founder)?;
        machine.provider.is_some().then_some(founder)
    }

    /// Whether a machine of the control plane has asked for its data, so that a cluster may answer.
    pub(crate) fn may_answer(&self) -> bool {
        let asks = |machine: &Machine| {
            machine.role == MachineRole::ControlPlane && machine.provider.as_ref().is_some_and(|one| one.asks)
        };
        self.pki && self.machines.values().any(asks)
    }
}
