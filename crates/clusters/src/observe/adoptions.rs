//! Nodes of a cluster that become machines of it (`gantry adopt machine`), as after a restore of a backup that does not know
//! them: what comes next for each. Pure.
//!
//! What the cluster says of the node goes to the driver with a ProviderMachine, the candidate. The driver compares it with what it
//! knows of the host and takes it, or refuses. The Machine comes after that, so that nothing counts a node as a machine, or makes
//! or takes away another one for it, before its host is safe.

use std::collections::BTreeSet;
use std::sync::Arc;

use kube::ResourceExt as _;
use resources::gantry::{AdoptedNode, Adoption, MachineRole, ProviderMachine, ProviderMachinePhase};

use super::node_view::NodeView;
use super::seen::runs_etcd;
use super::snapshot::{ApiSeen, Snapshot};
use crate::plan::{CONTROL_PLANE_NODE, Pool, adopted_name};

/// Revision of a machine of which nobody knows what is installed on it: another one than any that is wanted.
const UNKNOWN_REVISION: &str = "adopted";

/// What comes next for a node.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum AdoptionStep {
    /// It is a machine of the cluster.
    Done,
    /// It is not to become one, for this reason.
    Refuse(String),
    /// It waits for this.
    Wait(String),
    /// Its candidate is made.
    Begin(Box<Candidate>),
    /// Its host was taken: the Machine of this name is made.
    Join {
        /// Name.
        name: String,
        /// Version of Kubernetes of the node.
        version: Option<String>,
    },
}

/// A node that may become a machine.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Candidate {
    /// Name of the machine.
    pub(crate) name: String,
    /// Its id.
    pub(crate) uid: String,
    /// Name of its pool.
    pub(crate) pool: String,
    /// What is installed on it, as far as that is known.
    pub(crate) revision: String,
    /// What the cluster says of the node.
    pub(crate) node: AdoptedNode,
}

impl Snapshot {
    /// Names of the machines that there are. A node that is being adopted is none before its host was taken.
    pub(crate) fn existing(&self) -> BTreeSet<&String> {
        let mut all = self.with_candidates();
        all.retain(|name| !self.is_candidate(name));
        all
    }

    /// The same with nodes that are being adopted.
    pub(crate) fn with_candidates(&self) -> BTreeSet<&String> {
        self.machines
            .keys()
            .chain(self.provider_machines.keys())
            .collect()
    }

    /// Whether a machine is a node that is being adopted: it has no Machine before its driver has taken the host.
    pub(crate) fn is_candidate(&self, machine: &str) -> bool {
        let provider = self.provider_machines.get(machine);
        provider.is_some_and(|provider| provider.spec.adopts.is_some())
            && !self.machines.contains_key(machine)
    }

    /// Nodes that are being adopted, and the ProviderMachines that stand for them.
    pub(crate) fn candidates(&self) -> impl Iterator<Item = (&AdoptedNode, &Arc<ProviderMachine>)> {
        let candidates = self
            .provider_machines
            .iter()
            .filter(|(name, _)| self.is_candidate(name));
        candidates.filter_map(|(_, provider)| Some((provider.spec.adopts.as_ref()?, provider)))
    }

    /// The wishes, by node.
    fn adoptions(&self) -> impl Iterator<Item = (&String, &Adoption)> {
        let control_plane = self.control_plane.iter();
        control_plane.flat_map(|known| &known.spec.adoptions)
    }

    /// What comes next for each node that is to become a machine and was not refused.
    pub(crate) fn adoption_steps(&self) -> impl Iterator<Item = (&String, AdoptionStep)> {
        let open = self.adoptions().filter(|(_, wish)| wish.refused.is_none());
        open.map(|(node, wish)| (node, self.adoption(node, wish)))
    }

    /// What nodes that are to become machines wait for, by node.
    pub(crate) fn adoption_waits(&self) -> impl Iterator<Item = (String, String)> {
        self.adoption_steps().filter_map(|(node, step)| match step {
            AdoptionStep::Wait(reason) => Some((node.clone(), reason)),
            _ => None,
        })
    }

    /// The first of them, for people.
    pub(crate) fn adoption_wait(&self) -> Option<String> {
        let (node, reason) = self.adoption_waits().next()?;
        Some(format!("node {node} is being adopted: {reason}"))
    }

    /// A candidate that its driver has refused, once that is written down or nobody wishes it any more.
    pub(crate) fn refused_candidate(&self) -> Option<String> {
        let is_open = |node: &AdoptedNode| {
            self.adoptions()
                .any(|(name, wish)| *name == node.node && wish.refused.is_none())
        };
        let mut refused = self.candidates().filter(|(node, provider)| {
            has_failed(provider) && provider.metadata.deletion_timestamp.is_none() && !is_open(node)
        });
        refused.next().map(|(_, provider)| provider.name_any())
    }

    fn adoption(&self, name: &str, wish: &Adoption) -> AdoptionStep {
        if let Some((node, provider)) = self.candidates().find(|(node, _)| node.node == name) {
            return self.go_on(node, provider);
        }
        if let Some(machine) = self.machine_of_node(name) {
            return match self.has_joined(machine) {
                true => AdoptionStep::Done,
                false => AdoptionStep::Refuse(format!(
                    "machine {machine} is being made on the host of node {name}"
                )),
            };
        }
        match self.begin(name, wish) {
            Ok(candidate) => AdoptionStep::Begin(Box::new(candidate)),
            Err(step) => step,
        }
    }

    fn go_on(&self, node: &AdoptedNode, provider: &ProviderMachine) -> AdoptionStep {
        let status = provider.status.clone().unwrap_or_default();
        let said = |otherwise: &str| status.reason.clone().unwrap_or_else(|| otherwise.to_owned());
        if provider.metadata.deletion_timestamp.is_some() {
            return AdoptionStep::Wait(format!("{} is being given back", provider.name_any()));
        }
        if has_failed(provider) {
            return AdoptionStep::Refuse(said("its driver has refused it"));
        }
        if status.phase != ProviderMachinePhase::Running || status.host.is_none() {
            return AdoptionStep::Wait(said("its driver looks for its host"));
        }
        let ApiSeen::Answers { nodes, .. } = &self.api else {
            return AdoptionStep::Wait("the cluster's API does not answer".to_owned());
        };
        let seen = nodes.of_provider(&node.provider_id);
        AdoptionStep::Join {
            name: provider.name_any(),
            version: seen.and_then(|seen| seen.kubelet_version.clone()),
        }
    }

    fn begin(&self, name: &str, wish: &Adoption) -> Result<Candidate, AdoptionStep> {
        let refuse = |why: String| Err(AdoptionStep::Refuse(why));
        let wait = |why: &str| Err(AdoptionStep::Wait(why.to_owned()));
        if self.saved().is_some() {
            return wait("the control plane starts anew with saved data");
        }
        let nodes = match &self.api {
            ApiSeen::Answers { nodes, .. } => nodes,
            ApiSeen::Silent(why) => return wait(&format!("the cluster's API does not answer ({why})")),
            ApiSeen::NotYet => return wait("no machine of the control plane is known that could answer"),
        };
        let Some(node) = nodes.named(name) else {
            let others = nodes
                .iter()
                .map(|node| node.name.as_str())
                .filter(|node| self.machine_of_node(node).is_none());
            let others: Vec<&str> = others.collect();
            let others = match others.is_empty() {
                true => "each of its nodes is a machine here".to_owned(),
                false => format!("nodes that are no machines here: {}", others.join(", ")),
            };
            return refuse(format!("the cluster has no node {name}; {others}"));
        };
        let (Some(provider_id), Some(address)) = (&node.provider_id, &node.address) else {
            return refuse(format!(
                "node {name} has no {}, so that its host can't be told",
                if node.provider_id.is_none() {
                    "spec.providerID"
                } else {
                    "address of type InternalIP"
                }
            ));
        };
        let Some(is_member) = runs_etcd(self, address) else {
            return wait("etcd does not say who its members are");
        };
        let pool = self.pool_for(node, wish, is_member)?;
        let (Some(uid), known) = (self.cluster_uid(), self.wanted.as_ref()) else {
            return wait("the cluster has no id yet");
        };
        let cluster = known.map_or(self.cluster.as_str(), |wanted| wanted.name.as_str());
        let (machine, machine_uid) = adopted_name((cluster, uid), &pool.name, provider_id, node.created);
        let is_current = node.kubelet_version.as_ref() == Some(&pool.version);
        Ok(Candidate {
            name: machine,
            uid: machine_uid,
            pool: pool.name.clone(),
            revision: if is_current {
                pool.revision.clone()
            } else {
                UNKNOWN_REVISION.to_owned()
            },
            node: AdoptedNode {
                node: name.to_owned(),
                provider_id: provider_id.clone(),
                address: address.clone(),
                system_uuid: node.system_uuid.clone(),
            },
        })
    }

    /// The pool that a node becomes part of.
    fn pool_for(&self, node: &NodeView, wish: &Adoption, is_member: bool) -> Result<&Pool, AdoptionStep> {
        let name = &node.name;
        let refuse = |why: String| Err(AdoptionStep::Refuse(why));
        let Some(wanted) = &self.wanted else {
            return refuse("the cluster is being deleted".to_owned());
        };
        if node.labels.contains_key(CONTROL_PLANE_NODE) && !is_member {
            return refuse(format!(
                "node {name} is one of the control plane by its labels, and no member of etcd has its address"
            ));
        }
        let role = if is_member {
            MachineRole::ControlPlane
        } else {
            MachineRole::Worker
        };
        let of_role = || wanted.pools.iter().filter(|pool| pool.role == role);
        let names: Vec<&str> = of_role().map(|pool| pool.name.as_str()).collect();
        let what = if is_member {
            "a member of etcd"
        } else {
            "no member of etcd"
        };
        match (&wish.pool, names.as_slice()) {
            (Some(group), _) => of_role().find(|pool| pool.name == *group).map_or_else(
                || {
                    refuse(format!(
                        "node {name} is {what}, so that it can't be a machine of {group}, but of: {}",
                        names.join(", ")
                    ))
                },
                Ok,
            ),
            (None, [_]) => of_role()
                .next()
                .map_or_else(|| refuse("the cluster has no worker groups".to_owned()), Ok),
            (None, []) => refuse("the cluster has no worker groups".to_owned()),
            (None, _) => refuse(format!(
                "the cluster has several worker groups; say which one with --group: {}",
                names.join(", ")
            )),
        }
    }

    /// The machine whose node, or host, this is.
    fn machine_of_node(&self, node: &str) -> Option<&String> {
        let is_its = |machine: &&String| {
            let own = self.own_node(machine).map(|own| own.name.as_str());
            own == Some(node) || self.address(machine, "Hostname") == Some(node)
        };
        self.existing().into_iter().find(is_its)
    }
}

fn has_failed(provider: &ProviderMachine) -> bool {
    let status = provider.status.as_ref();
    status.is_some_and(|status| status.phase == ProviderMachinePhase::Failed)
}
