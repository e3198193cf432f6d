//! A cluster on a rack, made, used and deleted as its user would.

use std::collections::{BTreeMap, BTreeSet};
use std::process::{Child, Stdio};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use serde_json::Value;

use crate::rack::Rack;
use crate::waiting::until;

/// Time until both nodes are Ready; machines are emulated.
pub(crate) const READY: Duration = Duration::from_secs(60 * 60);
const DELETED: Duration = Duration::from_secs(10 * 60);
const DEMO: &str = include_str!("../../hack/demo.yaml");

/// Starts `gantry create cluster` with the rack's files.
pub(crate) fn create(rack: &Rack) -> anyhow::Result<Child> {
    let mut command = rack.command(&["create", "cluster", "-f", "cluster.yaml", "-z", "hardware.csv"])?;
    command
        .stdin(Stdio::null())
        .spawn()
        .context("gantry create cluster")
}

/// Waits until `gantry create cluster` ends well; what went wrong before it ends it.
pub(crate) async fn ended(mut child: Child, before: anyhow::Result<()>) -> anyhow::Result<()> {
    let end = tokio::time::Instant::now() + READY;
    let result = loop {
        if before.is_err() {
            break before;
        }
        match child.try_wait()? {
            Some(status) if status.success() => return Ok(()),
            Some(status) => bail!("gantry create cluster: {status}"),
            None if tokio::time::Instant::now() > end => {
                break Err(anyhow::anyhow!("no cluster within {} s", READY.as_secs()));
            }
            None => tokio::time::sleep(Duration::from_millis(500)).await,
        }
    };
    child.kill()?;
    child.wait()?;
    result
}

/// Waits until half of an image is on a disk; the machine's name.
pub(crate) async fn half_written(rack: &Rack) -> anyhow::Result<String> {
    until("half of an image is written", READY, || async {
        let workflows = items(rack, "workflows").map_err(|error| format!("{error:#}"))?;
        let half = workflows.iter().find(|workflow| {
            let status = &workflow["status"];
            let writes = status["currentState"]["actionName"]
                .as_str()
                .is_some_and(|name| name.contains("image"));
            writes && status["percent"].as_u64() >= Some(50)
        });
        match half {
            Some(workflow) => Ok(text(&workflow["spec"]["hardwareRef"])),
            None => Err(workflows
                .iter()
                .map(|workflow| workflow["status"]["percent"].to_string())
                .collect::<Vec<_>>()
                .join(", ")),
        }
    })
    .await
}

/// Waits until an object of a kind says a text anywhere in its status.
pub(crate) async fn says(rack: &Rack, kind: &str, words: &str) -> anyhow::Result<Value> {
    until(&format!("{kind} say {words:?}"), READY, || async {
        let objects = items(rack, kind).map_err(|error| format!("{error:#}"))?;
        let found = objects
            .iter()
            .find(|object| object["status"].to_string().contains(words));
        found.cloned().ok_or_else(|| {
            objects
                .iter()
                .map(|object| object["status"]["reason"].to_string())
                .collect::<Vec<_>>()
                .join(", ")
        })
    })
    .await
}

/// One attempt for each machine, every action done, and none of them handed out anew within its attempt.
pub(crate) fn once_per_attempt(rack: &Rack) -> anyhow::Result<()> {
    for workflow in items(rack, "workflows")? {
        let (name, status) = (&workflow["metadata"]["name"], &workflow["status"]);
        ensure!(
            status["attempt"] == 1,
            "{name} needed attempt {}",
            status["attempt"]
        );
        ensure!(status["state"] == "SUCCESS", "{name} is {}", status["state"]);
    }
    Ok(())
}

/// Actions that were handed out as new, as `workflow action`: each at most once for each boot of its machine.
pub(crate) fn handed_out(rack: &Rack) -> anyhow::Result<Vec<String>> {
    let log = std::fs::read_to_string(rack.file("serve.log"))?;
    let part = |line: &str, key: &str| {
        let after = line.split_once(&format!("{key}=\""))?.1;
        Some(after.split_once('"')?.0.to_owned())
    };
    Ok(log
        .lines()
        .filter(|line| line.contains("action handed out") && line.ends_with("resumed=false"))
        .filter_map(|line| Some(format!("{} {}", part(line, "workflow")?, part(line, "action")?)))
        .collect())
}

/// Who a node is, and whether it lives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Node {
    pub(crate) ready: bool,
    pub(crate) control_plane: bool,
    /// Changes at each boot.
    pub(crate) boot_id: String,
    pub(crate) machine_id: String,
}

/// The nodes of the cluster by name.
pub(crate) fn nodes(rack: &Rack) -> anyhow::Result<BTreeMap<String, Node>> {
    let list: Value = serde_json::from_str(&rack.asked(&["get", "nodes", "-o", "json"])?)?;
    let nodes = list["items"].as_array().context("no list of nodes")?;
    Ok(nodes
        .iter()
        .map(|node| {
            let info = &node["status"]["nodeInfo"];
            let ready = node["status"]["conditions"].as_array().is_some_and(|all| {
                all.iter()
                    .any(|condition| condition["type"] == "Ready" && condition["status"] == "True")
            });
            let labels = &node["metadata"]["labels"];
            let about = Node {
                ready,
                control_plane: !labels["node-role.kubernetes.io/control-plane"].is_null(),
                boot_id: text(&info["bootID"]),
                machine_id: text(&info["machineID"]),
            };
            (text(&node["metadata"]["name"]), about)
        })
        .collect())
}

/// Two nodes are Ready.
pub(crate) fn ready(rack: &Rack) -> anyhow::Result<BTreeMap<String, Node>> {
    rack.kubectl(&["get", "nodes", "-o", "wide"])?;
    let nodes = nodes(rack)?;
    ensure!(
        nodes.len() == 2 && nodes.values().all(|node| node.ready),
        "not two Ready nodes: {nodes:?}"
    );
    Ok(nodes)
}

/// Two pods on different nodes answer through their Service by its name.
pub(crate) fn service(rack: &Rack) -> anyhow::Result<()> {
    std::fs::write(rack.file("demo.yaml"), DEMO)?;
    rack.kubectl(&["apply", "-f", &rack.file("demo.yaml").display().to_string()])?;
    rack.kubectl(&["rollout", "status", "deployment/web", "--timeout=1200s"])?;
    rack.kubectl(&["wait", "--for=condition=complete", "job/asks", "--timeout=1200s"])?;
    let answers = rack.kubectl(&["logs", "job/asks"])?;
    // The job asks from its first moment on: what it says of a Service that is not there yet is no answer.
    let machines: BTreeSet<&str> = rack.names().collect();
    let hosts: BTreeSet<&str> = answers
        .lines()
        .filter_map(|line| line.rsplit(' ').next())
        .filter(|host| machines.contains(host))
        .collect();
    ensure!(
        hosts.len() == 2,
        "the Service answered from {hosts:?}, not from two nodes"
    );
    Ok(())
}

/// Deletes the cluster; its servers become free and are powered off.
pub(crate) async fn deleted(rack: &Rack) -> anyhow::Result<()> {
    rack.gantry(&["delete", "cluster", &rack.plan.cluster_name, "--yes", "--no-wait"])?;
    until("the servers are free and off", DELETED, || async {
        let servers = items(rack, "servers").map_err(|error| format!("{error:#}"))?;
        let free =
            |server: &Value| server["status"]["state"] == "available" && server["status"]["power"] == "off";
        if servers.iter().all(free) {
            Ok(())
        } else {
            Err(servers
                .iter()
                .map(|server| server["status"]["reason"].to_string())
                .collect::<Vec<_>>()
                .join(", "))
        }
    })
    .await?;
    until("the cluster is gone", DELETED, || async {
        match items(rack, "clusters") {
            Ok(clusters) if clusters.is_empty() => Ok(()),
            Ok(clusters) => Err(clusters[0]["status"].to_string()),
            Err(error) => Err(format!("{error:#}")),
        }
    })
    .await?;
    println!("deleted: servers are free and off");
    Ok(())
}

/// The objects of a kind on the appliance's API.
pub(crate) fn items(rack: &Rack, kind: &str) -> anyhow::Result<Vec<Value>> {
    let mut list: Value = serde_json::from_str(&rack.gantry(&["get", kind, "-o", "json"])?)?;
    match list["items"].take() {
        Value::Array(items) => Ok(items),
        other => bail!("no list: {other}"),
    }
}

/// A string of an object; empty when it is none.
pub(crate) fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
