//! What becomes of a change of each field of a cluster that has machines. A field without a row is refused, and a test
//! enumerates the schemas, so that no field is without a decision.

use resources::keys::{CONTROL_PLANE_VIP, KUBE_VIP_IMAGE, VRRP_ID};

/// What becomes of a change of one field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Decision {
    /// The coordinator carries it out on the machines that there are.
    CarriedOut,
    /// The coordinator replaces the machines that are made of the old value.
    RollsOut,
    /// The field has no effect on any cluster, so every value is right.
    NoEffect,
    /// EKS Anywhere forbids it too.
    Fixed,
    /// EKS Anywhere replaces machines for it, or changes them; the coordinator does neither.
    NotCarriedOut,
    /// The cluster's version of Kubernetes: the same, the next minor version, or a later one through those between, rolls out.
    Version,
    /// The version of a worker group, which is the cluster's where it has none: later ones roll out.
    GroupVersion,
}

use Decision::{CarriedOut, Fixed, GroupVersion, NoEffect, NotCarriedOut, RollsOut, Version};

/// Path below the object, with `[]` for every item of a list, and the decision for it and all that is below it.
pub(super) type Row = (&'static str, Decision);

/// Annotations of a Cluster that its machines are made from like fields, the one first that says which of the others count.
pub(super) const ANNOTATIONS: &[Row] = &[
    (CONTROL_PLANE_VIP, Fixed),
    (VRRP_ID, Fixed),
    (KUBE_VIP_IMAGE, RollsOut),
];

/// The list whose items belong together by name and not by place.
pub(super) const GROUPS: &str = "spec.workerNodeGroupConfigurations";

pub(super) const CLUSTER: &[Row] = &[
    ("spec.kubernetesVersion", Version),
    ("spec.controlPlaneConfiguration.count", CarriedOut),
    ("spec.controlPlaneConfiguration.endpoint", Fixed),
    ("spec.controlPlaneConfiguration.machineGroupRef", Fixed),
    ("spec.controlPlaneConfiguration.taints", CarriedOut),
    ("spec.controlPlaneConfiguration.labels", CarriedOut),
    (
        "spec.controlPlaneConfiguration.upgradeRolloutStrategy",
        CarriedOut,
    ),
    (
        "spec.controlPlaneConfiguration.skipLoadBalancerDeployment",
        NotCarriedOut,
    ),
    ("spec.controlPlaneConfiguration.certSans", RollsOut),
    ("spec.controlPlaneConfiguration.machineHealthCheck", CarriedOut),
    ("spec.controlPlaneConfiguration.apiServerExtraArgs", RollsOut),
    ("spec.controlPlaneConfiguration.kubeletConfiguration", RollsOut),
    ("spec.controlPlaneConfiguration.auditPolicyContent", RollsOut),
    (
        "spec.controlPlaneConfiguration.skipAdmissionForSystemResources",
        NotCarriedOut,
    ),
    // Another name is another group: the machines of the old one are removed.
    ("spec.workerNodeGroupConfigurations[].name", CarriedOut),
    ("spec.workerNodeGroupConfigurations[].count", CarriedOut),
    (
        "spec.workerNodeGroupConfigurations[].autoscalingConfiguration",
        CarriedOut,
    ),
    ("spec.workerNodeGroupConfigurations[].machineGroupRef", Fixed),
    ("spec.workerNodeGroupConfigurations[].taints", CarriedOut),
    ("spec.workerNodeGroupConfigurations[].labels", CarriedOut),
    (
        "spec.workerNodeGroupConfigurations[].upgradeRolloutStrategy",
        CarriedOut,
    ),
    (
        "spec.workerNodeGroupConfigurations[].kubernetesVersion",
        GroupVersion,
    ),
    (
        "spec.workerNodeGroupConfigurations[].machineHealthCheck",
        CarriedOut,
    ),
    (
        "spec.workerNodeGroupConfigurations[].kubeletConfiguration",
        RollsOut,
    ),
    (
        "spec.workerNodeGroupConfigurations[].failureDomains",
        NotCarriedOut,
    ),
    ("spec.datacenterRef", Fixed),
    ("spec.identityProviderRefs", RollsOut),
    ("spec.gitOpsRef", NoEffect),
    ("spec.clusterNetwork.pods", Fixed),
    ("spec.clusterNetwork.services", Fixed),
    ("spec.clusterNetwork.nodes", Fixed),
    ("spec.clusterNetwork.dns", Fixed),
    ("spec.clusterNetwork.cni", Fixed),
    ("spec.clusterNetwork.cniConfig", Fixed),
    ("spec.managementCluster", Fixed),
    ("spec.proxyConfiguration", RollsOut),
    ("spec.registryMirrorConfiguration", RollsOut),
    ("spec.externalEtcdConfiguration", Fixed),
    ("spec.podIamConfig", NotCarriedOut),
    ("spec.packages", NoEffect),
    ("spec.bundlesRef", NotCarriedOut),
    ("spec.eksaVersion", NotCarriedOut),
    ("spec.machineHealthCheck", CarriedOut),
    ("spec.etcdEncryption", NotCarriedOut),
    ("spec.licenseToken", NoEffect),
];

pub(super) const DATACENTER: &[Row] = &[
    ("spec.tinkerbellIP", Fixed),
    ("spec.osImageURL", RollsOut),
    ("spec.hookImagesURLPath", NoEffect),
    ("spec.skipLoadBalancerDeployment", Fixed),
    ("spec.loadBalancerInterface", NotCarriedOut),
    ("spec.isoBoot", NotCarriedOut),
    ("spec.hookIsoURL", NotCarriedOut),
];

pub(super) const MACHINE_CONFIG: &[Row] = &[
    ("spec.hardwareSelector", NotCarriedOut),
    ("spec.hardwareAffinity", NotCarriedOut),
    ("spec.templateRef", RollsOut),
    ("spec.osFamily", Fixed),
    ("spec.osImageURL", RollsOut),
    ("spec.users", Fixed),
    ("spec.hostOSConfiguration.ntpConfiguration", RollsOut),
    ("spec.hostOSConfiguration.certBundles", RollsOut),
    (
        "spec.hostOSConfiguration.bottlerocketConfiguration",
        NotCarriedOut,
    ),
];

pub(super) const VSPHERE_DATACENTER: &[Row] = &[
    ("spec.datacenter", Fixed),
    ("spec.network", Fixed),
    ("spec.server", Fixed),
    ("spec.thumbprint", NoEffect),
    ("spec.insecure", NoEffect),
    ("spec.failureDomains", RollsOut),
];

pub(super) const VSPHERE_MACHINE_CONFIG: &[Row] = &[
    ("spec.diskGiB", RollsOut),
    ("spec.datastore", RollsOut),
    ("spec.folder", RollsOut),
    ("spec.numCPUs", RollsOut),
    ("spec.memoryMiB", RollsOut),
    ("spec.osFamily", Fixed),
    ("spec.resourcePool", RollsOut),
    ("spec.storagePolicyName", Fixed),
    ("spec.template", RollsOut),
    ("spec.users", Fixed),
    ("spec.tags", RollsOut),
    ("spec.cloneMode", RollsOut),
    ("spec.networks", RollsOut),
    ("spec.hostOSConfiguration.ntpConfiguration", RollsOut),
    ("spec.hostOSConfiguration.certBundles", RollsOut),
    (
        "spec.hostOSConfiguration.bottlerocketConfiguration",
        NotCarriedOut,
    ),
];

pub(super) const TEMPLATE: &[Row] = &[("spec.template", RollsOut)];

pub(super) const OIDC_CONFIG: &[Row] = &[
    ("spec.clientId", RollsOut),
    ("spec.issuerUrl", RollsOut),
    ("spec.groupsClaim", RollsOut),
    ("spec.groupsPrefix", RollsOut),
    ("spec.requiredClaims", RollsOut),
    ("spec.usernameClaim", RollsOut),
    ("spec.usernamePrefix", RollsOut),
];
