//! kubeadm's patches of the lab profile: probes that do not kill what is only slow.

use serde_json::json;

use crate::cluster::Profile;
use crate::error::{Error, yaml};

/// File names and texts; none for the standard profile. Readiness is left alone: kube-controller-manager and
/// kube-scheduler have no readiness probe in every version, and a patch would make one without a handler.
pub(crate) fn patches(profile: Profile) -> Result<Vec<(String, String)>, Error> {
    if profile == Profile::Standard {
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
        let patch = json!({
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": { "name": component, "namespace": "kube-system" },
            "spec": { "containers": [{
                "name": component,
                "livenessProbe": { "timeoutSeconds": 60, "failureThreshold": 30 },
                "startupProbe": { "timeoutSeconds": 60, "failureThreshold": 60 },
            }] },
        });
        Ok((
            format!("{component}0+strategic.yaml"),
            yaml("a kubeadm patch", &patch)?,
        ))
    })
    .collect()
}
