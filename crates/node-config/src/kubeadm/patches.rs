//! kubeadm's patches: the kubelet's settings of one node, and in the lab's profile probes that do not kill what is only slow,
//! nor keep it busy, and an API server that leaves room for CoreDNS on a machine of one processor.

use serde_json::{Value, json};

use super::KUBELET;
use crate::cluster::{API_PORT, ClusterSettings, Profile};
use crate::error::{Error, yaml};
use crate::node::NodeSettings;

/// File names and texts.
pub(crate) fn patches(
    cluster: &ClusterSettings,
    node: &NodeSettings,
) -> Result<Vec<(String, String)>, Error> {
    let mut patches = Vec::new();
    if cluster.profile == Profile::Lab {
        patches = static_pods(cluster)?;
    }
    if let Some(fields) = node.kubelet.as_ref().and_then(Value::as_object) {
        let mut patch = json!({ "apiVersion": KUBELET, "kind": "KubeletConfiguration" });
        for (name, value) in fields {
            patch[name] = value.clone();
        }
        let text = yaml("the kubelet's settings", &patch)?;
        patches.push(("kubeletconfiguration0+strategic.yaml".to_owned(), text));
    }
    Ok(patches)
}

/// Readiness is patched only where every version has a probe: a patch would make one without a handler.
fn static_pods(cluster: &ClusterSettings) -> Result<Vec<(String, String)>, Error> {
    [
        "etcd",
        "kube-apiserver",
        "kube-controller-manager",
        "kube-scheduler",
    ]
    .into_iter()
    .map(|component| {
        let mut patch = json!({
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": { "name": component, "namespace": "kube-system" },
            "spec": { "containers": [{
                "name": component,
                "livenessProbe": { "timeoutSeconds": 60, "failureThreshold": 30 },
                "startupProbe": { "timeoutSeconds": 60, "failureThreshold": 60 },
            }] },
        });
        // kubeadm asks each second, with a TLS handshake.
        if component == "kube-apiserver" {
            patch["spec"]["containers"][0]["readinessProbe"] =
                json!({ "periodSeconds": 10, "timeoutSeconds": 60 });
            // kubeadm asks for 250m; with what else runs on each member that would be the whole processor.
            patch["spec"]["containers"][0]["resources"] = json!({ "requests": { "cpu": "150m" } });
        }
        if component == "kube-controller-manager" {
            patch["spec"]["initContainers"] = json!([wait_for_api(&cluster.images.keepalived)]);
        }
        Ok((
            format!("{component}0+strategic.yaml"),
            yaml("a kubeadm patch", &patch)?,
        ))
    })
    .collect()
}

/// kube-controller-manager ends when its API server is not healthy within ten seconds of its start, and each new start
/// is later by a longer pause. Who may not ask without a name (401) at least finds it answering.
fn wait_for_api(image: &str) -> serde_json::Value {
    let script = format!(
        "until answer=$(/usr/bin/busybox wget -q -T 10 --no-check-certificate -O - https://127.0.0.1:{API_PORT}/healthz 2>&1)
do case $answer in *' 401 '*) break ;; esac; /usr/bin/busybox sleep 3; done"
    );
    json!({
        "name": "wait-for-api",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["/usr/bin/busybox", "sh", "-c", script],
        "resources": { "requests": { "cpu": "50m", "memory": "8Mi" } },
    })
}
