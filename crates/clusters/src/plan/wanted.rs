//! The wanted cluster: what its documents and its Release make of it, as pools of equal machines.

use std::collections::BTreeMap;

use cluster_spec::{Cilium, ClusterBundle, Group, GroupMachines};
use kube::ResourceExt;
use node_config::AddressHolder;
use resources::Digest;
use resources::anywhere::{
    CertBundle, ObjectRef, OsFamily, ProxyConfiguration, RegistryMirrorConfiguration, Taint, User,
};
use resources::gantry::{MachineRole, PluginPool, ReleaseSpec, SelectorTerm};
use serde::Serialize;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::api_server::api_server_arguments;
use super::health::HealthLimits;
use super::pause::rollout_paused;
use super::rollout::RolloutLimits;

/// The wanted cluster.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Wanted {
    /// Name.
    pub name: String,
    /// Namespace.
    pub namespace: String,
    /// Name of the driver that makes the machines. It never changes, so it is no part of the digest.
    #[serde(skip)]
    pub provider: String,
    /// Address of the API.
    pub endpoint: String,
    /// What holds that address.
    pub address_holder: AddressHolder,
    /// Version of Kubernetes of the control plane, such as `v1.35.4`.
    pub version: String,
    /// Range of the pods.
    pub pod_cidr: String,
    /// Range of the services.
    pub service_cidr: String,
    /// Prefix length of each node's pods.
    pub node_mask: u8,
    /// Path of the resolv.conf that pods get.
    pub resolv_conf: Option<String>,
    /// More names of the API's certificate.
    pub cert_sans: Vec<String>,
    /// Arguments of kube-apiserver.
    pub api_server_extra_args: BTreeMap<String, String>,
    /// Policy of the audit log.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audit_policy: Option<String>,
    /// Address of the appliance on the machines' network. It never changes, so it is no part of the digest.
    #[serde(skip)]
    pub appliance: String,
    /// Proxy of the machines.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proxy: Option<ProxyConfiguration>,
    /// Where the machines pull images.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub registry_mirror: Option<RegistryMirrorConfiguration>,
    /// The CNI.
    pub cni: String,
    /// What the documents say of Cilium, where that is the CNI.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cilium: Option<Cilium>,
    /// Who has paused the exchange of machines, and why. A plan that goes on afterwards is for the same wish, so it is no part
    /// of the digest.
    #[serde(skip)]
    pub paused: Option<String>,
    /// Pools of machines, the control plane first.
    pub pools: Vec<Pool>,
}

/// Machines that are all alike.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Pool {
    /// Name: `cp`, or that of the worker node group.
    pub name: String,
    /// Role of its machines.
    pub role: MachineRole,
    /// How many there are to be.
    pub count: usize,
    /// Digest of what is installed on a machine: Release, image and configuration of the node. Labels and taints are not
    /// part of it, because they are changed in place.
    pub revision: String,
    /// Version of Kubernetes: the control plane's, or one of the minor version before. The revision says it too.
    #[serde(skip)]
    pub version: String,
    /// Which hardware.
    pub selector: Vec<SelectorTerm>,
    /// What a plugin driver makes; absent on bare metal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plugin: Option<PluginPool>,
    /// Failure domain that the machines are in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure_domain: Option<String>,
    /// URL of the image, or the name by which a plugin driver's provider knows it.
    pub image_url: String,
    /// Operating system family of the image.
    pub os_family: String,
    /// The user's own workflow.
    pub template_ref: Option<ObjectRef>,
    /// Users of the installed system.
    pub users: Vec<User>,
    /// Time servers that the installed system asks.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub time_servers: Vec<String>,
    /// Certificates of authorities that the installed system trusts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cert_bundles: Vec<CertBundle>,
    /// Labels of the nodes. What is changed in place needs no other plan, so labels and taints are no part of the digest.
    #[serde(skip)]
    pub labels: BTreeMap<String, String>,
    /// Taints of the nodes; `None` means kubeadm's own.
    #[serde(skip)]
    pub taints: Option<Vec<Taint>>,
    /// Fields of the nodes' KubeletConfiguration.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kubelet: Option<Value>,
    /// When a machine counts as dead, and how many of them are replaced.
    pub health: HealthLimits,
    /// How machines of another revision are replaced.
    pub rollout: RolloutLimits,
}

impl Wanted {
    /// Resolves a checked bundle with the Release of its version, and that of the worker groups that are behind.
    #[must_use]
    pub fn new(bundle: &ClusterBundle, release: &ReleaseSpec, older: Option<&ReleaseSpec>) -> Self {
        let spec = &bundle.cluster.spec;
        let control = &spec.control_plane_configuration;
        let network = &spec.cluster_network;
        let first = |blocks: &[String]| blocks.first().cloned().unwrap_or_default();
        let nodes = network.nodes.as_ref();
        let mask = nodes.and_then(|nodes| nodes.cidr_mask_size).unwrap_or(24);
        let endpoint = control.endpoint.as_ref();
        let dns = network.dns.as_ref();
        Self {
            name: bundle.name(),
            namespace: bundle
                .cluster
                .namespace()
                .unwrap_or_else(|| resources::keys::DEFAULT_NAMESPACE.to_owned()),
            provider: bundle.provider().to_owned(),
            endpoint: endpoint.map(|endpoint| endpoint.host.clone()).unwrap_or_default(),
            address_holder: holder(bundle, release),
            version: release.patch_version.clone(),
            pod_cidr: first(&network.pods.cidr_blocks),
            service_cidr: first(&network.services.cidr_blocks),
            node_mask: u8::try_from(mask).unwrap_or(24),
            resolv_conf: dns
                .and_then(|dns| dns.resolv_conf.as_ref())
                .map(|conf| conf.path.clone()),
            cert_sans: control.cert_sans.clone(),
            api_server_extra_args: api_server_arguments(bundle),
            audit_policy: control.audit_policy_content.clone(),
            appliance: bundle.datacenter.spec.tinkerbell_ip.clone(),
            proxy: spec.proxy_configuration.clone(),
            registry_mirror: spec.registry_mirror_configuration.clone(),
            cni: bundle.cni().unwrap_or("none").to_owned(),
            cilium: cluster_spec::cilium(&bundle.cluster),
            paused: rollout_paused(&bundle.cluster),
            pools: pools(bundle, release, older),
        }
    }

    /// SHA-256 of all of it: another digest needs another plan.
    #[must_use]
    pub fn digest(&self) -> Digest {
        let text = serde_json::to_vec(self).unwrap_or_default();
        Digest::new(Sha256::digest(&text).into())
    }

    /// A pool by name.
    #[must_use]
    pub fn pool(&self, name: &str) -> Option<&Pool> {
        self.pools.iter().find(|pool| pool.name == name)
    }

    /// The revision of each pool by name.
    #[must_use]
    pub fn revisions(&self) -> BTreeMap<String, String> {
        let pools = self.pools.iter();
        pools
            .map(|pool| (pool.name.clone(), pool.revision.clone()))
            .collect()
    }

    /// Takes the `recorded` revisions over for the pools of which today's digest says that they are still what they were
    /// `before`.
    pub(crate) fn keep_revisions(&mut self, recorded: &BTreeMap<String, String>, before: &Self) {
        for pool in &mut self.pools {
            let same = before
                .pool(&pool.name)
                .is_some_and(|known| known.revision == pool.revision);
            if let Some(revision) = recorded.get(&pool.name).filter(|_| same) {
                pool.revision.clone_from(revision);
            }
        }
    }

    /// The version of the worker groups that are behind the control plane; `None` where none is.
    pub(crate) fn older_version(&self) -> Option<&str> {
        let mut pools = self.pools.iter();
        let behind = pools.find(|pool| pool.version != self.version);
        behind.map(|pool| pool.version.as_str())
    }

    /// How many members the control plane is to have.
    pub(crate) fn control_planes(&self) -> usize {
        let members = self
            .pools
            .iter()
            .filter(|pool| pool.role == MachineRole::ControlPlane);
        members.map(|pool| pool.count).sum()
    }
}

/// What holds the address, with everything that follows from the Release. Where that has no image of kube-vip, the documents
/// of a cluster with kube-vip are refused.
fn holder(bundle: &ClusterBundle, release: &ReleaseSpec) -> AddressHolder {
    let cluster = &bundle.cluster;
    match cluster_spec::address_holder(cluster) {
        cluster_spec::AddressHolder::Keepalived => AddressHolder::Keepalived {
            router_id: cluster_spec::vrrp_id(cluster),
        },
        cluster_spec::AddressHolder::KubeVip { .. } => AddressHolder::KubeVip {
            image: cluster_spec::kube_vip_image(cluster, release).unwrap_or_default(),
        },
        cluster_spec::AddressHolder::LoadBalancer => AddressHolder::LoadBalancer,
    }
}

/// Whether a Release is of a minor version.
pub(crate) fn is_minor(release: &ReleaseSpec, minor: &str) -> bool {
    let plain = |text: &str| text.trim_start_matches('v').to_owned();
    plain(&release.kubernetes_version) == plain(minor)
}

fn pools(bundle: &ClusterBundle, release: &ReleaseSpec, older: Option<&ReleaseSpec>) -> Vec<Pool> {
    let groups = bundle.groups();
    // A group that an autoscaler has left empty may have workers at any moment.
    let scales = |group: &Group<'_>| {
        let bounds = bundle.worker_group(group).and_then(cluster_spec::autoscaling);
        bounds.is_some_and(|bounds| *bounds.end() > 0)
    };
    let has_workers =
        |group: &Group<'_>| group.role == MachineRole::Worker && (group.count > 0 || scales(group));
    let no_workers = !groups.iter().any(has_workers);
    // A group of another version than the cluster's is of the older one; the rules see to that.
    let release_of = |group: &Group<'_>| {
        let older = older.filter(|older| is_minor(older, group.kubernetes_version));
        older.unwrap_or(release)
    };
    groups
        .iter()
        .map(|group| pool(bundle, release_of(group), group, no_workers))
        .collect()
}

fn pool(bundle: &ClusterBundle, release: &ReleaseSpec, group: &Group<'_>, no_workers: bool) -> Pool {
    let family = family(group);
    let taints = match (group.role, group.taints) {
        // Without workers the control plane carries the pods.
        (MachineRole::ControlPlane, None) if no_workers => Some(Vec::new()),
        (MachineRole::Worker, Some([])) => None,
        (_, taints) => taints.map(<[Taint]>::to_vec),
    };
    let spec = &bundle.cluster.spec;
    let control = &spec.control_plane_configuration;
    let of_control_plane = (group.role == MachineRole::ControlPlane).then_some((
        &control.cert_sans,
        &control.api_server_extra_args,
        &control.endpoint,
        &control.audit_policy_content,
        bundle.oidc().map(|config| &config.spec),
        cluster_spec::kube_vip_image(&bundle.cluster, release),
    ));
    let host_os = group.host_os();
    let cert_bundles = host_os
        .map(|settings| settings.cert_bundles.as_slice())
        .unwrap_or_default();
    let time = host_os.and_then(|settings| settings.ntp_configuration.as_ref());
    let image_url = bundle.source_of(group, release).unwrap_or_default();
    let template_ref = group.metal().and_then(|config| config.spec.template_ref.clone());
    let template = template_ref.as_ref();
    let template = template.and_then(|template| Some(&bundle.templates.get(&template.name)?.spec));
    let made_of = (
        release,
        image_url,
        family,
        (&template_ref, template),
        group.users(),
        &spec.cluster_network,
        (&spec.proxy_configuration, &spec.registry_mirror_configuration),
        (group.kubelet_configuration, cert_bundles, time),
        of_control_plane,
    );
    let plugin = bundle.plugin_machine(group).map(|machine| PluginPool {
        image_url: image_url.to_owned(),
        machine,
    });
    Pool {
        name: group.name.to_owned(),
        role: group.role,
        count: group.count,
        revision: match &plugin {
            None => revision(&made_of),
            Some(plugin) => revision(&(made_of, &plugin.machine)),
        },
        version: release.patch_version.clone(),
        selector: group.selector_terms(),
        plugin,
        failure_domain: bundle.failure_domain(group).map(|domain| domain.name.clone()),
        image_url: image_url.to_owned(),
        os_family: family.to_owned(),
        template_ref,
        users: group.users().to_vec(),
        time_servers: time.map(|time| time.servers.clone()).unwrap_or_default(),
        cert_bundles: cert_bundles.to_vec(),
        labels: group.labels.clone(),
        taints,
        kubelet: group.kubelet_configuration.cloned(),
        health: HealthLimits::of(bundle, group),
        rollout: RolloutLimits::of(bundle, group),
    }
}

/// Operating system family as drivers and node configurations spell it.
const fn family(group: &Group<'_>) -> &'static str {
    match (group.machines, group.os_family()) {
        (GroupMachines::Docker, _) => "docker",
        (_, Some(OsFamily::Debian)) => "debian",
        (_, Some(OsFamily::Ubuntu)) => "ubuntu",
        (_, Some(OsFamily::Redhat)) => "redhat",
        (_, Some(OsFamily::Bottlerocket) | None) => "bottlerocket",
    }
}

/// The first 12 hex digits of the SHA-256 of what a machine is made of.
fn revision(made_of: &impl Serialize) -> String {
    let text = serde_json::to_vec(made_of).unwrap_or_default();
    let hex = Digest::new(Sha256::digest(&text).into()).hex();
    hex.get(..12).unwrap_or_default().to_owned()
}

/// Name of the Image object of a URL: `image-` and the first 12 hex digits of the URL's SHA-256.
#[must_use]
pub fn image_name(url: &str) -> String {
    let hex = Digest::new(Sha256::digest(url.as_bytes()).into()).hex();
    format!("image-{}", hex.get(..12).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_revision_outlives_the_way_in_which_it_was_counted() {
        let wanted = |revisions: &[(&str, &str)]| {
            let pool = |(name, revision): &(&str, &str)| Pool {
                name: (*name).to_owned(),
                role: MachineRole::Worker,
                count: 1,
                revision: (*revision).to_owned(),
                version: String::new(),
                selector: Vec::new(),
                plugin: None,
                failure_domain: None,
                image_url: String::new(),
                os_family: String::new(),
                template_ref: None,
                users: Vec::new(),
                time_servers: Vec::new(),
                cert_bundles: Vec::new(),
                labels: BTreeMap::new(),
                taints: None,
                kubelet: None,
                health: HealthLimits {
                    unready_seconds: 300,
                    most: 1,
                    startup_minutes: None,
                },
                rollout: RolloutLimits::default(),
            };
            Wanted {
                name: String::new(),
                namespace: String::new(),
                provider: String::new(),
                endpoint: String::new(),
                address_holder: AddressHolder::LoadBalancer,
                version: String::new(),
                pod_cidr: String::new(),
                service_cidr: String::new(),
                node_mask: 24,
                resolv_conf: None,
                cert_sans: Vec::new(),
                api_server_extra_args: BTreeMap::new(),
                audit_policy: None,
                appliance: String::new(),
                proxy: None,
                registry_mirror: None,
                cni: String::new(),
                cilium: None,
                paused: None,
                pools: revisions.iter().map(pool).collect(),
            }
        };
        let recorded = wanted(&[("cp", "old-1"), ("md-0", "old-2")]).revisions();
        // The same documents have another digest today, and those of one pool were changed.
        let before = wanted(&[("cp", "new-1"), ("md-0", "new-2")]);
        let mut now = wanted(&[("cp", "new-1"), ("md-0", "new-3"), ("md-1", "new-4")]);
        now.keep_revisions(&recorded, &before);
        let kept = wanted(&[("cp", "old-1"), ("md-0", "new-3"), ("md-1", "new-4")]);
        assert_eq!(now.revisions(), kept.revisions());
    }
}
