//! What holds the control-plane address: which files of a machine differ by it, and kube-vip's static pod.

use std::collections::BTreeMap;

use node_config::{AddressHolder, BootstrapDocument, Profile, init, join_control_plane, join_worker};
use serde_json::{Value, json};

use crate::bootstrap::content;
use crate::demo::{cluster, keys, node, secrets};

/// Documents of a first, another, and no member of the control plane.
fn documents(profile: Profile, holder: &AddressHolder) -> [BootstrapDocument; 3] {
    let mut cluster = cluster(profile);
    cluster.address_holder = holder.clone();
    let (node, keys, secrets) = (node(), keys(), secrets());
    [
        init(&cluster, &node, &keys, &secrets.token).unwrap(),
        join_control_plane(&cluster, &node, &keys, &secrets).unwrap(),
        join_worker(&cluster, &node, &secrets).unwrap(),
    ]
}

fn kube_vip() -> AddressHolder {
    AddressHolder::KubeVip {
        image: "ghcr.io/kube-vip/kube-vip:v1.2.0".to_owned(),
    }
}

/// Files of a document by path.
fn files(document: &BootstrapDocument) -> BTreeMap<&str, (u32, String)> {
    let files = document.files.iter();
    files
        .map(|file| (file.path.as_str(), (file.mode, content(file))))
        .collect()
}

fn manifest(profile: Profile) -> String {
    let [first, ..] = documents(profile, &kube_vip());
    files(&first)["/var/lib/gantry/bootstrap/kube-vip.yaml.in"]
        .1
        .clone()
}

#[test]
fn only_the_files_of_the_holder_differ() {
    let keepalived = AddressHolder::Keepalived { router_id: 11 };
    let stage = "/var/lib/gantry/bootstrap";
    for profile in [Profile::Standard, Profile::Lab] {
        let with = documents(profile, &keepalived);
        for (holder, own) in [
            (kube_vip(), Some("kube-vip.yaml.in")),
            (AddressHolder::LoadBalancer, None),
        ] {
            let other = documents(profile, &holder);
            for (member, (with, other)) in with.iter().zip(&other).enumerate() {
                assert_eq!(with.command, other.command, "{holder:?}");
                let (mut with, mut other) = (files(with), files(other));
                if member < 2 {
                    for gone in ["keepalived.conf.in", "keepalived.yaml"] {
                        assert!(
                            with.remove(format!("{stage}/{gone}").as_str()).is_some(),
                            "{gone}"
                        );
                    }
                    if let Some(own) = own {
                        let (mode, _) = other.remove(format!("{stage}/{own}").as_str()).unwrap();
                        assert_eq!(mode, 0o600);
                    }
                }
                assert_eq!(with, other, "{holder:?}");
            }
        }
    }
}

#[test]
fn kube_vip_texts() {
    for (profile, name) in [(Profile::Standard, "standard"), (Profile::Lab, "lab")] {
        insta::assert_snapshot!(format!("kube-vip-{name}"), manifest(profile));
    }
}

/// What `kube-vip manifest pod --interface @INTERFACE@ --address 192.0.2.10 --controlplane --arp --leaderElection
/// --leaseDuration 15 --leaseRenewDuration 10 --leaseRetry 2` of kube-vip v1.0 writes, where it decides what kube-vip does:
/// program, environment, rights, files and names. Ours has nothing else, and lacks nothing but the listener of metrics.
#[test]
fn the_pod_is_that_of_kube_vip_s_own_manifest() {
    let pod: Value = serde_saphyr::from_str(&manifest(Profile::Standard)).unwrap();
    let container = &pod["spec"]["containers"][0];
    let environment: BTreeMap<&str, &Value> = container["env"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| {
            let value = entry.get("value").or(entry.get("valueFrom"));
            (entry["name"].as_str().unwrap(), value.unwrap())
        })
        .collect();
    let printed = json!({
        "address": "192.0.2.10",
        "cp_enable": "true",
        "cp_namespace": "kube-system",
        "dns_mode": "first",
        "port": "6443",
        "vip_arp": "true",
        "vip_interface": "@INTERFACE@",
        "vip_leaderelection": "true",
        "vip_leaseduration": "15",
        "vip_leasename": "plndr-cp-lock",
        "vip_nodename": { "fieldRef": { "fieldPath": "spec.nodeName" } },
        "vip_renewdeadline": "10",
        "vip_retryperiod": "2",
        "vip_subnet": "32",
    });
    assert_eq!(json!(environment), printed);
    assert_eq!(container["args"], json!(["manager"]));
    assert_eq!(
        container["securityContext"]["capabilities"],
        json!({ "add": ["NET_ADMIN", "NET_RAW"], "drop": ["ALL"] })
    );
    assert_eq!(
        container["volumeMounts"][0]["mountPath"],
        "/etc/kubernetes/admin.conf"
    );
    assert_eq!(
        pod["spec"]["hostAliases"],
        json!([{ "ip": "127.0.0.1", "hostnames": ["kubernetes"] }])
    );
    assert_eq!(pod["spec"]["hostNetwork"], true);
    assert_eq!(
        (&pod["metadata"]["name"], &pod["metadata"]["namespace"]),
        (&json!("kube-vip"), &json!("kube-system"))
    );
}
