//! flannel in host-gw mode: routes between nodes of one network, no encapsulation.
//!
//! A second container beside flanneld writes the CNI configuration once flannel has the node's range, so a node turns
//! Ready when its pod network works and not before.

use serde_json::{Value, json};

use crate::cluster::{API_PORT, ClusterSettings};

/// Waits for flannel's choice of a range, and writes the configuration of the plugins `bridge`, `host-local` and `portmap`, which
/// every image for Kubernetes nodes has in `/opt/cni/bin`.
const WRITE_CNI_CONF: &str = include_str!("../../../images/flannel/write-cni-conf.sh");

/// flannel's objects, in the order in which they are applied.
#[must_use]
pub fn flannel(cluster: &ClusterSettings) -> Vec<Value> {
    let labels = json!({ "app": "flannel", "k8s-app": "flannel", "tier": "node" });
    let network = json!({
        "Network": cluster.pod_cidr,
        "EnableNFTables": true,
        "Backend": { "Type": "host-gw" },
    });
    vec![
        json!({
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {
                "name": "kube-flannel",
                "labels": { "k8s-app": "flannel", "pod-security.kubernetes.io/enforce": "privileged" },
            },
        }),
        json!({
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": { "name": "flannel", "namespace": "kube-flannel", "labels": { "k8s-app": "flannel" } },
        }),
        json!({
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRole",
            "metadata": { "name": "flannel", "labels": { "k8s-app": "flannel" } },
            "rules": [
                { "apiGroups": [""], "resources": ["pods"], "verbs": ["get"] },
                { "apiGroups": [""], "resources": ["nodes"], "verbs": ["get", "list", "watch"] },
                { "apiGroups": [""], "resources": ["nodes/status"], "verbs": ["patch"] },
            ],
        }),
        json!({
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRoleBinding",
            "metadata": { "name": "flannel", "labels": { "k8s-app": "flannel" } },
            "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "flannel" },
            "subjects": [{ "kind": "ServiceAccount", "name": "flannel", "namespace": "kube-flannel" }],
        }),
        json!({
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": { "name": "kube-flannel-cfg", "namespace": "kube-flannel", "labels": labels },
            "data": { "net-conf.json": network.to_string() },
        }),
        daemon_set(cluster, &labels),
    ]
}

/// The command that writes the CNI configuration: Gantry's image of flannel has it as a program, the public one has a shell.
fn write_cni_conf(cluster: &ClusterSettings) -> Vec<&'static str> {
    if cluster.system.is_own() {
        vec!["/opt/bin/write-cni-conf"]
    } else {
        vec!["/bin/sh", "-c", WRITE_CNI_CONF]
    }
}

pub(crate) fn daemon_set(cluster: &ClusterSettings, labels: &Value) -> Value {
    let from_pod =
        |name: &str, path: &str| json!({ "name": name, "valueFrom": { "fieldRef": { "fieldPath": path } } });
    let mount = |name: &str, path: &str| json!({ "name": name, "mountPath": path });
    let directory = |name: &str, path: &str| json!({ "name": name, "hostPath": { "path": path, "type": "DirectoryOrCreate" } });
    json!({
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": { "name": "kube-flannel-ds", "namespace": "kube-flannel", "labels": labels },
        "spec": {
            "selector": { "matchLabels": { "app": "flannel" } },
            "template": {
                "metadata": { "labels": labels },
                "spec": {
                    "hostNetwork": true,
                    "priorityClassName": "system-node-critical",
                    "serviceAccountName": "flannel",
                    "nodeSelector": { "kubernetes.io/os": "linux" },
                    "tolerations": [{ "operator": "Exists" }],
                    "containers": [
                        {
                            "name": "kube-flannel",
                            "image": cluster.images.flannel,
                            "imagePullPolicy": "IfNotPresent",
                            "command": ["/opt/bin/flanneld"],
                            // By the node's own address: the control-plane address on the same NIC must not be taken.
                            "args": ["--ip-masq", "--kube-subnet-mgr", "--iface=$(NODE_IP)"],
                            "env": [
                                from_pod("POD_NAME", "metadata.name"),
                                from_pod("POD_NAMESPACE", "metadata.namespace"),
                                from_pod("NODE_IP", "status.hostIP"),
                                // Not by the Service: the pod network must not wait for kube-proxy.
                                { "name": "KUBERNETES_SERVICE_HOST", "value": cluster.endpoint.to_string() },
                                { "name": "KUBERNETES_SERVICE_PORT", "value": API_PORT.to_string() },
                                { "name": "EVENT_QUEUE_DEPTH", "value": "5000" },
                            ],
                            "resources": { "requests": { "cpu": "100m", "memory": "50Mi" } },
                            "securityContext": {
                                "privileged": false,
                                "capabilities": { "add": ["NET_ADMIN", "NET_RAW"] },
                            },
                            "volumeMounts": [
                                mount("run", "/run/flannel"),
                                mount("configuration", "/etc/kube-flannel/"),
                                mount("xtables-lock", "/run/xtables.lock"),
                            ],
                        },
                        {
                            "name": "write-cni-conf",
                            "image": cluster.images.flannel,
                            "imagePullPolicy": "IfNotPresent",
                            "command": write_cni_conf(cluster),
                            "resources": { "requests": { "cpu": "50m", "memory": "4Mi" } },
                            "volumeMounts": [mount("run", "/run/flannel"), mount("cni", "/etc/cni/net.d")],
                        },
                    ],
                    "volumes": [
                        directory("run", "/run/flannel"),
                        directory("cni", "/etc/cni/net.d"),
                        { "name": "configuration", "configMap": { "name": "kube-flannel-cfg" } },
                        {
                            "name": "xtables-lock",
                            "hostPath": { "path": "/run/xtables.lock", "type": "FileOrCreate" },
                        },
                    ],
                },
            },
        },
    })
}
