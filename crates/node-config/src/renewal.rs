//! The Pod that renews the certificates of a member of a control plane, on its node, and what it says when it is done.
//!
//! Its program is the host's own: the Pod shows it the host's `/usr`, and enters the host's namespaces. So any image that is on
//! the node will do, even one without a shell.

use std::net::IpAddr;

use resources::{Digest, keys};
use serde_json::{Value, json};

const SCRIPT: &str = include_str!("renewal/renew.sh");
/// Longest time in which a static pod restarts. Etcd and API server do one after the other.
pub const RESTART_SECONDS: u32 = 180;
/// Longest time of the whole: kubeadm, and five static pods.
const RENEWAL_SECONDS: u32 = 1080;

/// The Pod of one renewal.
#[derive(Debug, Clone, Copy)]
pub struct Renewal<'a> {
    /// Name of the Pod.
    pub name: &'a str,
    /// Machine whose certificates are renewed.
    pub machine: &'a str,
    /// Its node.
    pub node: &'a str,
    /// Its address.
    pub address: IpAddr,
    /// An image that is on the node.
    pub image: &'a str,
}

/// The Pod. It goes on without an API, runs once, and ends by itself.
#[must_use]
pub fn renewal_pod(renewal: &Renewal<'_>) -> Value {
    // What the shell of the host's /usr does in the container: it opens the file for the last words while it sees it.
    let enter = "exec 3> /dev/termination-log; exec /usr/bin/nsenter --target 1 --mount --uts --ipc --net -- /bin/sh -c \"$@\"";
    let folders = ["usr", "lib", "lib64"];
    let mounts =
        folders.map(|name| json!({ "name": name, "mountPath": format!("/{name}"), "readOnly": true }));
    let volumes = folders.map(|name| json!({ "name": name, "hostPath": { "path": format!("/{name}") } }));
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": renewal.name,
            "namespace": "kube-system",
            "labels": { keys::RENEWS_CERTIFICATES: renewal.machine },
        },
        "spec": {
            "nodeName": renewal.node,
            "hostPID": true,
            "hostNetwork": true,
            "restartPolicy": "Never",
            "activeDeadlineSeconds": RENEWAL_SECONDS,
            "terminationGracePeriodSeconds": 1,
            "priorityClassName": "system-node-critical",
            "automountServiceAccountToken": false,
            "enableServiceLinks": false,
            "tolerations": [{ "operator": "Exists" }],
            "containers": [{
                "name": "renew",
                "image": renewal.image,
                "imagePullPolicy": "IfNotPresent",
                "command": [
                    "/usr/bin/sh", "-c", enter, "enter",
                    SCRIPT, "renew.sh", renewal.address.to_string(), RESTART_SECONDS.to_string(),
                ],
                "securityContext": { "privileged": true, "runAsUser": 0 },
                "terminationMessagePolicy": "FallbackToLogsOnError",
                "volumeMounts": mounts,
            }],
            "volumes": volumes,
        },
    })
}

/// The certificates that a renewal has put in place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RenewalReport {
    /// SHA-256 of the API server's (DER).
    pub api_server: Digest,
    /// SHA-256 of etcd's (DER).
    pub etcd: Digest,
}

impl RenewalReport {
    /// Reads what the Pod leaves as its message.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let of = |name: &str| {
            let mut lines = text.lines().filter_map(|line| line.split_once(' '));
            lines.find(|(known, _)| *known == name)?.1.trim().parse().ok()
        };
        Some(Self {
            api_server: of("kube-apiserver")?,
            etcd: of("etcd")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_report_names_both_certificates() {
        let (one, other) = ("11".repeat(32), "22".repeat(32));
        let text = format!("kube-apiserver {one}\netcd {other}\n");
        let wanted = RenewalReport {
            api_server: Digest::new([0x11; 32]),
            etcd: Digest::new([0x22; 32]),
        };
        assert_eq!(RenewalReport::parse(&text), Some(wanted));
        for wrong in [
            "",
            "etcd",
            &format!("kube-apiserver {one}\netcd 22"),
            &format!("etcd {other}"),
        ] {
            assert_eq!(RenewalReport::parse(wrong), None, "{wrong}");
        }
    }

    /// The kubelet ends the Pod before its step is over, and each restart has its time.
    #[test]
    fn the_pod_has_the_time_of_its_script() {
        const { assert!(RENEWAL_SECONDS >= 5 * RESTART_SECONDS + 120) };
    }
}
