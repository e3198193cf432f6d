//! The objects of one cluster, together, and its groups of machines.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use kube::ResourceExt;
use resources::anywhere::{
    Cluster, HardwareAffinityTerm, HostOsConfiguration, ObjectRef, OidcConfig, OsFamily, Taint,
    TinkerbellDatacenterConfig, TinkerbellMachineConfig, TinkerbellTemplateConfig, User,
    VSphereMachineConfig, WorkerNodeGroup,
};
use resources::gantry::{LabelExpression, LabelOperator, MachineRole, SelectorTerm};
use serde_json::Value;

use crate::cilium::CILIUM;
use crate::version::version;
use crate::virtual_site::VirtualSite;

/// One cluster with everything that it refers to. After [`crate::parse`] the references resolve and defaults are set.
#[derive(Debug, Clone, PartialEq)]
pub struct ClusterBundle {
    /// The cluster.
    pub cluster: Cluster,
    /// The site on bare metal; empty where `virtual_site` is there.
    pub datacenter: TinkerbellDatacenterConfig,
    /// Machine configurations of bare metal by name.
    pub machine_configs: BTreeMap<String, TinkerbellMachineConfig>,
    /// The user's own workflows by name.
    pub templates: BTreeMap<String, TinkerbellTemplateConfig>,
    /// OpenID Connect providers by name.
    pub oidc_configs: BTreeMap<String, OidcConfig>,
    /// The documents of a provider of virtual machines, instead of `datacenter` and `machine_configs`.
    pub virtual_site: Option<VirtualSite>,
}

/// Kind of an [`OidcConfig`].
pub const OIDC: &str = "OIDCConfig";
/// Kind of a provider that is taken and has no effect.
pub(crate) const AWS_IAM: &str = "AWSIamConfig";

/// Name of the group that the control plane is; no worker group may have it.
pub const CONTROL_PLANE_GROUP: &str = "cp";

/// Machines of one kind: the control plane or a worker group.
#[derive(Debug, Clone, PartialEq)]
pub struct Group<'a> {
    /// `cp`, or the worker group's name.
    pub name: &'a str,
    /// Role.
    pub role: MachineRole,
    /// Members.
    pub count: usize,
    /// Minor version of Kubernetes as the Cluster writes it: the group's own, else the cluster's.
    pub kubernetes_version: &'a str,
    /// What to take or make, and what to install.
    pub machines: GroupMachines<'a>,
    /// Path of the group in the Cluster.
    pub path: String,
    /// Labels of the nodes.
    pub labels: &'a BTreeMap<String, String>,
    /// Taints of the nodes; `None` means kubeadm's own.
    pub taints: Option<&'a [Taint]>,
    /// Fields of the nodes' KubeletConfiguration.
    pub kubelet_configuration: Option<&'a Value>,
}

/// What the machines of a group are.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum GroupMachines<'a> {
    /// Hardware.
    Metal(&'a TinkerbellMachineConfig),
    /// Machines of a vCenter.
    VSphere(&'a VSphereMachineConfig),
    /// Containers of a Docker daemon.
    Docker,
}

impl<'a> Group<'a> {
    /// The machine configuration of a group on bare metal.
    #[must_use]
    pub const fn metal(&self) -> Option<&'a TinkerbellMachineConfig> {
        match self.machines {
            GroupMachines::Metal(config) => Some(config),
            GroupMachines::VSphere(_) | GroupMachines::Docker => None,
        }
    }

    /// Name of the machine configuration; a Docker daemon has none.
    #[must_use]
    pub fn config_name(&self) -> Option<String> {
        match self.machines {
            GroupMachines::Metal(config) => Some(config.name_any()),
            GroupMachines::VSphere(config) => Some(config.name_any()),
            GroupMachines::Docker => None,
        }
    }

    /// Operating system, where a machine configuration names one.
    #[must_use]
    pub const fn os_family(&self) -> Option<OsFamily> {
        match self.machines {
            GroupMachines::Metal(config) => config.spec.os_family,
            GroupMachines::VSphere(config) => config.spec.os_family,
            GroupMachines::Docker => None,
        }
    }

    /// Users of the installed system.
    #[must_use]
    pub fn users(&self) -> &'a [User] {
        match self.machines {
            GroupMachines::Metal(config) => &config.spec.users,
            GroupMachines::VSphere(config) => &config.spec.users,
            GroupMachines::Docker => &[],
        }
    }

    /// Settings of the operating system.
    #[must_use]
    pub const fn host_os(&self) -> Option<&'a HostOsConfiguration> {
        match self.machines {
            GroupMachines::Metal(config) => config.spec.host_os_configuration.as_ref(),
            GroupMachines::VSphere(config) => config.spec.host_os_configuration.as_ref(),
            GroupMachines::Docker => None,
        }
    }

    /// Which hardware the machines are. Virtual machines are none.
    #[must_use]
    pub fn selector_terms(&self) -> Vec<SelectorTerm> {
        self.metal().map(selector_terms).unwrap_or_default()
    }
}

impl ClusterBundle {
    /// Names of the machine configurations that the Cluster refers to.
    pub(crate) fn referenced_machine_configs(&self) -> Vec<String> {
        let spec = &self.cluster.spec;
        let control_plane = spec.control_plane_configuration.machine_group_ref.as_ref();
        let workers = spec.worker_node_group_configurations.iter();
        let workers = workers.filter_map(|group| group.machine_group_ref.as_ref());
        names(control_plane.into_iter().chain(workers))
    }

    /// Names of the templates that the machine configurations refer to.
    pub(crate) fn referenced_templates(&self) -> Vec<String> {
        let configs = self.machine_configs.values();
        names(configs.filter_map(|config| config.spec.template_ref.as_ref()))
    }

    /// Issuer of the tokens of service accounts, where `podIamConfig` names one.
    #[must_use]
    pub fn service_account_issuer(&self) -> Option<&str> {
        let config = self.cluster.spec.pod_iam_config.as_ref()?;
        config.get("serviceAccountIssuer")?.as_str()
    }

    /// Names of the OIDCConfigs that the Cluster refers to.
    pub(crate) fn referenced_oidc_configs(&self) -> Vec<String> {
        let references = self.cluster.spec.identity_provider_refs.iter();
        names(references.filter(|reference| reference.kind == OIDC))
    }

    /// The identity provider that the Cluster refers to.
    #[must_use]
    pub fn oidc(&self) -> Option<&OidcConfig> {
        let mut references = self.cluster.spec.identity_provider_refs.iter();
        references.find_map(|reference| match reference.kind.as_str() {
            OIDC => self.oidc_configs.get(&reference.name),
            _ => None,
        })
    }

    /// Name of the cluster.
    #[must_use]
    pub fn name(&self) -> String {
        self.cluster.name_any()
    }

    /// The control plane and then the worker groups in the order of the file. A group whose machine configuration is
    /// missing is left out.
    #[must_use]
    pub fn groups(&self) -> Vec<Group<'_>> {
        let control_plane = &self.cluster.spec.control_plane_configuration;
        let mut groups = Vec::new();
        if let Some(machines) = self.machines_of(control_plane.machine_group_ref.as_ref()) {
            groups.push(Group {
                name: CONTROL_PLANE_GROUP,
                role: MachineRole::ControlPlane,
                count: usize::try_from(control_plane.count).unwrap_or(0),
                kubernetes_version: &self.cluster.spec.kubernetes_version,
                machines,
                path: "spec.controlPlaneConfiguration".to_owned(),
                labels: &control_plane.labels,
                taints: control_plane.taints.as_deref(),
                kubelet_configuration: control_plane.kubelet_configuration.as_ref(),
            });
        }
        for (at, group) in self
            .cluster
            .spec
            .worker_node_group_configurations
            .iter()
            .enumerate()
        {
            let Some(machines) = self.machines_of(group.machine_group_ref.as_ref()) else {
                continue;
            };
            groups.push(Group {
                name: group.name.as_deref().unwrap_or("md-0"),
                role: MachineRole::Worker,
                count: usize::try_from(group.count.unwrap_or(1)).unwrap_or(0),
                kubernetes_version: self.version_of(group),
                machines,
                path: format!("spec.workerNodeGroupConfigurations[{at}]"),
                labels: &group.labels,
                taints: Some(&group.taints),
                kubelet_configuration: group.kubelet_configuration.as_ref(),
            });
        }
        groups
    }

    /// Whether there is a machine configuration of this name.
    pub(crate) fn has_machine_config(&self, name: &str) -> bool {
        let virtual_site = self.virtual_site.as_ref();
        match virtual_site {
            Some(site) => site
                .vsphere()
                .is_some_and(|site| site.machine_configs.contains_key(name)),
            None => self.machine_configs.contains_key(name),
        }
    }

    /// What the machines of a group are that has this reference.
    fn machines_of(&self, reference: Option<&ObjectRef>) -> Option<GroupMachines<'_>> {
        match &self.virtual_site {
            Some(VirtualSite::Docker(_)) => Some(GroupMachines::Docker),
            Some(VirtualSite::VSphere(site)) => {
                let config = site.machine_configs.get(&reference?.name);
                config.map(GroupMachines::VSphere)
            }
            None => {
                let config = self.machine_configs.get(&reference?.name);
                config.map(GroupMachines::Metal)
            }
        }
    }

    /// The worker group as the Cluster has it; `None` for the control plane.
    #[must_use]
    pub fn worker_group(&self, group: &Group<'_>) -> Option<&WorkerNodeGroup> {
        let mut groups = self.cluster.spec.worker_node_group_configurations.iter();
        groups.find(|worker| group.role == MachineRole::Worker && worker.name.as_deref() == Some(group.name))
    }

    /// The minor version of a worker group: its own, else the cluster's.
    #[must_use]
    pub fn version_of<'a>(&'a self, group: &'a WorkerNodeGroup) -> &'a str {
        let own = group.kubernetes_version.as_deref();
        own.unwrap_or(&self.cluster.spec.kubernetes_version)
    }

    /// The minor versions of the machines: the control plane's, and that of worker groups that are behind.
    #[must_use]
    pub fn versions(&self) -> Vec<&str> {
        let own = self.cluster.spec.kubernetes_version.as_str();
        [own].into_iter().chain(self.older_version()).collect()
    }

    /// The minor version of the worker groups that are behind the control plane; `None` where none is.
    #[must_use]
    pub fn older_version(&self) -> Option<&str> {
        let of_cluster = version(&self.cluster.spec.kubernetes_version);
        let mut groups = self.cluster.spec.worker_node_group_configurations.iter();
        let own = |group: &'_ WorkerNodeGroup| version(self.version_of(group));
        let behind = groups.find(|group| own(group).is_some_and(|own| Some(own) < of_cluster));
        behind.map(|group| self.version_of(group))
    }

    /// The groups of a minor version.
    #[must_use]
    pub fn groups_of(&self, minor: &str) -> Vec<Group<'_>> {
        let mut groups = self.groups();
        groups.retain(|group| version(group.kubernetes_version) == version(minor));
        groups
    }

    /// The image that the hardware of a group is installed with.
    #[must_use]
    pub fn image_of<'a>(&'a self, group: &Group<'a>) -> Option<&'a str> {
        group.metal().and_then(|config| self.image_url(config))
    }

    /// The image of a machine configuration: its own, else the datacenter's.
    #[must_use]
    pub fn image_url<'a>(&'a self, config: &'a TinkerbellMachineConfig) -> Option<&'a str> {
        config
            .spec
            .os_image_url
            .as_deref()
            .or(self.datacenter.spec.os_image_url.as_deref())
    }

    /// Name of the chosen CNI.
    #[must_use]
    pub fn cni(&self) -> Option<&'static str> {
        let network = &self.cluster.spec.cluster_network;
        let Some(config) = &network.cni_config else {
            return (network.cni.as_deref() == Some(CILIUM)).then_some(CILIUM);
        };
        match (&config.cilium, &config.kindnetd, &config.flannel) {
            (Some(_), None, None) => Some(CILIUM),
            (None, Some(_), None) => Some("kindnetd"),
            (None, None, Some(_)) => Some("flannel"),
            _ => None,
        }
    }
}

fn names<'a>(references: impl Iterator<Item = &'a ObjectRef>) -> Vec<String> {
    let mut names: Vec<String> = references.map(|reference| reference.name.clone()).collect();
    names.sort();
    names.dedup();
    names
}

/// How few and how many machines an autoscaler may ask for in a worker group; `None` where its count is fixed.
#[must_use]
pub fn autoscaling(group: &WorkerNodeGroup) -> Option<RangeInclusive<i32>> {
    let bounds = group.autoscaling_configuration.as_ref()?;
    let bound = |name: &str| i32::try_from(bounds.get(name)?.as_i64()?).ok();
    let (least, most) = (bound("minCount")?, bound("maxCount")?);
    (0 <= least && least <= most).then_some(least..=most)
}

/// Which hardware a configuration takes: any of these terms.
#[must_use]
pub fn selector_terms(config: &TinkerbellMachineConfig) -> Vec<SelectorTerm> {
    if let Some(affinity) = &config.spec.hardware_affinity {
        return affinity.required.iter().map(selector_term).collect();
    }
    vec![SelectorTerm {
        match_labels: config.spec.hardware_selector.clone(),
        ..SelectorTerm::default()
    }]
}

/// A term as drivers read it; an expression that the rules refuse is left out.
fn selector_term(term: &HardwareAffinityTerm) -> SelectorTerm {
    let selector = &term.label_selector;
    let expressions = selector.match_expressions.iter().flatten();
    SelectorTerm {
        match_labels: selector.match_labels.clone().unwrap_or_default(),
        match_expressions: expressions
            .filter_map(|expression| {
                Some(LabelExpression {
                    key: expression.key.clone(),
                    operator: label_operator(&expression.operator)?,
                    values: expression.values.clone().unwrap_or_default(),
                })
            })
            .collect(),
    }
}

/// An operator of Kubernetes' label selectors by its name.
pub(crate) fn label_operator(name: &str) -> Option<LabelOperator> {
    Some(match name {
        "In" => LabelOperator::In,
        "NotIn" => LabelOperator::NotIn,
        "Exists" => LabelOperator::Exists,
        "DoesNotExist" => LabelOperator::DoesNotExist,
        _ => return None,
    })
}
