//! Cluster of `anywhere.eks.amazonaws.com`: what the user wants.

use std::collections::BTreeMap;

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::cluster_status::ClusterStatus;
use super::proxy::ProxyConfiguration;
use super::registry_mirror::RegistryMirrorConfiguration;

/// A Kubernetes cluster as EKS Anywhere's YAML describes it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema, CustomResource)]
#[kube(
    group = "anywhere.eks.amazonaws.com",
    version = "v1alpha1",
    kind = "Cluster",
    plural = "clusters",
    namespaced,
    status = "ClusterStatus",
    derive = "PartialEq",
    printcolumn = r#"{"name":"Version","type":"string","jsonPath":".spec.kubernetesVersion"}"#,
    printcolumn = r#"{"name":"Phase","type":"string","jsonPath":".status.phase"}"#,
    printcolumn = r#"{"name":"Ready","type":"string","jsonPath":".status.conditions[?(@.type==\"Ready\")].status"}"#,
    printcolumn = r#"{"name":"Endpoint","type":"string","jsonPath":".spec.controlPlaneConfiguration.endpoint.host","priority":1}"#,
    printcolumn = r#"{"name":"Control-Planes","type":"integer","jsonPath":".spec.controlPlaneConfiguration.count","priority":1}"#,
    printcolumn = r#"{"name":"Workers","type":"string","jsonPath":".spec.workerNodeGroupConfigurations[*].count","priority":1}"#,
    printcolumn = r#"{"name":"Restorable","type":"string","jsonPath":".status.conditions[?(@.type==\"EtcdRestorable\")].status","priority":1}"#,
    printcolumn = r#"{"name":"Reason","type":"string","jsonPath":".status.reason"}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase")]
pub struct ClusterSpec {
    /// Minor version such as "1.35".
    #[serde(default)]
    pub kubernetes_version: String,
    /// Control plane.
    #[serde(default)]
    pub control_plane_configuration: ControlPlaneConfiguration,
    /// Worker groups.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub worker_node_group_configurations: Vec<WorkerNodeGroup>,
    /// Datacenter.
    #[serde(default)]
    pub datacenter_ref: ObjectRef,
    /// Identity providers: at most one OIDCConfig.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub identity_provider_refs: Vec<ObjectRef>,
    /// GitOps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub git_ops_ref: Option<ObjectRef>,
    /// Networks.
    #[serde(default)]
    pub cluster_network: ClusterNetwork,
    /// Who manages this cluster; its own name means itself.
    #[serde(default)]
    pub management_cluster: ManagementCluster,
    /// Proxy through which containerd and the kubelet of the machines reach other networks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxy_configuration: Option<ProxyConfiguration>,
    /// Registry from which the machines pull what they would pull from others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registry_mirror_configuration: Option<RegistryMirrorConfiguration>,
    /// External etcd.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::crds::free_form")]
    pub external_etcd_configuration: Option<Value>,
    /// IAM roles for pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::crds::free_form")]
    pub pod_iam_config: Option<Value>,
    /// Curated packages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::crds::free_form")]
    pub packages: Option<Value>,
    /// Deprecated form of `eksaVersion`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::crds::free_form")]
    pub bundles_ref: Option<Value>,
    /// EKS Anywhere's version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub eksa_version: Option<String>,
    /// Health checks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::crds::free_form")]
    pub machine_health_check: Option<Value>,
    /// Encryption of etcd.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "crate::crds::free_form_list")]
    pub etcd_encryption: Vec<Value>,
    /// Licence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub license_token: Option<String>,
}

/// Reference by kind and name.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub struct ObjectRef {
    /// Kind.
    #[serde(default)]
    pub kind: String,
    /// Name.
    #[serde(default)]
    pub name: String,
}

/// Control plane.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ControlPlaneConfiguration {
    /// Members.
    #[serde(default)]
    pub count: i32,
    /// Where the API is reached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<Endpoint>,
    /// Machine configuration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub machine_group_ref: Option<ObjectRef>,
    /// Taints; kubeadm's own when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub taints: Option<Vec<Taint>>,
    /// Labels.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// How machines are replaced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::crds::free_form")]
    pub upgrade_rollout_strategy: Option<Value>,
    /// True: nothing on the machines holds the endpoint; a load balancer of the user's leads from there to them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skip_load_balancer_deployment: Option<bool>,
    /// More names of the API certificate.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cert_sans: Vec<String>,
    /// Health checks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::crds::free_form")]
    pub machine_health_check: Option<Value>,
    /// Arguments of kube-apiserver.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub api_server_extra_args: BTreeMap<String, String>,
    /// Fields of a KubeletConfiguration (kubelet.config.k8s.io/v1beta1) for the machines of the control plane.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::crds::free_form")]
    pub kubelet_configuration: Option<Value>,
    /// A Policy (audit.k8s.io/v1) as YAML: what kube-apiserver writes to /var/log/kubernetes/api-audit.log. Without it a
    /// policy is used that notes who did what, and no content.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audit_policy_content: Option<String>,
    /// EKS-D's admission patch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skip_admission_for_system_resources: Option<bool>,
}

/// Where the API is reached.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Endpoint {
    /// Address, without port on bare metal.
    #[serde(default)]
    pub host: String,
}

/// A taint (core/v1).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Taint {
    /// Key.
    pub key: String,
    /// Value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// NoSchedule, PreferNoSchedule or NoExecute.
    pub effect: String,
    /// Set by controllers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_added: Option<String>,
}

impl Taint {
    /// Key and effect, as `key:effect`: a node has no two taints in which both are the same.
    #[must_use]
    pub fn id(&self) -> String {
        format!("{}:{}", self.key, self.effect)
    }
}

/// A group of workers.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WorkerNodeGroup {
    /// Name; the first group is `md-0` when it has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Members; 1, or the autoscaler's minimum, when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<i32>,
    /// Bounds of the autoscaler, `minCount` and `maxCount`. Within them `spec.replicas` of the group's MachineDeployment
    /// counts, whoever writes it, and `count` only until that is made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::crds::free_form")]
    pub autoscaling_configuration: Option<Value>,
    /// Machine configuration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub machine_group_ref: Option<ObjectRef>,
    /// Taints.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub taints: Vec<Taint>,
    /// Labels.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// How machines are replaced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::crds::free_form")]
    pub upgrade_rollout_strategy: Option<Value>,
    /// Own version, not above the control plane's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kubernetes_version: Option<String>,
    /// Health checks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::crds::free_form")]
    pub machine_health_check: Option<Value>,
    /// Fields of a KubeletConfiguration (kubelet.config.k8s.io/v1beta1) for the machines of the group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::crds::free_form")]
    pub kubelet_configuration: Option<Value>,
    /// Failure domains.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failure_domains: Vec<String>,
}

/// Networks of a cluster.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClusterNetwork {
    /// Pods.
    #[serde(default)]
    pub pods: CidrBlocks,
    /// Services.
    #[serde(default)]
    pub services: CidrBlocks,
    /// Pod range of each node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nodes: Option<NodeMask>,
    /// Name servers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dns: Option<Dns>,
    /// Deprecated form of `cniConfig`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cni: Option<String>,
    /// CNI: exactly one of its fields.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cni_config: Option<CniConfig>,
}

/// A list of CIDRs; exactly one is allowed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CidrBlocks {
    /// CIDRs.
    #[serde(default)]
    pub cidr_blocks: Vec<String>,
}

/// Pod range of each node.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NodeMask {
    /// Prefix length.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cidr_mask_size: Option<i32>,
}

/// Name servers of nodes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Dns {
    /// resolv.conf.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolv_conf: Option<ResolvConf>,
}

/// resolv.conf of nodes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ResolvConf {
    /// Path.
    #[serde(default)]
    pub path: String,
}

/// CNI: exactly one field is set. `flannel` is Gantry's addition.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CniConfig {
    /// Cilium with its settings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::crds::free_form")]
    pub cilium: Option<Value>,
    /// kindnetd (Docker only).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::crds::free_form")]
    pub kindnetd: Option<Value>,
    /// flannel in host-gw mode.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::crds::free_form")]
    pub flannel: Option<Value>,
}

/// Who manages a cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ManagementCluster {
    /// Name.
    #[serde(default)]
    pub name: String,
}
