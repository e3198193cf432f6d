//! The control-plane address: keepalived (VRRP version 2, RFC 3768) as a static pod on every control-plane node.

use serde_json::json;

use crate::cluster::{API_PORT, ClusterSettings, INTERFACE, Profile};
use crate::error::{Error, yaml};
use crate::node::NodeSettings;

/// keepalived's configuration with [`INTERFACE`] in it.
///
/// A node counts as healthy while its API server says that it is ready, which includes its etcd; until the first check
/// has succeeded it does not (`init_fail`). An unhealthy node has a lower priority and never gives the address up
/// altogether: with nobody to take it over that would only make things worse. All members have the same priority, so
/// the address moves when its holder becomes unhealthy or silent, and not back when a member returns (RFC 3768 §6.4.2:
/// only a higher priority preempts). `nopreempt` would also keep it at a holder that is unhealthy.
///
/// The script is named by its real directory: keepalived drops one whose path leads through a symbolic link to a
/// directory, as `/bin` is, and then every node counts as healthy. A check has no limit of its own: busybox' wget leaves
/// its process for TLS behind when it gives up, and keepalived ends both.
///
/// Advertisements are multicast and not authenticated: VRRP has no authentication worth the name, and whoever can send
/// them on the segment can also answer ARP for the address.
pub(crate) fn configuration(cluster: &ClusterSettings, node: &NodeSettings, router_id: u8) -> String {
    let (interval, timeout) = pace(cluster.profile);
    format!(
        "global_defs {{
    router_id {name}
    script_user root
    enable_script_security
    vrrp_garp_master_refresh 60
}}

vrrp_script api {{
    script \"/usr/bin/wget -q -O /dev/null --no-check-certificate https://127.0.0.1:{API_PORT}/readyz\"
    interval {interval}
    timeout {timeout}
    fall 3
    rise 1
    weight -100
    init_fail
}}

vrrp_instance control_plane {{
    state BACKUP
    interface {INTERFACE}
    virtual_router_id {router}
    priority 150
    advert_int 1
    virtual_ipaddress {{
        {endpoint}/32
    }}
    track_script {{
        api
    }}
}}
",
        name = node.name,
        router = router_id,
        endpoint = cluster.endpoint,
    )
}

/// Seconds from one check to the next, and for one check. The latter is shorter, because keepalived skips a check
/// while the last one runs.
const fn pace(profile: Profile) -> (u8, u8) {
    match profile {
        Profile::Standard => (5, 4),
        Profile::Lab => (10, 9),
    }
}

/// The static pod.
pub(crate) fn manifest(cluster: &ClusterSettings) -> Result<String, Error> {
    let pod = json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": "keepalived",
            "namespace": "kube-system",
            "labels": { "component": "keepalived", "tier": "control-plane" },
        },
        "spec": {
            "hostNetwork": true,
            "priorityClassName": "system-node-critical",
            "containers": [{
                "name": "keepalived",
                "image": cluster.images.keepalived,
                "imagePullPolicy": "IfNotPresent",
                "securityContext": { "capabilities": { "add": ["NET_ADMIN", "NET_BROADCAST", "NET_RAW"] } },
                "resources": { "requests": { "cpu": "100m", "memory": "16Mi" } },
                "volumeMounts": [{
                    "name": "configuration",
                    "mountPath": "/etc/keepalived/keepalived.conf",
                    "readOnly": true,
                }],
            }],
            "volumes": [{
                "name": "configuration",
                "hostPath": { "path": "/etc/keepalived/keepalived.conf", "type": "File" },
            }],
        },
    });
    yaml("the keepalived pod", &pod)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::LONGEST_MOVE_SECONDS;

    /// The check has failed three times, and the next advertisement says so; or three of them are missing.
    #[test]
    fn the_address_moves_when_plans_say_so() {
        for profile in [Profile::Standard, Profile::Lab] {
            let (interval, timeout) = pace(profile);
            let checks = 3 * u32::from(interval) + u32::from(timeout);
            assert!(checks + 4 <= LONGEST_MOVE_SECONDS, "{profile:?}");
        }
    }
}
