//! kubeadm's patches of the lab profile: probes that do not kill what is only slow, nor keep it busy.

use serde_json::json;

use crate::cluster::{API_PORT, ClusterSettings, Profile};
use crate::error::{Error, yaml};

/// File names and texts; none for the standard profile. Readiness is patched only where every version has a probe: a
/// patch would make one without a handler.
pub(crate) fn patches(cluster: &ClusterSettings) -> Result<Vec<(String, String)>, Error> {
    if cluster.profile == Profile::Standard {
        return Ok(Vec::new());
    }
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
