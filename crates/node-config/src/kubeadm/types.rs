//! The fields of kubeadm.k8s.io/v1beta4 and of the component configurations that a node gets from us, in the order in
//! which they are printed.

use serde::Serialize;

/// Arguments of a component, in v1beta4's form.
pub(super) type ArgList = Vec<Arg>;

/// One argument.
#[derive(Debug, Serialize)]
pub(super) struct Arg {
    name: String,
    value: String,
}

/// A list of arguments.
pub(super) fn arguments<N: Into<String>, V: Into<String>>(list: impl IntoIterator<Item = (N, V)>) -> ArgList {
    list.into_iter()
        .map(|(name, value)| Arg {
            name: name.into(),
            value: value.into(),
        })
        .collect()
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct InitConfiguration {
    pub(super) api_version: &'static str,
    pub(super) kind: &'static str,
    pub(super) bootstrap_tokens: Vec<BootstrapToken>,
    #[serde(rename = "localAPIEndpoint")]
    pub(super) local_api_endpoint: LocalApiEndpoint,
    pub(super) node_registration: NodeRegistration,
    pub(super) patches: Patches,
    pub(super) skip_phases: Vec<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) timeouts: Option<Timeouts>,
}

#[derive(Debug, Serialize)]
pub(super) struct BootstrapToken {
    pub(super) token: String,
    pub(super) description: &'static str,
    pub(super) ttl: &'static str,
    pub(super) usages: Vec<&'static str>,
    pub(super) groups: Vec<&'static str>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct LocalApiEndpoint {
    pub(super) advertise_address: String,
    pub(super) bind_port: u16,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct NodeRegistration {
    pub(super) name: String,
    pub(super) cri_socket: &'static str,
    pub(super) image_pull_policy: &'static str,
    pub(super) kubelet_extra_args: ArgList,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) taints: Option<Vec<NodeTaint>>,
}

#[derive(Debug, Serialize)]
pub(super) struct NodeTaint {
    pub(super) key: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) value: Option<String>,
    pub(super) effect: String,
}

#[derive(Debug, Serialize)]
pub(super) struct Patches {
    pub(super) directory: &'static str,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Timeouts {
    pub(super) control_plane_component_health_check: &'static str,
    pub(super) kubelet_health_check: &'static str,
    #[serde(rename = "kubernetesAPICall")]
    pub(super) kubernetes_api_call: &'static str,
    #[serde(rename = "etcdAPICall")]
    pub(super) etcd_api_call: &'static str,
    pub(super) tls_bootstrap: &'static str,
    pub(super) discovery: &'static str,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ClusterConfiguration {
    pub(super) api_version: &'static str,
    pub(super) kind: &'static str,
    pub(super) cluster_name: String,
    pub(super) kubernetes_version: String,
    pub(super) control_plane_endpoint: String,
    pub(super) encryption_algorithm: &'static str,
    pub(super) networking: Networking,
    pub(super) api_server: ApiServer,
    pub(super) controller_manager: ControlPlaneComponent,
    pub(super) scheduler: ControlPlaneComponent,
    pub(super) etcd: Etcd,
    pub(super) dns: Dns,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Networking {
    pub(super) dns_domain: &'static str,
    pub(super) pod_subnet: String,
    pub(super) service_subnet: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ApiServer {
    #[serde(rename = "certSANs")]
    pub(super) cert_sans: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) extra_args: ArgList,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) extra_volumes: Vec<HostPathMount>,
}

/// A file or folder of the machine that a component sees under the same path.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct HostPathMount {
    pub(super) name: &'static str,
    pub(super) host_path: &'static str,
    pub(super) mount_path: &'static str,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(super) read_only: bool,
    pub(super) path_type: &'static str,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ControlPlaneComponent {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) extra_args: ArgList,
}

#[derive(Debug, Serialize)]
pub(super) struct Etcd {
    pub(super) local: LocalEtcd,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct LocalEtcd {
    pub(super) data_dir: &'static str,
    pub(super) image_tag: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) extra_args: ArgList,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Dns {
    pub(super) image_tag: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct JoinConfiguration {
    pub(super) api_version: &'static str,
    pub(super) kind: &'static str,
    pub(super) ca_cert_path: &'static str,
    pub(super) discovery: Discovery,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) control_plane: Option<JoinControlPlane>,
    pub(super) node_registration: NodeRegistration,
    pub(super) patches: Patches,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) timeouts: Option<Timeouts>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Discovery {
    pub(super) bootstrap_token: BootstrapTokenDiscovery,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct BootstrapTokenDiscovery {
    pub(super) token: String,
    pub(super) api_server_endpoint: String,
    pub(super) ca_cert_hashes: Vec<String>,
}

#[derive(Debug, Serialize)]
pub(super) struct JoinControlPlane {
    #[serde(rename = "localAPIEndpoint")]
    pub(super) local_api_endpoint: LocalApiEndpoint,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct KubeletConfiguration {
    pub(super) api_version: &'static str,
    pub(super) kind: &'static str,
    pub(super) cgroup_driver: &'static str,
    pub(super) resolv_conf: String,
    pub(super) rotate_certificates: bool,
    pub(super) read_only_port: i32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) config_map_and_secret_change_detection_strategy: Option<&'static str>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct KubeProxyConfiguration {
    pub(super) api_version: &'static str,
    pub(super) kind: &'static str,
    pub(super) mode: &'static str,
    #[serde(rename = "clusterCIDR")]
    pub(super) cluster_cidr: String,
}
