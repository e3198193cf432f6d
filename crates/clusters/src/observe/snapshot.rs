//! One look at a cluster: everything that its plan and the steps of it are decided from.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use etcd::EtcdView;
use kube::ResourceExt;
use resources::cluster_api::{
    Cluster as CapiCluster, Machine, MachineAddress, MachineDeployment, MachineSet,
};
use resources::gantry::{
    ControlPlane, EtcdSnapshot, Founder, Image, MachineRole, Plan, PlanApproval, ProviderCluster,
    ProviderMachine, ProviderMachineStatus, SavedEtcd,
};
use resources::keys;

use super::certificates::CertificatesSeen;
use super::gates_view::GatesSeen;
use super::node_view::NodeView;
use super::nodes::Nodes;
use super::secret_views::{BootstrapSeen, KubeconfigSeen};
use super::views::Views;
use super::workload::{RenewalPod, SystemView};
use crate::plan::{Founding, Wanted, image_name};
use crate::secrets::{self, bootstrap_machine, kubeconfig_secret};

/// Who approves a plan whose class approves itself.
pub(crate) const BY_POLICY: &str = "policy";

/// The cluster's API.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum ApiSeen {
    /// No machine of the control plane has asked for its data: there is nothing to ask.
    NotYet,
    /// Asked, no answer.
    Silent(String),
    /// It answers.
    Answers {
        /// Nodes.
        nodes: Nodes,
        /// What runs in it.
        system: Box<SystemView>,
    },
}

/// The cluster's etcd.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum EtcdSeen {
    /// Nobody was asked.
    NotAsked,
    /// Asked, no answer that a quorum agrees on.
    Silent(String),
    /// Its members.
    Members(EtcdView),
}

/// Kinds of things that go with a cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Leftover {
    /// PKI, kubeconfig and bootstrap data.
    Secret,
    /// MachineSet.
    MachineSet,
    /// MachineDeployment.
    MachineDeployment,
    /// Cluster API's Cluster.
    ClusterApi,
    /// ProviderCluster.
    Provider,
    /// Plan that is not carried out.
    Plan,
    /// Word of a person about one.
    Approval,
    /// ControlPlane.
    ControlPlane,
}

/// One look at a cluster.
#[derive(Debug)]
pub(crate) struct Snapshot {
    /// Name of the cluster.
    pub(crate) cluster: String,
    /// What is wanted; `None` while the cluster is being deleted.
    pub(crate) wanted: Option<Wanted>,
    /// What is decided once for the cluster.
    pub(crate) control_plane: Option<Arc<ControlPlane>>,
    /// Cluster API's Cluster.
    pub(crate) capi: Option<Arc<CapiCluster>>,
    /// What the provider says.
    pub(crate) provider_cluster: Option<Arc<ProviderCluster>>,
    /// Machines by name.
    pub(crate) machines: BTreeMap<String, Arc<Machine>>,
    /// MachineSets by name.
    pub(crate) sets: BTreeMap<String, Arc<MachineSet>>,
    /// MachineDeployments by name.
    pub(crate) deployments: BTreeMap<String, Arc<MachineDeployment>>,
    /// ProviderMachines by name.
    pub(crate) provider_machines: BTreeMap<String, Arc<ProviderMachine>>,
    /// Plans by number.
    pub(crate) plans: BTreeMap<u32, Arc<Plan>>,
    /// Approvals of plans.
    pub(crate) approvals: Vec<Arc<PlanApproval>>,
    /// Names of the cluster's Secrets.
    pub(crate) secrets: BTreeSet<String>,
    /// Bootstrap Secrets by machine.
    pub(crate) bootstrap: BTreeMap<String, BootstrapSeen>,
    /// Images of the wanted pools by URL.
    pub(crate) images: BTreeMap<String, Arc<Image>>,
    /// The cluster's API.
    pub(crate) api: ApiSeen,
    /// Its etcd.
    pub(crate) etcd: EtcdSeen,
    /// Certificates that the members of the control plane show, by machine.
    pub(crate) certificates: BTreeMap<String, CertificatesSeen>,
    /// Pods that renew certificates; `None` where they were not asked for.
    pub(crate) renewals: Option<Vec<RenewalPod>>,
    /// What the kubeconfig's Secret says of it.
    pub(crate) kubeconfig: Option<KubeconfigSeen>,
    /// Upgrade gates.
    pub(crate) gates: GatesSeen,
}

impl Snapshot {
    /// Reads everything but the cluster itself and its images.
    pub(crate) fn read(views: &Views, namespace: &str, cluster: &str) -> Self {
        let secrets = views.secrets.of_cluster(namespace, cluster);
        let bootstrap = secrets
            .iter()
            .filter_map(|(name, secret)| {
                Some((bootstrap_machine(name)?.to_owned(), BootstrapSeen::of(secret)))
            })
            .collect();
        let is_of = |labels: &BTreeMap<String, String>| {
            labels.get(keys::CLUSTER_NAME).is_some_and(|of| of == cluster)
        };
        let plans = views.plans.of_cluster(namespace, cluster).into_values();
        let kubeconfig = secrets.get(&kubeconfig_secret(cluster));
        let kubeconfig = kubeconfig.map(|secret| KubeconfigSeen::of(secret));
        Self {
            cluster: cluster.to_owned(),
            wanted: None,
            control_plane: views
                .control_planes
                .get(namespace, cluster)
                .filter(|found| is_of(found.labels())),
            capi: views
                .capi_clusters
                .get(namespace, cluster)
                .filter(|found| is_of(found.labels())),
            provider_cluster: views
                .provider_clusters
                .get(namespace, cluster)
                .filter(|found| found.spec.cluster_name == cluster),
            machines: views.machines.of_cluster(namespace, cluster),
            sets: views.sets.of_cluster(namespace, cluster),
            deployments: views.deployments.of_cluster(namespace, cluster),
            provider_machines: views.provider_machines.of_cluster(namespace, cluster),
            plans: plans.map(|plan| (plan.spec.number, plan)).collect(),
            approvals: views
                .approvals
                .of_cluster(namespace, cluster)
                .into_values()
                .collect(),
            secrets: secrets.into_keys().collect(),
            bootstrap,
            images: BTreeMap::new(),
            api: ApiSeen::NotYet,
            etcd: EtcdSeen::NotAsked,
            certificates: BTreeMap::new(),
            renewals: None,
            kubeconfig,
            gates: GatesSeen::default(),
        }
    }

    /// Adds what is wanted, and the images of it.
    pub(crate) fn want(&mut self, views: &Views, namespace: &str, wanted: Wanted) {
        for pool in &wanted.pools {
            if let Some(image) = image_of(views, namespace, &self.cluster, &pool.image_url) {
                self.images.insert(pool.image_url.clone(), image);
            }
        }
        self.wanted = Some(wanted);
    }

    /// The plan that counts: the one with the highest number.
    pub(crate) fn plan(&self) -> Option<&Arc<Plan>> {
        self.plans.values().next_back()
    }

    /// Whether all authorities are there.
    pub(crate) fn has_pki(&self) -> bool {
        secrets::complete(&self.secrets, &self.cluster)
    }

    /// Whether the kubeconfig is there.
    pub(crate) fn has_kubeconfig(&self) -> bool {
        self.kubeconfig.is_some()
    }

    /// Whether Cluster API's Cluster and the ControlPlane are there.
    pub(crate) fn has_parents(&self) -> bool {
        self.capi.is_some() && self.control_plane.is_some()
    }

    /// Whether machines were made.
    pub(crate) fn is_made(&self) -> bool {
        !(self.machines.is_empty() && self.provider_machines.is_empty())
    }

    /// Role of a machine.
    pub(crate) fn role(&self, machine: &str) -> MachineRole {
        if let Some(provider) = self.provider_machines.get(machine) {
            return provider.spec.role;
        }
        let object = self.machines.get(machine);
        match object.is_some_and(|object| object.labels().contains_key(keys::CONTROL_PLANE)) {
            true => MachineRole::ControlPlane,
            false => MachineRole::Worker,
        }
    }

    /// What the driver says of a machine.
    pub(crate) fn provider_status(&self, machine: &str) -> Option<&ProviderMachineStatus> {
        self.provider_machines.get(machine)?.status.as_ref()
    }

    /// An address of a machine by type.
    pub(crate) fn address(&self, machine: &str, kind: &str) -> Option<&str> {
        let wanted = |address: &&MachineAddress| address.kind == kind;
        let found = self.provider_status(machine)?.addresses.iter().find(wanted)?;
        Some(found.address.as_str())
    }

    /// The node of a machine, by the identity of the machine, else by its host name.
    pub(crate) fn node(&self, machine: &str) -> Option<&NodeView> {
        let ApiSeen::Answers { nodes, .. } = &self.api else {
            return None;
        };
        let id = self
            .provider_status(machine)
            .and_then(|status| status.provider_id.as_ref());
        let by_id = id.and_then(|id| nodes.of_provider(id));
        by_id.or_else(|| {
            let name = match self.is_pushed(machine) {
                true => machine,
                false => self.address(machine, "Hostname")?,
            };
            nodes.named(name)
        })
    }

    /// The node of a machine, unless it says that it is another machine's.
    pub(crate) fn own_node(&self, machine: &str) -> Option<&NodeView> {
        let id = self.provider_status(machine)?.provider_id.as_ref();
        let is_own = |node: &&NodeView| node.provider_id.is_none() || node.provider_id.as_ref() == id;
        self.node(machine).filter(is_own)
    }

    /// The machine that was given `kubeadm init`.
    pub(crate) fn founder(&self) -> Option<&Founder> {
        self.control_plane.as_ref()?.spec.initialized_by.as_ref()
    }

    /// The data of etcd while the only member of the control plane is installed anew.
    pub(crate) fn saved(&self) -> Option<&SavedEtcd> {
        self.control_plane.as_ref()?.spec.saved_etcd.as_ref()
    }

    /// These data, when they are whole.
    pub(crate) fn saved_snapshot(&self) -> Option<&EtcdSnapshot> {
        self.saved()?.snapshot.as_ref()
    }

    /// Whether a person has decided that the cluster starts with an older snapshot.
    pub(crate) fn goes_back(&self) -> bool {
        self.saved().is_some_and(|saved| saved.machine.is_empty())
    }

    /// Whether a machine of the control plane does not come back after that.
    pub(crate) fn is_given_up(&self, machine: &str) -> bool {
        let saved = self.saved().and_then(|saved| saved.given_up.as_ref());
        saved.is_some_and(|given_up| given_up.iter().any(|known| known == machine))
    }

    /// Whether the data of a machine are saved, so that it must not serve them any more.
    pub(crate) fn was_saved_from(&self, machine: &str) -> bool {
        self.saved()
            .is_some_and(|saved| saved.machine == machine && saved.snapshot.is_some())
    }

    /// Whether a founder starts with the saved data.
    pub(crate) fn has_saved_data(&self, founder: &Founder) -> bool {
        let saved = self.saved_snapshot();
        let is_same = saved.is_some_and(|saved| founder.restored_from == Some(saved.sha256));
        // It may have started with the same snapshot before.
        is_same && !self.is_given_up(&founder.machine)
    }

    /// How far the first member is.
    pub(crate) fn founding(&self) -> Founding {
        let answers = matches!(self.api, ApiSeen::Answers { .. });
        let joined = self.machines.keys().any(|machine| self.has_joined(machine));
        // Other machines are of the cluster that is started anew.
        let starts_anew = self.saved_snapshot().is_some();
        match self.founder() {
            _ if answers || joined && !starts_anew => Founding::Done,
            Some(founder) if starts_anew && !self.has_saved_data(founder) => Founding::NotYet,
            None => Founding::NotYet,
            Some(founder) if founder.answered_at.is_some() => Founding::Done,
            Some(founder) if self.is_founder(&founder.machine) => Founding::UnderWay,
            // It was given back before anybody could use its cluster.
            Some(_) => Founding::NotYet,
        }
    }

    /// Whether the cluster exists: its API has answered once. It does while its control plane starts anew with saved data.
    pub(crate) fn exists(&self) -> bool {
        self.founding() == Founding::Done || self.saved().is_some()
    }

    /// The number of the plan that has changed the cluster last, where that is a later one than any that is known here. A
    /// plan that was made without knowing of it does not count, unless a person has approved it.
    pub(crate) fn unknown_plan(&self) -> Option<u32> {
        let ApiSeen::Answers { system, .. } = &self.api else {
            return None;
        };
        let counts = |plan: &&Arc<Plan>| {
            let by = plan
                .status
                .as_ref()
                .and_then(|status| status.approved_by.as_deref());
            plan.spec.unknown_plan.is_none() || by.is_some_and(|by| by != BY_POLICY)
        };
        let newest = self
            .plans
            .values()
            .filter(counts)
            .map(|plan| plan.spec.number)
            .max();
        system.last_plan.filter(|last| *last > newest.unwrap_or(0))
    }

    /// Whether a later plan than any that is known here has changed the cluster.
    pub(crate) fn is_ahead(&self) -> bool {
        self.unknown_plan().is_some()
    }

    /// The number of the next plan.
    pub(crate) fn next_number(&self) -> u32 {
        let recorded = self.control_plane.as_ref().and_then(|known| known.spec.last_plan);
        let known = self.plans.keys().next_back().copied().unwrap_or(0);
        let known = known.max(recorded.unwrap_or(0));
        let inside = match &self.api {
            ApiSeen::Answers { system, .. } => system.last_plan.unwrap_or(0),
            _ => 0,
        };
        known.max(inside).saturating_add(1)
    }

    /// Id of the cluster.
    pub(crate) fn cluster_uid(&self) -> Option<&str> {
        let spec = &self.control_plane.as_ref()?.spec;
        Some(spec.cluster_uid.as_str()).filter(|uid| !uid.is_empty())
    }

    /// What is left of the cluster besides its machines and the plan that counts.
    pub(crate) fn leftovers(&self) -> Vec<(Leftover, String)> {
        let mut left: Vec<_> = self
            .secrets
            .iter()
            .map(|name| (Leftover::Secret, name.clone()))
            .collect();
        let sets = self.sets.keys();
        left.extend(sets.map(|name| (Leftover::MachineSet, name.clone())));
        let deployments = self.deployments.keys();
        left.extend(deployments.map(|name| (Leftover::MachineDeployment, name.clone())));
        left.extend(
            self.capi
                .iter()
                .map(|capi| (Leftover::ClusterApi, capi.name_any())),
        );
        let provider = self.provider_cluster.iter();
        let provider = provider.filter(|found| found.metadata.deletion_timestamp.is_none());
        left.extend(provider.map(|found| (Leftover::Provider, found.name_any())));
        let counts = self.plan().map(|plan| plan.name_any());
        let old = self.plans.values().map(|plan| plan.name_any());
        left.extend(
            old.filter(|name| Some(name) != counts.as_ref())
                .map(|name| (Leftover::Plan, name)),
        );
        left.extend(
            self.approvals
                .iter()
                .map(|word| (Leftover::Approval, word.name_any())),
        );
        let control_plane = self.control_plane.as_ref();
        left.extend(control_plane.map(|found| (Leftover::ControlPlane, found.name_any())));
        left
    }

    /// Addresses of the machines on which members of etcd run or may run.
    pub(crate) fn etcd_addresses(&self) -> Vec<std::net::IpAddr> {
        let members = self.provider_machines.iter().filter(|(_, machine)| {
            let asked = machine
                .status
                .as_ref()
                .is_some_and(|status| status.bootstrap_requested_at.is_some());
            machine.spec.role == MachineRole::ControlPlane && asked
        });
        let known = members.filter_map(|(name, _)| self.address(name, "InternalIP"));
        let mut addresses: Vec<std::net::IpAddr> = known
            .chain(self.wished_addresses())
            .filter_map(|address| address.parse().ok())
            .collect();
        addresses.sort_unstable();
        addresses.dedup();
        addresses
    }

    /// Addresses of nodes of the control plane that are to become machines.
    fn wished_addresses(&self) -> impl Iterator<Item = &str> {
        let wishes = self.control_plane.iter();
        let wishes = wishes.flat_map(|known| known.spec.adoptions.values());
        wishes.filter_map(|wish| wish.address.as_deref())
    }

    /// Whether a machine is the one that was given `kubeadm init`, and not another one of its name.
    pub(crate) fn is_founder(&self, machine: &str) -> bool {
        let uid = self
            .provider_machines
            .get(machine)
            .map(|provider| &provider.spec.machine_uid);
        self.founder()
            .is_some_and(|founder| founder.machine == machine && uid == Some(&founder.machine_uid))
    }

    /// Whether a cluster may answer: one of its machines has asked for what makes it a member of the control plane. Whether
    /// one was ever given it can't be told by what is known here, which may be older than the cluster, as after a restore.
    pub(crate) fn may_answer(&self) -> bool {
        let is_control_plane = |name: &&String| self.role(name) == MachineRole::ControlPlane;
        let asked = self.provider_machines.keys().filter(is_control_plane);
        let mut asked = asked.filter(|name| self.requested_at(name).is_some());
        self.has_pki() && (asked.next().is_some() || self.wished_addresses().next().is_some())
    }
}

/// The Image object of a URL, whatever its name, for a cluster.
pub(crate) fn image_of(views: &Views, namespace: &str, cluster: &str, url: &str) -> Option<Arc<Image>> {
    if let Some(image) = views.images.get_for(cluster, namespace, &image_name(url)) {
        return Some(image);
    }
    let images = views.images.all();
    images
        .into_iter()
        .find(|image| image.namespace().as_deref() == Some(namespace) && image.spec.url == url)
}
