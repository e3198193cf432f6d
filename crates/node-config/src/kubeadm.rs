//! kubeadm's configuration: kubeadm.k8s.io/v1beta4 with the component configurations beside it.

mod patches;
mod types;

pub(crate) use patches::patches;
use types::{
    ApiServer, ArgList, BootstrapToken, BootstrapTokenDiscovery, ClusterConfiguration, ControlPlaneComponent,
    Discovery, Dns, Etcd, HostPathMount, InitConfiguration, JoinConfiguration, JoinControlPlane,
    KubeProxyConfiguration, KubeletConfiguration, LocalApiEndpoint, LocalEtcd, Networking, NodeRegistration,
    NodeTaint, Patches, Timeouts, arguments,
};

use crate::audit;
use crate::cluster::{API_PORT, ClusterSettings, Profile};
use crate::error::{Error, yaml};
use crate::join_secrets::JoinSecrets;
use crate::node::{NodeSettings, kubelet_sets_label};

const KUBEADM: &str = "kubeadm.k8s.io/v1beta4";
const KUBELET: &str = "kubelet.config.k8s.io/v1beta1";
/// Where the patches lie on a node.
pub(crate) const PATCH_DIR: &str = "/etc/kubernetes/patches";

/// Documents of `kubeadm init`. `token` is the bootstrap token that kubeadm makes anyway; with one of ours it is short.
pub(crate) fn init_documents(
    cluster: &ClusterSettings,
    node: &NodeSettings,
    token: &str,
) -> Result<String, Error> {
    let init = InitConfiguration {
        api_version: KUBEADM,
        kind: "InitConfiguration",
        bootstrap_tokens: vec![BootstrapToken {
            token: token.to_owned(),
            description: "made at kubeadm init, unused",
            ttl: "10m0s",
            usages: vec!["signing", "authentication"],
            groups: vec!["system:bootstrappers:kubeadm:default-node-token"],
        }],
        local_api_endpoint: local_endpoint(node),
        node_registration: registration(node),
        patches: Patches { directory: PATCH_DIR },
        skip_phases: skip_phases(cluster.profile),
        timeouts: timeouts(cluster.profile),
    };
    let parts = [
        yaml("InitConfiguration", &init)?,
        yaml("ClusterConfiguration", &cluster_configuration(cluster))?,
        yaml("KubeletConfiguration", &kubelet(cluster))?,
        yaml("KubeProxyConfiguration", &kube_proxy(cluster))?,
    ];
    Ok(parts.join("---\n"))
}

/// `kubelet-finalize` restarts the kubelet for what its next start can take up as well; `bootstrap.sh` does the rest of
/// it. The wait for the control plane asks three members twice a second over new TLS connections, which an emulated
/// machine feels; the phase after it tries until the API answers.
fn skip_phases(profile: Profile) -> Vec<&'static str> {
    match profile {
        Profile::Standard => vec!["kubelet-finalize"],
        Profile::Lab => vec!["kubelet-finalize", "wait-control-plane"],
    }
}

/// Document of `kubeadm join`.
pub(crate) fn join_document(
    cluster: &ClusterSettings,
    node: &NodeSettings,
    secrets: &JoinSecrets,
    control_plane: bool,
) -> Result<String, Error> {
    let join = JoinConfiguration {
        api_version: KUBEADM,
        kind: "JoinConfiguration",
        ca_cert_path: "/etc/kubernetes/pki/ca.crt",
        discovery: Discovery {
            bootstrap_token: BootstrapTokenDiscovery {
                token: secrets.token.reveal().clone(),
                api_server_endpoint: format!("{}:{API_PORT}", cluster.endpoint),
                ca_cert_hashes: vec![secrets.ca_cert_hash.clone()],
            },
        },
        control_plane: control_plane.then(|| JoinControlPlane {
            local_api_endpoint: local_endpoint(node),
        }),
        node_registration: registration(node),
        patches: Patches { directory: PATCH_DIR },
        timeouts: timeouts(cluster.profile),
    };
    yaml("JoinConfiguration", &join)
}

/// The ConfigMap in which machines that join a cluster find its ClusterConfiguration, as `kubeadm init` leaves it and
/// `kubeadm upgrade` rewrites it.
///
/// # Errors
/// When the configuration can't be written as YAML.
pub fn cluster_config(cluster: &ClusterSettings) -> Result<serde_json::Value, Error> {
    let text = yaml("ClusterConfiguration", &cluster_configuration(cluster))?;
    Ok(serde_json::json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": { "name": "kubeadm-config", "namespace": "kube-system" },
        "data": { "ClusterConfiguration": text },
    }))
}

fn local_endpoint(node: &NodeSettings) -> LocalApiEndpoint {
    LocalApiEndpoint {
        advertise_address: node.place.address(),
        bind_port: API_PORT,
    }
}

fn registration(node: &NodeSettings) -> NodeRegistration {
    let labels: Vec<String> = node
        .labels
        .iter()
        .filter(|(key, _)| kubelet_sets_label(key))
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    let mut args = vec![("node-ip", node.place.address())];
    args.extend(node.place.provider_id().map(|id| ("provider-id", id.to_owned())));
    if !labels.is_empty() {
        args.push(("node-labels", labels.join(",")));
    }
    NodeRegistration {
        name: node.name.clone(),
        cri_socket: "unix:///run/containerd/containerd.sock",
        image_pull_policy: "IfNotPresent",
        kubelet_extra_args: arguments(args),
        taints: node.taints.as_ref().map(|taints| {
            let taint = |taint: &resources::anywhere::Taint| NodeTaint {
                key: taint.key.clone(),
                value: taint.value.clone(),
                effect: taint.effect.clone(),
            };
            taints.iter().map(taint).collect()
        }),
    }
}

fn timeouts(profile: Profile) -> Option<Timeouts> {
    match profile {
        Profile::Standard => None,
        Profile::Lab => Some(Timeouts {
            control_plane_component_health_check: "10m0s",
            kubelet_health_check: "10m0s",
            kubernetes_api_call: "10m0s",
            etcd_api_call: "10m0s",
            tls_bootstrap: "10m0s",
            discovery: "10m0s",
        }),
    }
}

fn cluster_configuration(cluster: &ClusterSettings) -> ClusterConfiguration {
    let patient = cluster.profile == Profile::Lab;
    let mut controller_manager = arguments([("node-cidr-mask-size", cluster.node_mask.to_string())]);
    controller_manager.extend(election(cluster));
    if patient {
        controller_manager.extend(arguments([("node-monitor-grace-period", "2m0s")]));
    }
    let etcd = if patient {
        vec![("heartbeat-interval", "500"), ("election-timeout", "5000")]
    } else {
        Vec::new()
    };
    ClusterConfiguration {
        api_version: KUBEADM,
        kind: "ClusterConfiguration",
        cluster_name: cluster.name.clone(),
        kubernetes_version: cluster.kubernetes_version.clone(),
        control_plane_endpoint: format!("{}:{API_PORT}", cluster.endpoint),
        // Elliptic curves: the same strength as the cluster's CAs, and keys cost no time on slow machines.
        encryption_algorithm: "ECDSA-P256",
        networking: Networking {
            dns_domain: "cluster.local",
            pod_subnet: cluster.pod_cidr.clone(),
            service_subnet: cluster.service_cidr.clone(),
        },
        api_server: api_server(cluster),
        controller_manager: ControlPlaneComponent {
            extra_args: controller_manager,
        },
        scheduler: ControlPlaneComponent {
            extra_args: election(cluster),
        },
        etcd: Etcd {
            local: LocalEtcd {
                data_dir: "/var/lib/etcd",
                image_tag: cluster.images.etcd_tag.clone(),
                extra_args: arguments(etcd),
            },
        },
        dns: Dns {
            image_tag: cluster.images.coredns_tag.clone(),
        },
    }
}

fn api_server(cluster: &ClusterSettings) -> ApiServer {
    let mut names = vec![cluster.endpoint.to_string()];
    names.extend(cluster.cert_sans.iter().cloned());
    let said = cluster.api_server_extra_args.iter();
    let mut extra_args = arguments(said.map(|(name, value)| (name.as_str(), value.clone())));
    extra_args.extend(arguments(audit::arguments(cluster)));
    let mut extra_volumes = Vec::new();
    if audit::policy(cluster).is_some() {
        let same = |name, path, read_only, path_type| HostPathMount {
            name,
            host_path: path,
            mount_path: path,
            read_only,
            path_type,
        };
        extra_volumes.push(same("audit-policy", audit::POLICY_PATH, true, "File"));
        extra_volumes.push(same(
            "audit-log",
            audit::LOG_DIRECTORY,
            false,
            "DirectoryOrCreate",
        ));
    }
    ApiServer {
        cert_sans: names,
        extra_args,
        extra_volumes,
    }
}

/// Leases of kube-controller-manager and kube-scheduler in the lab, where a slow machine must not lose one.
fn election(cluster: &ClusterSettings) -> ArgList {
    match cluster.profile {
        Profile::Standard => Vec::new(),
        Profile::Lab => arguments([
            ("leader-elect-lease-duration", "60s"),
            ("leader-elect-renew-deadline", "45s"),
            ("leader-elect-retry-period", "10s"),
        ]),
    }
}

fn kubelet(cluster: &ClusterSettings) -> KubeletConfiguration {
    KubeletConfiguration {
        api_version: KUBELET,
        kind: "KubeletConfiguration",
        cgroup_driver: "systemd",
        resolv_conf: cluster
            .resolv_conf
            .clone()
            .unwrap_or_else(|| cluster.system.resolv_conf().to_owned()),
        rotate_certificates: true,
        read_only_port: 0,
        // A watch for each of them has a second to begin, too short for an emulated machine.
        config_map_and_secret_change_detection_strategy: (cluster.profile == Profile::Lab).then_some("Get"),
    }
}

fn kube_proxy(cluster: &ClusterSettings) -> KubeProxyConfiguration {
    KubeProxyConfiguration {
        api_version: "kubeproxy.config.k8s.io/v1alpha1",
        kind: "KubeProxyConfiguration",
        mode: "nftables",
        cluster_cidr: cluster.pod_cidr.clone(),
    }
}
