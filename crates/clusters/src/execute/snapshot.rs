//! What decisions look at.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::Arc;

use futures::future::BoxFuture;
use jiff::Timestamp;
use kube::ResourceExt;
use node_config::Profile;
use resources::Mac;
use resources::cluster_api::{Machine, MachineAddress};
use resources::gantry::{
    ControlPlane, Founder, Image, PlanClass, ProviderMachine, Server, ServerStatus, SessionPhase,
};

use super::new_cluster::{Failure, NodeView, SystemView};
use crate::plan::{Desired, Founding, Members};

/// Settings of the coordinator.
#[derive(Debug, Clone)]
pub struct Options {
    /// Classes of plans that approve themselves.
    pub self_approved: Vec<PlanClass>,
    /// Profile of clusters that do not name one.
    pub profile: Profile,
    /// Minutes of a bootstrap token.
    pub token_minutes: u32,
    /// Where the appliance answers machines; clusters that name another address are refused. None: not known.
    pub appliance: Option<Ipv4Addr>,
    /// Asks the network of the machines before a cluster is created. None: there is no such network.
    pub probe: Option<Arc<dyn AddressProbe>>,
}

/// Asks the network of the machines who has an address.
pub trait AddressProbe: std::fmt::Debug + Send + Sync {
    /// MAC address of the host that answers for `address`; `None` when nobody does.
    fn holder(&self, address: Ipv4Addr) -> BoxFuture<'_, Result<Option<Mac>, Failure>>;
}

impl Default for Options {
    fn default() -> Self {
        Self {
            self_approved: vec![PlanClass::Create, PlanClass::Scale, PlanClass::Delete],
            profile: Profile::Standard,
            token_minutes: 10,
            appliance: None,
            probe: None,
        }
    }
}

/// A bootstrap Secret, without what is in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BootstrapSeen {
    /// Token in the new cluster.
    pub(crate) token_id: Option<String>,
    /// When that token ends.
    pub(crate) expires: Option<Timestamp>,
    /// When the installation that it was made for asked for it.
    pub(crate) requested_at: Option<Timestamp>,
    /// Whether it holds data; the value is dropped once the node has it.
    pub(crate) filled: bool,
}

/// The new cluster's API.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum ApiSeen {
    /// No node was ever given its data: there is nothing to ask.
    NotYet,
    /// Asked, no answer.
    Silent(String),
    /// Answers.
    Answers {
        /// Nodes.
        nodes: Vec<NodeView>,
        /// What runs in it.
        system: SystemView,
    },
}

/// One look at a cluster.
#[derive(Debug)]
pub(crate) struct Snapshot {
    /// What is wanted; `None` when the cluster is being deleted and its documents are gone already.
    pub(crate) desired: Option<Desired>,
    /// Whether all authorities are there.
    pub(crate) pki: bool,
    /// Whether the kubeconfig is there.
    pub(crate) kubeconfig: bool,
    /// Whether Cluster API's Cluster and the ControlPlane are there.
    pub(crate) parents: bool,
    /// The ControlPlane: what is decided once for the cluster.
    pub(crate) control_plane: Option<ControlPlane>,
    /// Images by URL.
    pub(crate) images: BTreeMap<String, Image>,
    /// Machines by name.
    pub(crate) machines: BTreeMap<String, Machine>,
    /// ProviderMachines by name.
    pub(crate) provider_machines: BTreeMap<String, ProviderMachine>,
    /// Bootstrap Secrets by machine.
    pub(crate) bootstrap: BTreeMap<String, BootstrapSeen>,
    /// Servers by name.
    pub(crate) servers: BTreeMap<String, Server>,
    /// The new cluster.
    pub(crate) api: ApiSeen,
    /// What else of the cluster there is: Secrets and such, by kind and name.
    pub(crate) leftovers: Vec<(Leftover, String)>,
}

/// Kinds of things that go with a cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Leftover {
    /// PKI, kubeconfig and bootstrap data.
    Secret,
    /// Cluster API's Cluster.
    ClusterApi,
    /// ControlPlane.
    ControlPlane,
    /// Plans but the one that is carried out.
    Plan,
}

impl Snapshot {
    /// An address of a machine by type.
    pub(crate) fn address(&self, machine: &str, kind: &str) -> Option<&str> {
        let status = self.provider_machines.get(machine)?.status.as_ref()?;
        let wanted = |address: &&MachineAddress| address.kind == kind;
        status
            .addresses
            .iter()
            .find(wanted)
            .map(|address| address.address.as_str())
    }

    /// The node of a machine.
    pub(crate) fn node(&self, machine: &str) -> Option<&NodeView> {
        let ApiSeen::Answers { nodes, .. } = &self.api else {
            return None;
        };
        let name = self.address(machine, "Hostname")?;
        nodes.iter().find(|node| node.name == name)
    }

    /// What is known of the server of a machine.
    fn server(&self, machine: &str) -> Option<&ServerStatus> {
        let status = self.provider_machines.get(machine)?.status.as_ref()?;
        let server = self.servers.get(status.host.as_ref()?)?;
        server.status.as_ref()
    }

    /// Until when the machine may be powered on, while it is armed and has not been: that may be a person's work.
    pub(crate) fn power_on_until(&self, machine: &str) -> Option<Timestamp> {
        let session = self.server(machine)?.boot_session.as_ref()?;
        let waits = session.phase == SessionPhase::Armed && session.started_at.is_none();
        waits.then_some(session.deadline.0)
    }

    /// Whether the installed system has said that it is done with its first boot.
    pub(crate) fn first_boot_done(&self, machine: &str) -> bool {
        let server = self.server(machine);
        let first_boot = server.and_then(|server| server.first_boot.as_ref());
        first_boot.is_some_and(|first_boot| first_boot.revoked_at.is_some())
    }

    /// When the installed system of a machine asked for its bootstrap data.
    pub(crate) fn requested_at(&self, machine: &str) -> Option<Timestamp> {
        let status = self.provider_machines.get(machine)?.status.as_ref()?;
        Some(status.bootstrap_requested_at.as_ref()?.0)
    }

    /// The installation that was given `kubeadm init`.
    pub(crate) fn founder(&self) -> Option<&Founder> {
        self.control_plane.as_ref()?.spec.initialized_by.as_ref()
    }

    /// Whether machines are, or were, made from the cluster's documents. Before that everything may still change.
    pub(crate) fn is_made(&self) -> bool {
        self.founder().is_some() || !self.existing().is_empty()
    }

    /// How far the cluster's first member is. `initialized` tells whether the cluster's API has ever answered.
    pub(crate) fn founding(&self, initialized: bool) -> Founding {
        match self.founder() {
            None if !initialized => Founding::NotYet,
            Some(founder)
                if !initialized && self.requested_at(&founder.machine) == Some(founder.requested_at.0) =>
            {
                Founding::UnderWay
            }
            _ => Founding::Done,
        }
    }

    /// The machines that there are, and which of them have joined.
    pub(crate) fn members(&self) -> Members {
        let joined = |name: &&String| {
            let machine = self.machines.get(*name);
            let known = machine.is_some_and(|machine| machine.spec.provider_id.is_some());
            // A member of the control plane whose server is gone is not installed anew without a decision: the disk may
            // hold the only copy of etcd.
            known && (self.provider_machines.contains_key(*name) || self.is_control_plane(name))
        };
        let existing = self.existing();
        Members {
            joined: existing.iter().filter(joined).cloned().collect(),
            existing,
        }
    }

    /// Names of the machines that there are, in any of the two kinds.
    pub(crate) fn existing(&self) -> Vec<String> {
        let mut names: Vec<String> = self
            .machines
            .keys()
            .chain(self.provider_machines.keys())
            .cloned()
            .collect();
        names.sort();
        names.dedup();
        names
    }

    /// Whether a machine is one of the control plane.
    pub(crate) fn is_control_plane(&self, machine: &str) -> bool {
        let labelled =
            |labels: &BTreeMap<String, String>| labels.contains_key(resources::keys::CONTROL_PLANE);
        self.machines
            .get(machine)
            .is_some_and(|machine| labelled(machine.labels()))
            || self
                .provider_machines
                .get(machine)
                .is_some_and(|machine| labelled(machine.labels()))
    }
}
