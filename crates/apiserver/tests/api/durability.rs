//! `kill -9` while many writers write: everything that was acknowledged is there afterwards. And by strace: no
//! acknowledgement before its sync.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use apiserver::ApiServer;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::api::PostParams;
use serde_json::json;

use crate::fixture::config;

const DIRECTORY: &str = "GANTRY_TEST_DURABILITY_DIRECTORY";
const WRITERS: &str = "GANTRY_TEST_DURABILITY_WRITERS";
const COUNT: &str = "GANTRY_TEST_DURABILITY_COUNT";

/// The child: writes until it is killed or done, one line for each acknowledged object.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "run by the tests below in a process of its own"]
async fn writer_process() {
    let Ok(directory) = std::env::var(DIRECTORY) else {
        return;
    };
    let number = |name: &str| std::env::var(name).ok().and_then(|n| n.parse::<u32>().ok());
    let server = ApiServer::open(config(directory.as_ref())).await.unwrap();
    let writers = (0..number(WRITERS).unwrap()).map(|writer| {
        let api: Api<ConfigMap> = Api::namespaced(server.client(), "default");
        async move {
            for number in 0..number(COUNT).unwrap() {
                let name = format!("w{writer}-{number}");
                let object = json!({"metadata": {"name": name}, "data": {"n": number.to_string()}});
                let object = serde_json::from_value(object).unwrap();
                api.create(&PostParams::default(), &object).await.unwrap();
                println!("acknowledged {name}");
            }
        }
    });
    futures::future::join_all(writers).await;
}

fn child(mut command: Command, directory: &Path, writers: u32, count: u32) -> Command {
    command
        .args([
            "--exact",
            "durability::writer_process",
            "--ignored",
            "--nocapture",
        ])
        .env(DIRECTORY, directory)
        .env(WRITERS, writers.to_string())
        .env(COUNT, count.to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    command
}

#[tokio::test(flavor = "multi_thread")]
async fn acknowledged_writes_survive_kill_9() {
    let dir = tempfile::tempdir().unwrap();
    let program = Command::new(std::env::current_exe().unwrap());
    let mut child = child(program, dir.path(), 8, u32::MAX).spawn().unwrap();
    let output = BufReader::new(child.stdout.take().unwrap());
    let mut acknowledged = Vec::new();
    for line in output.lines() {
        let Ok(line) = line else { break };
        if let Some((_, name)) = line.split_once("acknowledged ") {
            acknowledged.push(name.trim().to_owned());
        }
        if acknowledged.len() == 200 {
            child.kill().unwrap();
        }
    }
    child.wait().unwrap();
    assert!(acknowledged.len() >= 200, "{}", acknowledged.len());
    let server = ApiServer::open(config(dir.path())).await.unwrap();
    server.database().file().check().await.unwrap();
    let api: Api<ConfigMap> = Api::namespaced(server.client(), "default");
    for name in acknowledged {
        api.get(&name)
            .await
            .unwrap_or_else(|e| panic!("{name} was acknowledged and is lost: {e}"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_acknowledgement_leaves_before_its_sync() {
    let dir = tempfile::tempdir().unwrap();
    let trace = dir.path().join("trace");
    let mut strace = Command::new("strace");
    strace
        .args(["-f", "-qq", "-s", "64", "-e", "trace=fdatasync,fsync,write", "-o"])
        .arg(&trace);
    strace.arg(std::env::current_exe().unwrap());
    let Ok(output) = child(strace, &dir.path().join("."), 1, 20).output() else {
        eprintln!("skipped: no strace found");
        return;
    };
    let text = std::fs::read_to_string(&trace).unwrap_or_default();
    if text.is_empty() {
        eprintln!("skipped: strace may not trace here");
        return;
    }
    assert!(output.status.success());
    let (mut synced, mut acknowledged) = (false, 0);
    for line in text.lines() {
        // The second half of a call that another thread interrupted counts, the first does not.
        let done = line.ends_with("= 0");
        synced |= done && (line.contains("fdatasync") || line.contains("fsync"));
        if line.contains("write(1, \"acknowledged ") {
            assert!(synced, "an acknowledgement left before its sync: {line}");
            (synced, acknowledged) = (false, acknowledged + 1);
        }
    }
    assert_eq!(acknowledged, 20);
}
