//! The wanted cluster, resolved: every machine by name with all that it needs.

use std::collections::BTreeMap;

use cluster_spec::{CONTROL_PLANE_GROUP, ClusterBundle, machine_name, selector_terms};
use kube::ResourceExt;
use resources::Digest;
use resources::anywhere::{ObjectRef, OsFamily, Taint, User};
use resources::gantry::{MachineRole, ReleaseSpec, SelectorTerm};
use serde::Serialize;
use sha2::{Digest as _, Sha256};

/// The wanted cluster.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Desired {
    /// Name.
    pub name: String,
    /// Namespace.
    pub namespace: String,
    /// Address of the API.
    pub endpoint: String,
    /// Whether keepalived brings that address up.
    pub load_balancer: bool,
    /// Virtual router id of that address.
    pub vrrp_id: u8,
    /// Version such as `v1.35.4`.
    pub version: String,
    /// Range of the pods.
    pub pod_cidr: String,
    /// Range of the services.
    pub service_cidr: String,
    /// Prefix length of each node's pods.
    pub node_mask: u8,
    /// resolv.conf for pods.
    pub resolv_conf: Option<String>,
    /// More names of the API's certificate.
    pub cert_sans: Vec<String>,
    /// Arguments of kube-apiserver.
    pub api_server_extra_args: BTreeMap<String, String>,
    /// The CNI.
    pub cni: String,
    /// Machines, the control plane first.
    pub machines: Vec<DesiredMachine>,
}

/// A wanted machine.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DesiredMachine {
    /// Name: cluster, group, number.
    pub name: String,
    /// Group: `cp` or the worker group's name.
    pub group: String,
    /// Number in its group, from 0.
    pub number: usize,
    /// Role.
    pub role: MachineRole,
    /// Which hardware.
    pub selector: Vec<SelectorTerm>,
    /// Which image.
    pub image_url: String,
    /// Operating system.
    pub os_family: String,
    /// The user's own workflow.
    pub template_ref: Option<ObjectRef>,
    /// Users of the installed system.
    pub users: Vec<User>,
    /// Labels of the node.
    pub labels: BTreeMap<String, String>,
    /// Taints of the node; `None` means kubeadm's own.
    pub taints: Option<Vec<Taint>>,
}

impl DesiredMachine {
    /// The choice of hardware, for people.
    pub(crate) fn selector_text(&self) -> String {
        self.selector
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join(" or ")
    }
}

impl Desired {
    /// Resolves a checked bundle with the Release of its version.
    #[must_use]
    pub fn new(bundle: &ClusterBundle, release: &ReleaseSpec) -> Self {
        let spec = &bundle.cluster.spec;
        let control = &spec.control_plane_configuration;
        let network = &spec.cluster_network;
        let name = bundle.name();
        let machines = bundle
            .groups()
            .into_iter()
            .flat_map(|group| machines(&name, bundle, &group))
            .collect();
        let first = |blocks: &[String]| blocks.first().cloned().unwrap_or_default();
        let mask = network
            .nodes
            .as_ref()
            .and_then(|nodes| nodes.cidr_mask_size)
            .unwrap_or(24);
        Self {
            namespace: bundle
                .cluster
                .namespace()
                .unwrap_or_else(|| resources::keys::DEFAULT_NAMESPACE.to_owned()),
            endpoint: control
                .endpoint
                .as_ref()
                .map(|endpoint| endpoint.host.clone())
                .unwrap_or_default(),
            load_balancer: control.skip_load_balancer_deployment != Some(true),
            vrrp_id: cluster_spec::vrrp_id(&bundle.cluster),
            version: release.patch_version.clone(),
            pod_cidr: first(&network.pods.cidr_blocks),
            service_cidr: first(&network.services.cidr_blocks),
            node_mask: u8::try_from(mask).unwrap_or(24),
            resolv_conf: network
                .dns
                .as_ref()
                .and_then(|dns| dns.resolv_conf.as_ref())
                .map(|conf| conf.path.clone()),
            cert_sans: control.cert_sans.clone(),
            api_server_extra_args: control.api_server_extra_args.clone(),
            cni: bundle.cni().unwrap_or("none").to_owned(),
            machines,
            name,
        }
    }

    /// Hash of all of it: another one needs another plan.
    #[must_use]
    pub fn digest(&self) -> Digest {
        let text = serde_json::to_vec(self).unwrap_or_default();
        Digest::new(Sha256::digest(&text).into())
    }

    /// A machine by name.
    #[must_use]
    pub fn machine(&self, name: &str) -> Option<&DesiredMachine> {
        self.machines.iter().find(|machine| machine.name == name)
    }

    /// Whether a machine of this name is a member of the control plane, wanted or not.
    pub(crate) fn is_control_plane(&self, name: &str) -> bool {
        let number = name.rsplit('-').next().and_then(|number| number.parse().ok());
        number.is_some_and(|number| name == machine_name(&self.name, CONTROL_PLANE_GROUP, number))
    }

    /// Members of the control plane.
    #[must_use]
    pub fn control_planes(&self) -> Vec<&DesiredMachine> {
        self.machines
            .iter()
            .filter(|machine| machine.role == MachineRole::ControlPlane)
            .collect()
    }
}

fn machines(cluster: &str, bundle: &ClusterBundle, group: &cluster_spec::Group<'_>) -> Vec<DesiredMachine> {
    let config = group.machine_config;
    let family = match config.spec.os_family {
        Some(OsFamily::Debian) => "debian",
        Some(OsFamily::Ubuntu) => "ubuntu",
        Some(OsFamily::Redhat) => "redhat",
        Some(OsFamily::Bottlerocket) | None => "bottlerocket",
    };
    let no_workers = bundle
        .groups()
        .iter()
        .all(|group| group.role == MachineRole::ControlPlane || group.count == 0);
    let taints = match (group.role, group.taints) {
        // Without workers the control plane carries the pods.
        (MachineRole::ControlPlane, None) if no_workers => Some(Vec::new()),
        (MachineRole::Worker, Some([])) => None,
        (_, taints) => taints.map(<[Taint]>::to_vec),
    };
    (0..group.count)
        .map(|number| DesiredMachine {
            name: machine_name(cluster, group.name, number),
            group: group.name.to_owned(),
            number,
            role: group.role,
            selector: selector_terms(config),
            image_url: bundle.image_url(config).unwrap_or_default().to_owned(),
            os_family: family.to_owned(),
            template_ref: config.spec.template_ref.clone(),
            users: config.spec.users.clone(),
            labels: group.labels.clone(),
            taints: taints.clone(),
        })
        .collect()
}

/// Name of the Image object of a URL: `image-` and the first 12 hex digits of the URL's SHA-256.
#[must_use]
pub fn image_name(url: &str) -> String {
    let hex = Digest::new(Sha256::digest(url.as_bytes()).into()).hex();
    format!("image-{}", hex.get(..12).unwrap_or_default())
}
