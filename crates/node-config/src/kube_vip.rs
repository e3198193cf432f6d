//! The control-plane address: kube-vip as a static pod on every control-plane node, in its ARP mode, as
//! `kube-vip manifest pod --controlplane --arp --leaderElection` writes it.
//!
//! Its instances elect the one that holds the address by a Lease in the cluster, each through the API server of its own node,
//! whose certificate has the name `kubernetes`. So an instance gets the address when its API server answers, and gives it up
//! when that has not taken its renewals for [`Election::renew`] seconds; the others take it over when the Lease is over.

use serde_json::json;

use crate::cluster::{API_PORT, ClusterSettings, INTERFACE, Profile};
use crate::error::{Error, yaml};

/// File in `/etc/kubernetes` with the credentials: `admin.conf`, which has no rights before `kubeadm init` has given it some,
/// and until then `super-admin.conf`. The bootstrap script puts it in.
const KUBECONFIG: &str = "@KUBECONFIG@";

/// Seconds of the election (client-go's leaderelection).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Election {
    /// Others wait so long after they have seen the last renewal.
    lease: u32,
    /// The holder gives up after so long without a renewal.
    renew: u32,
    /// From one try to the next.
    retry: u32,
}

const fn election(profile: Profile) -> Election {
    match profile {
        Profile::Standard => Election {
            lease: 15,
            renew: 10,
            retry: 2,
        },
        Profile::Lab => Election {
            lease: 30,
            renew: 20,
            retry: 3,
        },
    }
}

/// The static pod with [`INTERFACE`] and [`KUBECONFIG`] in it. What `kube-vip manifest` writes beside it, its metrics at port
/// 2112 of every address, is left out: nobody has to log in there.
pub(crate) fn manifest(cluster: &ClusterSettings, image: &str) -> Result<String, Error> {
    let Election { lease, renew, retry } = election(cluster.profile);
    let mut environment = vec![json!({
        "name": "vip_nodename",
        "valueFrom": { "fieldRef": { "fieldPath": "spec.nodeName" } },
    })];
    let settings = [
        ("vip_arp", "true".to_owned()),
        ("port", API_PORT.to_string()),
        ("vip_interface", INTERFACE.to_owned()),
        ("vip_subnet", "32".to_owned()),
        ("dns_mode", "first".to_owned()),
        ("cp_enable", "true".to_owned()),
        ("cp_namespace", "kube-system".to_owned()),
        ("vip_leaderelection", "true".to_owned()),
        ("vip_leasename", "plndr-cp-lock".to_owned()),
        ("vip_leaseduration", lease.to_string()),
        ("vip_renewdeadline", renew.to_string()),
        ("vip_retryperiod", retry.to_string()),
        ("address", cluster.endpoint.to_string()),
    ];
    environment.extend(settings.map(|(name, value)| json!({ "name": name, "value": value })));
    let pod = json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": "kube-vip",
            "namespace": "kube-system",
            "labels": { "component": "kube-vip", "tier": "control-plane" },
        },
        "spec": {
            "hostNetwork": true,
            "hostAliases": [{ "ip": "127.0.0.1", "hostnames": ["kubernetes"] }],
            "priorityClassName": "system-node-critical",
            "containers": [{
                "name": "kube-vip",
                "image": image,
                "imagePullPolicy": "IfNotPresent",
                "args": ["manager"],
                "env": environment,
                "securityContext": { "capabilities": { "add": ["NET_ADMIN", "NET_RAW"], "drop": ["ALL"] } },
                "resources": { "requests": { "cpu": "100m", "memory": "32Mi" } },
                "volumeMounts": [{
                    "name": "kubeconfig",
                    "mountPath": "/etc/kubernetes/admin.conf",
                    "readOnly": true,
                }],
            }],
            "volumes": [{
                "name": "kubeconfig",
                "hostPath": { "path": format!("/etc/kubernetes/{KUBECONFIG}"), "type": "File" },
            }],
        },
    });
    yaml("the kube-vip pod", &pod)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::LONGEST_MOVE_SECONDS;

    /// As client-go wants it, which else refuses to start; and the address has moved when plans say so.
    #[test]
    fn the_election_is_one_and_ends_in_time() {
        for profile in [Profile::Standard, Profile::Lab] {
            let Election { lease, renew, retry } = election(profile);
            // Whoever waits for it asks again after 1 to 2.2 times the period.
            let longest_retry = (retry * 22).div_ceil(10);
            assert!(lease > renew && renew > retry * 12 / 10, "{profile:?}");
            assert!(lease + 2 * longest_retry <= LONGEST_MOVE_SECONDS, "{profile:?}");
        }
    }
}
