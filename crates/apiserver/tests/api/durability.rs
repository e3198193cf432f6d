//! `kill -9` while many writers write: everything that was acknowledged is there afterwards. And by strace: no
//! acknowledgement before its sync.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use apiserver::ApiServer;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{ListParams, PostParams};
use kube::{Api, ResourceExt as _};
use serde_json::{Value, json};

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

const LISTS: &str = "GANTRY_TEST_DURABILITY_LISTS";
/// Objects of a list.
const TOGETHER: usize = 100;

/// Applies lists one after the other, one line for each acknowledged list.
async fn apply_lists(server: &ApiServer, count: usize) {
    for number in 0..count {
        let items: Vec<Value> = (0..TOGETHER)
            .map(|item| {
                let name = format!("l{number}-{item}");
                json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name},
                    "data": {"n": number.to_string()}})
            })
            .collect();
        let list = json!({"apiVersion": "v1", "kind": "ConfigMapList", "items": items});
        let request =
            http::Request::patch("/api/v1/namespaces/default/configmaps?fieldManager=one&force=true")
                .header(http::header::CONTENT_TYPE, "application/apply-patch+yaml")
                .body(list.to_string().into_bytes());
        let done = server.client().request::<Value>(request.unwrap()).await;
        done.unwrap();
        println!("acknowledged list {number}");
    }
}

/// The child: applies lists until it is killed.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "run by the test below in a process of its own"]
async fn list_process() {
    let Ok(directory) = std::env::var(LISTS) else {
        return;
    };
    let server = ApiServer::open(config(directory.as_ref())).await.unwrap();
    apply_lists(&server, usize::MAX).await;
}

/// What an import meets that is killed and run again.
#[tokio::test(flavor = "multi_thread")]
async fn a_list_is_there_as_a_whole_after_kill_9_and_may_be_applied_again() {
    let dir = tempfile::tempdir().unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "durability::list_process", "--ignored", "--nocapture"])
        .env(LISTS, dir.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let output = BufReader::new(child.stdout.take().unwrap());
    let mut acknowledged = 0;
    for line in output.lines().map_while(Result::ok) {
        if line.contains("acknowledged list ") {
            acknowledged += 1;
        }
        if acknowledged == 5 {
            child.kill().unwrap();
        }
    }
    child.wait().unwrap();
    assert!(acknowledged >= 5, "{acknowledged}");
    let server = ApiServer::open(config(dir.path())).await.unwrap();
    let api: Api<ConfigMap> = Api::namespaced(server.client(), "default");
    let all = api.list(&ListParams::default()).await.unwrap().items;
    // One more list may have been committed and not acknowledged any more.
    assert!(
        all.len() == acknowledged * TOGETHER || all.len() == (acknowledged + 1) * TOGETHER,
        "{acknowledged} lists were acknowledged, {} objects are there",
        all.len()
    );
    let uids = |all: Vec<ConfigMap>| -> BTreeMap<String, String> {
        let named = all.into_iter().map(|map| (map.name_any(), map.uid().unwrap()));
        named.collect()
    };
    let before = uids(all);
    apply_lists(&server, acknowledged + 2).await;
    let after = uids(api.list(&ListParams::default()).await.unwrap().items);
    assert_eq!(after.len(), (acknowledged + 2) * TOGETHER);
    assert!(
        before.iter().all(|(name, uid)| after.get(name) == Some(uid)),
        "an object was made anew"
    );
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
