//! User data of machines that are made with their data.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use node_config::{
    BootstrapDocument, EtcdSnapshot, NodePlace, NodeSettings, Profile, init, join_worker, pushed_user_data,
    restore,
};
use resources::Digest;
use serde_json::Value;

use crate::demo::{cluster, keys, node, secrets, users};

fn found() -> NodeSettings {
    NodeSettings {
        place: NodePlace::Found,
        ..node()
    }
}

/// The files of user data: path, permissions and content.
fn files(userdata: &str) -> Vec<(String, String, Vec<u8>)> {
    assert!(userdata.starts_with("#cloud-config\n"));
    let data: Value = serde_saphyr::from_str(userdata).unwrap();
    let files = data["write_files"].as_array().unwrap().iter();
    let text = |file: &Value, name: &str| file[name].as_str().unwrap().to_owned();
    files
        .map(|file| {
            let content = text(file, "content");
            let content = match file["encoding"].as_str().unwrap() {
                "b64" => STANDARD.decode(content).unwrap(),
                _ => content.into_bytes(),
            };
            assert_eq!(file["owner"], "root:root");
            (text(file, "path"), text(file, "permissions"), content)
        })
        .collect()
}

#[test]
fn it_writes_the_document_and_runs_its_command() {
    let cluster = cluster(Profile::Standard);
    let documents = [
        init(&cluster, &found(), &keys(), &secrets().token).unwrap(),
        join_worker(&cluster, &found(), &secrets()).unwrap(),
    ];
    for document in documents {
        let userdata = pushed_user_data(&document, "node-1", &users()).unwrap();
        let data: Value = serde_saphyr::from_str(userdata.reveal()).unwrap();
        assert_eq!(data["hostname"], "node-1");
        let mut written = files(userdata.reveal());
        let (path, permissions, starter) = written.pop().unwrap();
        let expected = document.files.iter().map(|file| {
            let content = STANDARD.decode(&file.content_base64).unwrap();
            (file.path.clone(), format!("{:04o}", file.mode), content)
        });
        assert_eq!(written, expected.collect::<Vec<_>>());
        assert_eq!(
            (path.as_str(), permissions.as_str()),
            ("/var/lib/cloud/scripts/per-boot/50-gantry-bootstrap", "0700")
        );
        let words: Vec<String> = document.command.iter().map(|word| format!("'{word}'")).collect();
        assert!(String::from_utf8(starter).unwrap().contains(&words.join(" ")));
        let kubeadm = written.iter().find(|(path, ..)| path.ends_with("/kubeadm.yaml"));
        let kubeadm = String::from_utf8(kubeadm.unwrap().2.clone()).unwrap();
        assert!(
            kubeadm.contains("@ADDRESS@") && !kubeadm.contains("provider-id"),
            "{kubeadm}"
        );
    }
}

/// Runs the starter with a command in the place of the document's; its exit status.
fn start(folder: &Path, command: &str) -> i32 {
    let document = BootstrapDocument {
        files: Vec::new(),
        downloads: Vec::new(),
        command: ["/bin/sh", "-c", command].map(str::to_owned).to_vec(),
    };
    let userdata = pushed_user_data(&document, "node-1", &[]).unwrap();
    let (_, _, starter) = files(userdata.reveal()).pop().unwrap();
    let program = folder.join("starter");
    fs::write(&program, starter).unwrap();
    let sleep = folder.join("sleep");
    fs::write(&sleep, "#!/bin/sh\n").unwrap();
    fs::set_permissions(&sleep, fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", folder.display(), std::env::var("PATH").unwrap());
    let status = Command::new("/bin/sh").arg(program).env("PATH", path).status();
    status.unwrap().code().unwrap()
}

#[test]
fn the_command_is_repeated_where_that_does_no_harm() {
    for (fails, status, expected, runs) in [(2, 7, 0, 3), (9, 7, 7, 4), (9, 100, 100, 1)] {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("it's a log");
        let quoted = log.display().to_string().replace('\'', r"'\''");
        let command =
            format!("echo run >> '{quoted}'; [ \"$(wc -l < '{quoted}')\" -gt {fails} ] || exit {status}");
        assert_eq!(start(folder.path(), &command), expected, "{command}");
        assert_eq!(
            fs::read_to_string(log).unwrap().lines().count(),
            runs,
            "{command}"
        );
    }
}

#[test]
fn a_snapshot_of_etcd_is_too_big_for_it() {
    let snapshot = EtcdSnapshot {
        sha256: Digest::new([1; 32]),
        size: 1,
        is_older: false,
    };
    let cluster = cluster(Profile::Standard);
    let document = restore(&cluster, &found(), &keys(), &secrets().token, snapshot).unwrap();
    let error = pushed_user_data(&document, "node-1", &users()).unwrap_err();
    assert!(error.to_string().contains("etcd-snapshot.db"), "{error}");
}
