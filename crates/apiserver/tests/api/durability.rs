//! `kill -9` while many writers write: everything that was acknowledged is there afterwards.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use apiserver::ApiServer;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::api::PostParams;
use serde_json::json;

use crate::fixture::config;

const DIRECTORY: &str = "GANTRY_TEST_DURABILITY_DIRECTORY";

/// The child: writes until it is killed, one line for each acknowledged object.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "run by acknowledged_writes_survive_kill_9 in a process of its own"]
async fn writer_until_killed() {
    let Ok(directory) = std::env::var(DIRECTORY) else {
        return;
    };
    let server = ApiServer::open(config(directory.as_ref())).await.unwrap();
    let writers = (0..8).map(|writer| {
        let api: Api<ConfigMap> = Api::namespaced(server.client(), "default");
        async move {
            for number in 0.. {
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

#[tokio::test(flavor = "multi_thread")]
async fn acknowledged_writes_survive_kill_9() {
    let dir = tempfile::tempdir().unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "durability::writer_until_killed",
            "--ignored",
            "--nocapture",
        ])
        .env(DIRECTORY, dir.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
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
    server.database().check().await.unwrap();
    let api: Api<ConfigMap> = Api::namespaced(server.client(), "default");
    for name in acknowledged {
        api.get(&name)
            .await
            .unwrap_or_else(|e| panic!("{name} was acknowledged and is lost: {e}"));
    }
}
