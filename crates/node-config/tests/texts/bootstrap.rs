//! The bootstrap documents: golden texts of each kind in each profile, and what kubeadm itself says of them.

use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use node_config::{
    BootstrapDocument, BootstrapFile, EtcdSnapshot, NodeSettings, Profile, System, init, join_control_plane,
    join_worker, restore,
};
use resources::Digest;
use serde_json::Value;

use crate::demo::{cluster, cluster_with_settings, keys, node, node_with_settings, secrets};

/// The document of each kind in each profile, and for a cluster with all settings, by name.
fn documents() -> Vec<(String, BootstrapDocument)> {
    let (node, keys, secrets) = (node(), keys(), secrets());
    let mut documents = Vec::new();
    for (cluster, node, name) in [
        (cluster(Profile::Standard), node.clone(), "standard"),
        (cluster(Profile::Lab), node, "lab"),
        (
            cluster_with_settings(Profile::Standard),
            node_with_settings(),
            "settings",
        ),
    ] {
        let worker = NodeSettings {
            taints: None,
            ..node.clone()
        };
        let kinds = [
            ("init", init(&cluster, &node, &keys, &secrets.token)),
            (
                "join-control-plane",
                join_control_plane(&cluster, &node, &keys, &secrets),
            ),
            ("join-worker", join_worker(&cluster, &worker, &secrets)),
        ];
        documents.extend(kinds.map(|(kind, document)| (format!("{kind}-{name}"), document.unwrap())));
    }
    documents
}

pub(crate) fn content(file: &BootstrapFile) -> String {
    String::from_utf8(STANDARD.decode(&file.content_base64).unwrap()).unwrap()
}

/// The document as text: each file with mode and content, then the command.
fn shown(document: &BootstrapDocument) -> String {
    let mut text = String::new();
    for file in &document.files {
        let content = content(file);
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
fn documents_of_each_kind_and_profile() {
    for (name, document) in documents() {
        insta::assert_snapshot!(name, shown(&document));
    }
}

#[test]
fn a_restore_is_init_with_the_data_of_a_snapshot() {
    for (profile, checks) in [
        (
            Profile::Standard,
            "DirAvailable--etc-kubernetes-manifests,DirAvailable--var-lib-etcd",
        ),
        (
            Profile::Lab,
            "DirAvailable--etc-kubernetes-manifests,DirAvailable--var-lib-etcd,NumCPU,Mem",
        ),
    ] {
        let (cluster, node, keys, token) = (cluster(profile), node(), keys(), secrets().token);
        let snapshot = EtcdSnapshot {
            sha256: Digest::new([0x0a; 32]),
            size: 20_512,
            is_older: false,
        };
        let init = init(&cluster, &node, &keys, &token).unwrap();
        let older = EtcdSnapshot {
            is_older: true,
            ..snapshot
        };
        let older = restore(&cluster, &node, &keys, &token, older).unwrap();
        assert_eq!(older.command.last().unwrap(), "older");
        let restore = restore(&cluster, &node, &keys, &token, snapshot).unwrap();
        let (functions, files): (Vec<_>, Vec<_>) = restore
            .files
            .iter()
            .cloned()
            .partition(|file| file.path.ends_with("/restore-etcd.sh"));
        assert_eq!(functions.len(), 1);
        assert_eq!(files, init.files);
        let json = |document: &BootstrapDocument| -> Value {
            serde_json::from_str(document.to_json().unwrap().reveal()).unwrap()
        };
        assert_eq!(json(&init).get("downloads"), None);
        assert_eq!(
            json(&restore)["downloads"],
            serde_json::json!([{
                "path": "/var/lib/gantry/bootstrap/etcd-snapshot.db",
                "mode": 0o600,
                "sha256": format!("sha256:{}", "0a".repeat(32)),
                "size": 20_512,
            }])
        );
        let script = "/var/lib/gantry/bootstrap/bootstrap.sh";
        let expected = [
            "/bin/sh",
            script,
            "restore",
            "52:54:00:00:00:01",
            "192.0.2.11",
            checks,
            "node-1",
        ];
        assert_eq!(restore.command, expected);
    }
}

/// What machines that join later read is what the first one was started with.
#[test]
fn the_cluster_s_configuration_is_that_of_init() {
    let cluster = cluster(Profile::Standard);
    let object = node_config::cluster_config(&cluster).unwrap();
    let text = object["data"]["ClusterConfiguration"].as_str().unwrap();
    let init = init(&cluster, &node(), &keys(), &secrets().token).unwrap();
    assert!(kubeadm_yaml(&init).contains(text), "{text}");
    assert_eq!(object["metadata"]["name"], "kubeadm-config");
}

/// The configuration that the document has for kubeadm.
pub(crate) fn kubeadm_yaml(document: &BootstrapDocument) -> String {
    let mut files = document.files.iter();
    content(files.find(|file| file.path.ends_with("/kubeadm.yaml")).unwrap())
}

/// What kubeadm of the image cache says of a configuration; `Err` if it refuses it.
pub(crate) fn validated(yaml: &str) -> Result<String, String> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("kubeadm.yaml");
    std::fs::write(&file, yaml).unwrap();
    let mut kubeadm = Command::new(sim::newest_build("kubeadm"));
    let output = kubeadm
        .args(["config", "validate", "--config"])
        .arg(&file)
        .output()
        .unwrap();
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8(said).unwrap();
    if output.status.success() {
        Ok(said)
    } else {
        Err(said)
    }
}

#[test]
#[ignore = "needs kubeadm from the image cache: gantry image build kubernetes"]
fn real_kubeadm_takes_every_document() {
    let mut brought = cluster(Profile::Standard);
    brought.system = System::RedHat;
    let brought = init(&brought, &node(), &keys(), &secrets().token).unwrap();
    for (name, document) in documents()
        .into_iter()
        .chain([("init-redhat".to_owned(), brought)])
    {
        let yaml = kubeadm_yaml(&document);
        assert_eq!(validated(&yaml), Ok("ok\n".to_owned()), "{name}");
        // It reads every part strictly: with a field that it does not know, none passes.
        let mut parts: Vec<String> = yaml.split("---\n").map(str::to_owned).collect();
        for at in 0..parts.len() {
            let good = parts[at].clone();
            parts[at] += "unknownField: 1\n";
            let refused = validated(&parts.join("---\n")).unwrap_err();
            assert!(refused.contains("unknownField"), "{name}: {refused}");
            parts[at] = good;
        }
    }
}

/// `bootstrap.sh` asks kubeadm so.
#[test]
#[ignore = "needs kubeadm from the image cache: gantry image build kubernetes"]
fn real_kubeadm_names_the_image_of_etcd() {
    let document = init(&cluster(Profile::Standard), &node(), &keys(), &secrets().token).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("kubeadm.yaml");
    std::fs::write(&file, kubeadm_yaml(&document)).unwrap();
    let mut kubeadm = Command::new(sim::newest_build("kubeadm"));
    let output = kubeadm
        .args(["config", "images", "list", "--config"])
        .arg(&file)
        .output()
        .unwrap();
    let listed = String::from_utf8(output.stdout).unwrap();
    let of_etcd: Vec<&str> = listed.lines().filter(|image| image.contains("/etcd:")).collect();
    assert_eq!(of_etcd, ["registry.k8s.io/etcd:3.6.6-0"], "{listed}");
}

#[test]
fn the_document_is_json_and_never_printed() {
    let document = init(&cluster(Profile::Standard), &node(), &keys(), &secrets().token).unwrap();
    assert!(!format!("{document:?}").contains("ZmFrZSBrZXk"));
    let json: Value = serde_json::from_str(document.to_json().unwrap().reveal()).unwrap();
    assert_eq!(json["command"][2], "init");
    assert!(json["files"][0]["contentBase64"].is_string() && json["files"][0]["mode"] == 0o700);
}
