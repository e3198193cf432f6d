//! Pods for the nodes that have another version of Kubernetes than the control plane. A node image holds the container images
//! of its own version alone, so kube-proxy and flannel need a DaemonSet for each version that stays in a cluster. A node says
//! its version by a label, and the DaemonSets that every cluster has leave out the nodes that have one of their own.

use std::collections::BTreeSet;

use resources::keys;
use serde_json::{Value, json};

use crate::cluster::{ClusterSettings, with_tag};
use crate::flannel::daemon_set;

/// What [`keys::KUBERNETES_VERSION`] says of a version such as `v1.35.4`, on nodes and DaemonSets.
#[must_use]
pub fn version_label(version: &str) -> String {
    let is_allowed = |letter: char| letter.is_ascii_alphanumeric() || "-_.".contains(letter);
    version
        .chars()
        .map(|letter| if is_allowed(letter) { letter } else { '_' })
        .collect()
}

/// Name of the DaemonSet for nodes with this label beside the one that every cluster has. Names of pods follow from it, and
/// should have no dots.
#[must_use]
pub fn name_for_version(name: &str, label: &str) -> String {
    let label = label.to_ascii_lowercase().replace(['.', '_'], "-");
    format!("{name}-{label}")
}

/// Affinity of a DaemonSet that leaves out the nodes with these labels; none where there are none.
#[must_use]
pub fn affinity_without(labels: &BTreeSet<String>) -> Option<Value> {
    (!labels.is_empty()).then(|| affinity("NotIn", &json!(labels)))
}

fn affinity(operator: &str, labels: &Value) -> Value {
    json!({ "nodeAffinity": { "requiredDuringSchedulingIgnoredDuringExecution": { "nodeSelectorTerms": [
        { "matchExpressions": [{ "key": keys::KUBERNETES_VERSION, "operator": operator, "values": labels }] },
    ] } } })
}

/// kube-proxy for nodes with this version, as kubeadm writes it for all nodes. `image` is the one that runs on the others.
/// Its configuration is the one of all nodes: kube-proxy reads fields that it does not know with a warning.
#[must_use]
pub fn kube_proxy_for_version(image: &str, version: &str) -> Value {
    let mount = |name: &str, path: &str| json!({ "name": name, "mountPath": path });
    let set = json!({
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": { "name": "kube-proxy", "namespace": "kube-system" },
        "spec": { "template": { "spec": {
            "hostNetwork": true,
            "priorityClassName": "system-node-critical",
            "serviceAccountName": "kube-proxy",
            "nodeSelector": { "kubernetes.io/os": "linux" },
            "tolerations": [{ "operator": "Exists" }],
            "containers": [{
                "name": "kube-proxy",
                "image": with_tag(image, version),
                "imagePullPolicy": "IfNotPresent",
                "command": [
                    "/usr/local/bin/kube-proxy",
                    "--config=/var/lib/kube-proxy/config.conf",
                    "--hostname-override=$(NODE_NAME)",
                ],
                "env": [{ "name": "NODE_NAME", "valueFrom": { "fieldRef": { "fieldPath": "spec.nodeName" } } }],
                // As much as it has on the others.
                "resources": { "requests": { "cpu": "100m" } },
                "securityContext": { "privileged": true },
                "volumeMounts": [
                    mount("kube-proxy", "/var/lib/kube-proxy"),
                    mount("xtables-lock", "/run/xtables.lock"),
                    { "name": "lib-modules", "mountPath": "/lib/modules", "readOnly": true },
                ],
            }],
            "volumes": [
                { "name": "kube-proxy", "configMap": { "name": "kube-proxy" } },
                { "name": "xtables-lock", "hostPath": { "path": "/run/xtables.lock", "type": "FileOrCreate" } },
                { "name": "lib-modules", "hostPath": { "path": "/lib/modules" } },
            ],
        } } },
    });
    for_version(set, "kube-proxy-older", version)
}

/// flannel's DaemonSet for nodes with the version of these settings.
#[must_use]
pub fn flannel_for_version(cluster: &ClusterSettings) -> Value {
    let set = daemon_set(cluster, &Value::Null);
    for_version(set, "flannel-older", &cluster.kubernetes_version)
}

/// The set of a version of its own: its name, its nodes, and labels that no other set selects.
fn for_version(mut set: Value, app: &str, version: &str) -> Value {
    let label = version_label(version);
    let labels = json!({ "k8s-app": app, keys::KUBERNETES_VERSION: label });
    let name = set["metadata"]["name"].as_str().unwrap_or_default();
    set["metadata"]["name"] = name_for_version(name, &label).into();
    set["metadata"]["labels"] = labels.clone();
    let spec = &mut set["spec"];
    spec["selector"] = json!({ "matchLabels": labels });
    spec["template"]["metadata"] = json!({ "labels": labels });
    spec["template"]["spec"]["affinity"] = affinity("In", &json!([label]));
    set
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_labels_and_parts_of_names() {
        for (version, label, name) in [
            ("v1.34.2", "v1.34.2", "kube-proxy-v1-34-2"),
            ("v1.34.0-rc.1", "v1.34.0-rc.1", "kube-proxy-v1-34-0-rc-1"),
            ("v1.34.2+Site", "v1.34.2_Site", "kube-proxy-v1-34-2-site"),
        ] {
            assert_eq!(version_label(version), label);
            assert_eq!(name_for_version("kube-proxy", label), name);
        }
    }
}
