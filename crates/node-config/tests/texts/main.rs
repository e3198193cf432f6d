//! Golden texts; every YAML and JSON among them reads back.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr)]

mod address_holder;
mod bootstrap;
mod brought_images;
mod demo;
mod machine_settings;
mod network_node;
mod pushed;
mod real_keepalived;
mod renewal;

use node_config::install::{InstallInputs, template};
use node_config::{
    FIRST_BOOT_SCRIPT, HostNetwork, Profile, flannel, flannel_for_version, kube_proxy_for_version, meta_data,
    netplan, user_data,
};
use resources::gantry::HandoverPolicy;
use resources::{Compression, Digest, GuidReference, ImageManifest};
use serde_json::Value;

use demo::{cluster, network, users};

#[test]
fn flannel_objects() {
    let objects = flannel(&cluster(Profile::Standard));
    let text: Vec<String> = objects
        .iter()
        .map(|object| serde_json::to_string_pretty(object).unwrap())
        .collect();
    insta::assert_snapshot!("flannel", text.join("\n"));
    let network: Value = serde_json::from_str(objects[4]["data"]["net-conf.json"].as_str().unwrap()).unwrap();
    assert_eq!(network["Backend"]["Type"], "host-gw");
}

/// What a cluster of 1.36 has for the nodes that stay at 1.35.
#[test]
fn objects_for_older_nodes() {
    let proxy = kube_proxy_for_version("registry.k8s.io/kube-proxy:v1.36.0", "v1.35.4");
    let sets = [proxy, flannel_for_version(&cluster(Profile::Standard))];
    let text: Vec<String> = sets
        .iter()
        .map(|object| serde_json::to_string_pretty(object).unwrap())
        .collect();
    insta::assert_snapshot!("older-nodes", text.join("\n"));
    let mut names = std::collections::BTreeSet::new();
    for set in &sets {
        let spec = &set["spec"];
        assert_eq!(
            spec["selector"]["matchLabels"],
            spec["template"]["metadata"]["labels"]
        );
        assert!(names.insert(set["metadata"]["name"].as_str()));
    }
    // No set of all nodes takes its pods for its own.
    let flannel = flannel(&cluster(Profile::Standard)).pop().unwrap();
    let own = &flannel["spec"]["selector"]["matchLabels"]["app"];
    assert_ne!(own, &sets[1]["spec"]["template"]["metadata"]["labels"]["app"]);
}

#[test]
fn netplan_texts() {
    insta::assert_snapshot!("netplan", netplan(&network(None)));
    insta::assert_snapshot!("netplan-vlan", netplan(&network(Some(17))));
    let mut far = network(None);
    far.gateway = Some("198.51.100.1".parse().unwrap());
    assert!(netplan(&far).contains("on-link: true"));
    for text in [
        netplan(&network(None)),
        netplan(&network(Some(17))),
        netplan(&far),
    ] {
        let value: Value = serde_saphyr::from_str(&text).unwrap();
        assert_eq!(value["network"]["version"], 2);
        assert_eq!(
            value["network"]["ethernets"]["id0"]["match"]["macaddress"],
            "52:54:00:00:00:01"
        );
    }
}

#[test]
fn seed_texts() {
    let text = user_data("node-1", &users()).unwrap();
    insta::assert_snapshot!("user-data", text);
    let value: Value = serde_saphyr::from_str(&text).unwrap();
    assert_eq!(
        value["users"][0]["ssh_authorized_keys"][0],
        "ssh-ed25519 AAAA fake@example"
    );
    let value: Value = serde_saphyr::from_str(&meta_data("i-1", "node-1").unwrap()).unwrap();
    assert_eq!(value["instance-id"], "i-1");
}

#[test]
fn workflow_text() {
    let image = ImageManifest {
        name: "debian-13-kubernetes-1.35".to_owned(),
        compression: Compression::Zstd,
        raw_size: 1 << 30,
        raw_digest: Digest::new([2; 32]),
        size: 1 << 20,
        digest: Digest::new([1; 32]),
        root_partition: Some(2),
        esp_partition: Some(1),
        os_family: Some("debian".to_owned()),
        kubernetes_version: Some("v1.35.4".to_owned()),
        cni: Some("flannel".to_owned()),
        guid_references: Some(vec![
            GuidReference {
                partition: 2,
                offset: 70_000_000,
            },
            GuidReference {
                partition: 2,
                offset: 80_000_001,
            },
        ]),
        chunks: Vec::new(),
    };
    let network = network(None);
    let users = users();
    let inputs = InstallInputs {
        workflow: "demo-cp-0-1",
        machine: "node-1",
        instance_id: "demo-cp-0-1",
        network: &network,
        image: &image,
        image_url: "http://192.0.2.5:7080/images/0101",
        os_family: "debian",
        metadata_url: "http://192.0.2.5:7080",
        users: &users,
        mounts: &[],
        handover: HandoverPolicy::Auto,
        patience: 1,
    };
    let text = template(&inputs).unwrap();
    // What a template engine makes of it: only our own actions are in double braces.
    let rendered = text
        .replace("{{.device_1}}", "52:54:00:00:00:01")
        .replace("{{ index .Hardware.Disks 0 }}", "/dev/sda")
        .replace("{{ formatPartition ( index .Hardware.Disks 0 ) 2 }}", "/dev/sda2");
    assert!(!rendered.contains("{{") && !rendered.contains("}}"), "{rendered}");
    let value: Value = serde_saphyr::from_str(&rendered).unwrap();
    let actions = value["tasks"][0]["actions"].as_array().unwrap();
    let names: Vec<&str> = actions
        .iter()
        .map(|action| action["image"].as_str().unwrap())
        .collect();
    assert_eq!(
        names,
        [
            "gantry/image2disk",
            "gantry/writefile",
            "gantry/writefile",
            "gantry/writefile",
            "gantry/writefile",
            "gantry/seed",
            "gantry/handover"
        ]
    );
    let seed = &actions[5]["environment"];
    assert_eq!(seed["FIRST_BOOT_SCRIPT"], FIRST_BOOT_SCRIPT);
    assert_eq!(seed["USER_DATA"], user_data("node-1", &users).unwrap());
    assert_eq!(actions[1]["environment"]["CONTENTS"], netplan(&network));
    assert_eq!(actions[0]["environment"]["IMG_RAW_SIZE"], "1073741824");
    let environment = &actions[0]["environment"];
    assert_eq!(environment["PARTITION_GUIDS"], "renew");
    assert_eq!(environment["GUID_REFERENCES"], "2@70000000,2@80000001");
    insta::assert_snapshot!("workflow", text.replace(FIRST_BOOT_SCRIPT, ""));

    let large = ImageManifest {
        raw_size: 60 << 30,
        guid_references: None,
        ..image.clone()
    };
    let text = template(&InstallInputs {
        image: &large,
        ..inputs
    })
    .unwrap();
    assert!(!text.contains("GUID"), "a user's image keeps its GUIDs: {text}");
    // 60 GiB at 100 MB/s, written and read back, take 1288 s.
    assert!(
        text.contains("image: gantry/image2disk\n    timeout: 3176\n"),
        "{text}"
    );
    assert!(text.contains("global_timeout: 8576\n"), "{text}");
}

#[test]
fn network_of_a_hardware() {
    let spec = serde_json::json!({ "interfaces": [
        { "disableDhcp": true },
        { "dhcp": {
            "mac": "52:54:00:00:00:01", "hostname": "node-1", "name_servers": ["192.0.2.1", "192.0.2.2"],
            "ip": { "address": "192.0.2.11", "netmask": "255.255.255.0", "gateway": "192.0.2.1" }, "vlan_id": "17",
        } },
    ] });
    let mut hardware = resources::tinkerbell::Hardware::new("hw", serde_json::from_value(spec).unwrap());
    assert_eq!(HostNetwork::of(&hardware).unwrap(), network(Some(17)));
    assert_eq!(node_config::hostname(&hardware), "node-1");
    hardware.spec.interfaces.truncate(1);
    assert!(
        HostNetwork::of(&hardware)
            .unwrap_err()
            .to_string()
            .starts_with("Hardware hw has no interface")
    );
    assert_eq!(node_config::hostname(&hardware), "hw");
}
