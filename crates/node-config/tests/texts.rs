//! Golden texts; every YAML and JSON among them reads back.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr)]

use std::collections::BTreeMap;

use node_config::install::{InstallInputs, template};
use node_config::{
    BootstrapDocument, CaFiles, ClusterSettings, FIRST_BOOT_SCRIPT, HostNetwork, Images, JoinSecrets,
    NodeSettings, Profile, flannel, init, join_control_plane, join_worker, meta_data, netplan, user_data,
};
use resources::anywhere::{Taint, User};
use resources::gantry::{ComponentImage, HandoverPolicy, ReleaseSpec};
use resources::{Compression, Digest, GuidReference, ImageManifest, Secret};
use serde_json::Value;

fn images() -> Images {
    let component = |name: &str, image: &str| ComponentImage {
        name: name.to_owned(),
        image: image.to_owned(),
        digest: None,
    };
    Images::from_release(&ReleaseSpec {
        components: vec![
            component("etcd", "registry.k8s.io/etcd:3.6.6-0"),
            component("coredns", "registry.k8s.io/coredns/coredns:v1.13.1"),
            component("flannel", "ghcr.io/flannel-io/flannel:v0.26.7"),
            component("keepalived", "gantry.dev/keepalived:trixie"),
        ],
        ..ReleaseSpec::default()
    })
    .unwrap()
}

fn cluster(profile: Profile) -> ClusterSettings {
    ClusterSettings {
        name: "demo".to_owned(),
        endpoint: "192.0.2.10".parse().unwrap(),
        load_balancer: true,
        vrrp_id: 11,
        kubernetes_version: "v1.35.4".to_owned(),
        pod_cidr: "10.244.0.0/16".to_owned(),
        service_cidr: "10.96.0.0/12".to_owned(),
        node_mask: 24,
        cert_sans: vec!["api.example.com".to_owned()],
        api_server_extra_args: BTreeMap::from([("v".to_owned(), "2".to_owned())]),
        resolv_conf: None,
        profile,
        images: images(),
    }
}

fn node() -> NodeSettings {
    NodeSettings {
        name: "node-1".to_owned(),
        ip: "192.0.2.11".parse().unwrap(),
        mac: "52:54:00:00:00:01".parse().unwrap(),
        provider_id: "tinkerbell://eksa-system/node-1".to_owned(),
        labels: BTreeMap::from([
            ("rack".to_owned(), "r1".to_owned()),
            ("node-role.kubernetes.io/worker".to_owned(), String::new()),
        ]),
        taints: Some(vec![Taint {
            key: "dedicated".to_owned(),
            value: Some("yes".to_owned()),
            effect: "NoSchedule".to_owned(),
            time_added: None,
        }]),
    }
}

fn keys() -> CaFiles {
    let key = |name: &str| Secret::new(format!("fake key of {name}\n"));
    CaFiles {
        ca_certificate: "fake ca\n".to_owned(),
        ca_key: key("ca"),
        etcd_certificate: "fake etcd ca\n".to_owned(),
        etcd_key: key("etcd"),
        front_proxy_certificate: "fake front-proxy ca\n".to_owned(),
        front_proxy_key: key("front-proxy"),
        service_account_public: "fake sa public\n".to_owned(),
        service_account_private: key("sa"),
    }
}

fn secrets() -> JoinSecrets {
    JoinSecrets {
        token: Secret::new("abcdef.0123456789abcdef".to_owned()),
        ca_cert_hash: format!("sha256:{}", "0a".repeat(32)),
    }
}

fn network(vlan: Option<u16>) -> HostNetwork {
    HostNetwork {
        mac: "52:54:00:00:00:01".parse().unwrap(),
        ip: "192.0.2.11".parse().unwrap(),
        prefix: 24,
        gateway: Some("192.0.2.1".parse().unwrap()),
        nameservers: vec!["192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap()],
        vlan,
    }
}

fn users() -> Vec<User> {
    vec![User {
        name: "admin".to_owned(),
        ssh_authorized_keys: vec!["ssh-ed25519 AAAA fake@example".to_owned()],
    }]
}

/// The document as text: each file with mode and content, then the command.
fn shown(document: &BootstrapDocument) -> String {
    use base64::Engine as _;
    let mut text = String::new();
    for file in &document.files {
        let content = base64::engine::general_purpose::STANDARD
            .decode(&file.content_base64)
            .unwrap();
        let content = String::from_utf8(content).unwrap();
        if file.path.ends_with(".yaml") {
            let parts: Vec<Value> = serde_saphyr::from_multiple(&content).unwrap();
            assert!(
                parts
                    .iter()
                    .all(|part| part["apiVersion"].is_string() && part["kind"].is_string()),
                "{content}"
            );
        }
        if file.path.ends_with(".sh") {
            text += &format!(
                "=== {:o} {} ({} lines)\n",
                file.mode,
                file.path,
                content.lines().count()
            );
        } else {
            text += &format!("=== {:o} {}\n{content}", file.mode, file.path);
        }
    }
    text + &format!("=== {}\n", document.command.join(" "))
}

#[test]
fn first_control_plane() {
    let token = secrets().token;
    insta::assert_snapshot!(
        "init-lab",
        shown(&init(&cluster(Profile::Lab), &node(), &keys(), &token).unwrap())
    );
    let standard = shown(&init(&cluster(Profile::Standard), &node(), &keys(), &token).unwrap());
    assert!(
        !["strategic", "timeouts", "TimerSlack"]
            .iter()
            .any(|lab| standard.contains(lab)),
        "{standard}"
    );
}

#[test]
fn without_a_load_balancer_there_is_no_keepalived() {
    let mut cluster = cluster(Profile::Standard);
    cluster.load_balancer = false;
    let document = init(&cluster, &node(), &keys(), &secrets().token).unwrap();
    assert!(
        document
            .files
            .iter()
            .all(|file| !file.path.contains("keepalived"))
    );
}

#[test]
fn worker() {
    let mut node = node();
    node.taints = None;
    insta::assert_snapshot!(
        "join-worker",
        shown(&join_worker(&cluster(Profile::Standard), &node, &secrets()).unwrap())
    );
}

#[test]
fn further_control_plane_gets_the_same_keys() {
    let node = node();
    let document = join_control_plane(&cluster(Profile::Standard), &node, &keys(), &secrets()).unwrap();
    let text = shown(&document);
    assert!(
        text.contains("localAPIEndpoint")
            && text.contains("virtual_router_id 11")
            && text.contains("fake key of ca")
    );
}

#[test]
fn the_document_is_json_and_never_printed() {
    let document = init(&cluster(Profile::Standard), &node(), &keys(), &secrets().token).unwrap();
    assert!(!format!("{document:?}").contains("ZmFrZSBrZXk"));
    let json: Value = serde_json::from_str(document.to_json().unwrap().reveal()).unwrap();
    assert_eq!(json["command"][2], "init");
    assert!(json["files"][0]["contentBase64"].is_string() && json["files"][0]["mode"] == 0o700);
}

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
        users: &users,
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
