//! How the certificates of a member of a control plane are renewed: by a Pod on its node, and what that says when it is done; or,
//! when they have ended and no Pod can be started, by a Workflow that does it in the installer.
//!
//! Its program is the host's own: the Pod shows it the host's `/usr`, and enters the host's namespaces. So any image that is on
//! the node will do, even one without a shell.

use std::net::IpAddr;

use resources::{Digest, keys};
use serde_json::{Value, json};

use crate::install::quoted;

const SCRIPT: &str = concat!(
    include_str!("renewal/files.sh"),
    "\n",
    include_str!("renewal/restart.sh")
);
const SCRIPT_IN_INSTALLER: &str = concat!(
    include_str!("renewal/files.sh"),
    "\n",
    include_str!("renewal/ended.sh")
);
/// Seconds that the installer has for it: disks are looked through, and kubeadm is called twice.
const INSTALLER_SECONDS: u64 = 600;
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

/// The Template's text of the Workflow that renews, in the installer, the certificates of the member on node `node` that have
/// ended, and starts its system again. `disk` is the name that the system's disk is pinned under. `patience` multiplies the
/// timeouts; 1 on real machines.
#[must_use]
pub fn renewal_template(workflow: &str, node: &str, disk: &str, patience: u32) -> String {
    let (name, disk) = (quoted(workflow), quoted(disk));
    let timeout = INSTALLER_SECONDS.saturating_mul(patience.max(1).into());
    let (script, node) = (quoted(SCRIPT_IN_INSTALLER), quoted(node));
    format!(
        "version: \"0.1\"\nname: {name}\nglobal_timeout: {}\ntasks:\n- name: {name}\n  worker: \"{{{{.device_1}}}}\"\n  actions:\n  - \
         name: renew-certificates\n    image: gantry/renew-certificates\n    timeout: {timeout}\n    environment:\n      DEST_DISK: \
         {disk}\n      NODE_NAME: {node}\n      RENEWAL_SCRIPT: {script}\n  - name: restart\n    image: gantry/reboot\n    timeout: \
         300\n    environment:\n      DEST_DISK: {disk}\n",
        timeout.saturating_mul(2).saturating_add(600)
    )
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
