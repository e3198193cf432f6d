//! Fields of EKS Anywhere's files that are taken and change nothing here, each with the reason: a file that works there is
//! not refused for them, and nobody believes that they do something. And what a choice asks of the site.

use kube::ResourceExt as _;
use resources::anywhere::{
    Cluster, OsFamily, TinkerbellDatacenterConfig, TinkerbellMachineConfig, VSphereDatacenterConfig,
    VSphereMachineConfig,
};
use resources::gantry::Release;
use resources::keys::{CONTROL_PLANE_VIP, VRRP_ID};
use serde_json::Value;

use crate::address_holder::{AddressHolder, address_holder, annotation_path};
use crate::admission::Document;
use crate::brought_images::{is_brought, pulled};
use crate::bundle::{AWS_IAM, ClusterBundle};
use crate::cilium::cilium;
use crate::releases::candidates;
use crate::violation::{Report, Violation};
use crate::virtual_site::VirtualSite;

const MAY_STAY: &str = "it may stay";

/// The remarks about the documents of a cluster. `releases` are those that the appliance knows.
#[must_use]
pub fn remarks(bundle: &ClusterBundle, releases: &[Release]) -> Vec<Violation> {
    let mut found = of_cluster(&bundle.cluster);
    found.extend(pulled_images(bundle, releases));
    match &bundle.virtual_site {
        Some(VirtualSite::VSphere(site)) => {
            found.extend(of_vsphere_datacenter(&site.datacenter));
            found.extend(site.machine_configs.values().flat_map(of_vsphere_machine_config));
        }
        Some(VirtualSite::Docker(_)) => found.extend(without_endpoint(&bundle.cluster)),
        None => found.extend(of_datacenter(&bundle.datacenter)),
    }
    found.extend(bundle.machine_configs.values().flat_map(of_machine_config));
    found
}

impl Document {
    /// The remarks about this document.
    #[must_use]
    pub fn remarks(&self) -> Vec<Violation> {
        match self {
            Self::Cluster(cluster) => of_cluster(cluster),
            Self::Datacenter(datacenter) => of_datacenter(datacenter),
            Self::MachineConfig(config) => of_machine_config(config),
            Self::VSphereDatacenter(datacenter) => of_vsphere_datacenter(datacenter),
            Self::VSphereMachineConfig(config) => of_vsphere_machine_config(config),
            Self::Template(_) | Self::Oidc(_) | Self::DockerDatacenter(_) => Vec::new(),
        }
    }
}

fn of_cluster(cluster: &Cluster) -> Vec<Violation> {
    let mut report = Report::new("Cluster", &cluster.name_any());
    let mut note = |path: &str, given: bool, why: &str| {
        if given {
            report.add(path, why, MAY_STAY);
        }
    };
    let spec = &cluster.spec;
    let versions =
        "has no effect: what is installed follows from kubernetesVersion and the Releases of this appliance";
    note("spec.eksaVersion", spec.eksa_version.is_some(), versions);
    note("spec.bundlesRef", spec.bundles_ref.is_some(), versions);
    note(
        "spec.licenseToken",
        spec.license_token.is_some(),
        "has no effect: no licence is needed",
    );
    note(
        "spec.gitOpsRef",
        spec.git_ops_ref.is_some(),
        "has no effect: let Flux or Argo CD of yours apply the documents to the appliance's API (docs/kubectl.md)",
    );
    let disabled = |packages: &Value| packages.get("disable").and_then(Value::as_bool) == Some(true);
    note(
        "spec.packages",
        spec.packages.as_ref().is_some_and(|packages| !disabled(packages)),
        "has no effect: curated packages are not installed; install what you need with Helm or kubectl",
    );
    for (at, reference) in spec.identity_provider_refs.iter().enumerate() {
        note(
            &format!("spec.identityProviderRefs[{at}]"),
            reference.kind == AWS_IAM,
            "has no effect: the authenticator of AWS IAM is not installed; log in with the cluster's kubeconfig or an OIDCConfig",
        );
    }
    note(
        "spec.externalEtcdConfiguration",
        spec.external_etcd_configuration.is_some()
            && spec.datacenter_ref.kind != "TinkerbellDatacenterConfig",
        "has no effect: etcd runs on the machines of the control plane, and none are made for it alone",
    );
    let in_place = |strategy: &Option<Value>| {
        let kind = strategy.as_ref().and_then(|strategy| strategy.get("type"));
        kind.and_then(Value::as_str) == Some("InPlace")
    };
    let anew = "InPlace installs machines anew, one at a time and without another host: nothing is upgraded while it runs";
    note(
        "spec.controlPlaneConfiguration.upgradeRolloutStrategy",
        in_place(&spec.control_plane_configuration.upgrade_rollout_strategy),
        anew,
    );
    for (at, group) in spec.worker_node_group_configurations.iter().enumerate() {
        let path = |field: &str| format!("spec.workerNodeGroupConfigurations[{at}].{field}");
        note(
            &path("upgradeRolloutStrategy"),
            in_place(&group.upgrade_rollout_strategy),
            anew,
        );
    }
    if cluster.annotations().contains_key(VRRP_ID) && address_holder(cluster) != AddressHolder::Keepalived {
        let why = "has no effect: a virtual router id is keepalived's, which does not hold the endpoint of this cluster";
        report.add(annotation_path(VRRP_ID), why, MAY_STAY);
    }
    if cilium(cluster).is_some() {
        report.add(
            "spec.clusterNetwork",
            "no node image brings Cilium along: each machine pulls the images that the cluster's Release and its chart name",
            "let the machines reach the registry, or let registryMirrorConfiguration stand for it and have the images",
        );
    }
    pulled_image(cluster, &mut report);
    report.found
}

/// The image that no node image brings along.
fn pulled_image(cluster: &Cluster, report: &mut Report) {
    let AddressHolder::KubeVip { image } = address_holder(cluster) else {
        return;
    };
    report.add(
        annotation_path(CONTROL_PLANE_VIP),
        format!(
            "no node image brings kube-vip along: each machine of the control plane pulls {}",
            image.unwrap_or("the image that the cluster's Release names")
        ),
        "let the machines reach its registry, or let registryMirrorConfiguration stand for that registry and have the image",
    );
}

/// The images that machines pull when users bring the node images.
fn pulled_images(bundle: &ClusterBundle, releases: &[Release]) -> Vec<Violation> {
    let mut report = Report::new("Cluster", &bundle.name());
    if !bundle.brings_images() {
        return Vec::new();
    }
    for minor in bundle.versions() {
        let Some(release) = candidates(bundle, minor, releases).first().copied() else {
            continue;
        };
        report.add(
            "spec.kubernetesVersion",
            format!(
                "the node images are yours: what they do not hold of {} each machine pulls, and the image of pause that their \
                 containerd names",
                pulled(&release.spec, &bundle.cluster).join(", ")
            ),
            "let the machines reach these registries, or let registryMirrorConfiguration stand for them and have the images",
        );
    }
    report.found
}

fn of_machine_config(config: &TinkerbellMachineConfig) -> Vec<Violation> {
    let mut report = Report::new("TinkerbellMachineConfig", &config.name_any());
    let affinity = config.spec.hardware_affinity.as_ref();
    if affinity.is_some_and(|affinity| !affinity.preferred.is_empty()) {
        let why = "has no effect: of the hardware that is required the first free machine by name is taken";
        report.add("spec.hardwareAffinity.preferred", why, MAY_STAY);
    }
    family(config.spec.os_family, &mut report);
    report.found
}

/// What an operating system asks of the image.
fn family(family: Option<OsFamily>, report: &mut Report) {
    if family.is_some_and(is_brought) {
        report.add(
            "spec.osFamily",
            "the machines run what the image brings: its containerd, its kubelet, and a kubeadm of the version that the Cluster \
             names; which patch version they are is not checked",
            "build the image for that version, as for EKS Anywhere, with cloud-init and Python 3 in it",
        );
    }
}

fn of_vsphere_machine_config(config: &VSphereMachineConfig) -> Vec<Violation> {
    let mut report = Report::new("VSphereMachineConfig", &config.name_any());
    family(config.spec.os_family, &mut report);
    report.found
}

/// What the scope of the driver says, and the file says again.
fn of_vsphere_datacenter(datacenter: &VSphereDatacenterConfig) -> Vec<Violation> {
    let name = datacenter.name_any();
    let mut report = Report::new("VSphereDatacenterConfig", &name);
    let spec = &datacenter.spec;
    for (path, is_given) in [
        ("spec.server", !spec.server.is_empty()),
        ("spec.thumbprint", spec.thumbprint.is_some()),
        ("spec.insecure", spec.insecure.is_some()),
    ] {
        if is_given {
            report.add(
                path,
                format!("has no effect: scope {name} of driver vsphere says which vCenter it is and how that is trusted"),
                "say the same in the file of setting driversFile",
            );
        }
    }
    report.found
}

/// EKS Anywhere's Docker files have no endpoint, because a load balancer is made with the cluster.
fn without_endpoint(cluster: &Cluster) -> Vec<Violation> {
    let mut report = Report::new("Cluster", &cluster.name_any());
    let endpoint = cluster.spec.control_plane_configuration.endpoint.as_ref();
    if endpoint.is_none_or(|endpoint| endpoint.host.is_empty()) {
        report.add(
            "spec.controlPlaneConfiguration.endpoint.host",
            "no load balancer is made with the cluster, so no machine is made before this is an address",
            "write a free address of the Docker network of the driver's scope; the API will answer there",
        );
    }
    report.found
}

fn of_datacenter(datacenter: &TinkerbellDatacenterConfig) -> Vec<Violation> {
    let mut report = Report::new("TinkerbellDatacenterConfig", &datacenter.name_any());
    let why = "has no effect: the appliance itself has tinkerbellIP, without a load balancer";
    let spec = &datacenter.spec;
    if spec.skip_load_balancer_deployment.is_some() {
        report.add("spec.skipLoadBalancerDeployment", why, MAY_STAY);
    }
    if spec.load_balancer_interface.is_some() {
        report.add("spec.loadBalancerInterface", why, MAY_STAY);
    }
    if spec.hook_images_url_path.is_some() {
        let why = "has no effect: machines boot Gantry's own installer, and not HookOS";
        report.add("spec.hookImagesURLPath", why, MAY_STAY);
    }
    report.found
}
