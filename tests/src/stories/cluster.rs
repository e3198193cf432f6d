//! Story `cluster`: two powered-off UEFI machines with blank disks become a cluster with both nodes Ready, although the
//! appliance is killed at half of the first image; two pods answer through a Service by name; no secret is in packets,
//! logs or databases; deletion gives the servers back, powered off.

use std::process::{Child, Stdio};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use lab::Firmware;
use serde_json::Value;

use super::Options;
use crate::End;
use crate::rack::{Rack, holds, missing};
use crate::waiting::until;

/// Time until both nodes are Ready; machines are emulated.
const READY: Duration = Duration::from_secs(40 * 60);
const DELETED: Duration = Duration::from_secs(5 * 60);
const DEMO: &str = include_str!("../../../hack/demo.yaml");

pub(crate) async fn run(options: Options) -> anyhow::Result<End> {
    if let Some(what) = missing() {
        return Ok(End::Skipped(what));
    }
    let seed = options
        .seed
        .unwrap_or_else(|| format!("{:08x}", std::process::id()));
    println!("seed {seed}");
    let mut rack = Rack::up(&seed, 2, Firmware::Uefi)?;
    let result = tell(&mut rack).await;
    rack.down(result.is_err());
    result.map(|()| End::Passed)
}

async fn tell(rack: &mut Rack) -> anyhow::Result<()> {
    rack.blank()?;
    println!("all disks are blank");
    rack.serve().await?;
    let mut create = create(rack)?;
    let result = killed_at_half(rack).await;
    let result = match result {
        Ok(()) => ended(&mut create, READY).await,
        Err(error) => Err(error),
    };
    if result.is_err() {
        create.kill()?;
        create.wait()?;
    }
    result?;
    once_per_attempt(rack)?;
    println!("{}", rack.gantry(&["lab", "stages", "--rack", &rack.plan.id])?);
    nodes(rack)?;
    service(rack)?;
    no_secrets(rack)?;
    deleted(rack).await?;
    rack.end_appliance()
}

fn create(rack: &Rack) -> anyhow::Result<Child> {
    let mut command = rack.command(&["create", "cluster", "-f", "cluster.yaml", "-z", "hardware.csv"])?;
    command
        .stdin(Stdio::null())
        .spawn()
        .context("gantry create cluster")
}

/// Waits until `gantry create cluster` ends well.
async fn ended(child: &mut Child, limit: Duration) -> anyhow::Result<()> {
    let end = tokio::time::Instant::now() + limit;
    loop {
        match child.try_wait()? {
            Some(status) => {
                ensure!(status.success(), "gantry create cluster: {status}");
                return Ok(());
            }
            None if tokio::time::Instant::now() > end => bail!("no cluster within {} s", limit.as_secs()),
            None => tokio::time::sleep(Duration::from_millis(500)).await,
        }
    }
}

/// Kills the appliance when half of an image is on a disk, and starts it again.
async fn killed_at_half(rack: &mut Rack) -> anyhow::Result<()> {
    until("half of an image is written", READY, || async {
        let workflows = items(rack, "workflows").map_err(|error| format!("{error:#}"))?;
        let percent = workflows
            .iter()
            .filter_map(|workflow| workflow["status"]["percent"].as_u64())
            .max();
        let writing = workflows.iter().any(|workflow| {
            workflow["status"]["currentState"]["actionName"]
                .as_str()
                .is_some_and(|name| name.contains("image"))
        });
        if writing && percent >= Some(50) {
            Ok(())
        } else {
            Err(format!("{percent:?} percent"))
        }
    })
    .await?;
    rack.kill_appliance()?;
    println!("kill -9 of the appliance at half of the image");
    rack.serve().await
}

/// One attempt for each machine, and every action done: the kill cost nothing.
fn once_per_attempt(rack: &Rack) -> anyhow::Result<()> {
    for workflow in items(rack, "workflows")? {
        let name = &workflow["metadata"]["name"];
        ensure!(
            workflow["status"]["attempt"] == 1,
            "{name} needed attempt {}",
            workflow["status"]["attempt"]
        );
        ensure!(
            workflow["status"]["state"] == "SUCCESS",
            "{name} is {}",
            workflow["status"]["state"]
        );
    }
    Ok(())
}

fn nodes(rack: &Rack) -> anyhow::Result<()> {
    let text = rack.kubectl(&["get", "nodes", "-o", "wide"])?;
    let ready = text
        .lines()
        .filter(|line| line.split_whitespace().nth(1) == Some("Ready"))
        .count();
    ensure!(ready == 2, "{ready} nodes are Ready");
    Ok(())
}

fn service(rack: &Rack) -> anyhow::Result<()> {
    std::fs::write(rack.file("demo.yaml"), DEMO)?;
    rack.kubectl(&["apply", "-f", &rack.file("demo.yaml").display().to_string()])?;
    rack.kubectl(&["rollout", "status", "deployment/web", "--timeout=300s"])?;
    rack.kubectl(&["wait", "--for=condition=complete", "job/asks", "--timeout=600s"])?;
    let answers = rack.kubectl(&["logs", "job/asks"])?;
    // The job asks from its first moment on: what it says of a Service that is not there yet is no answer.
    let machines: Vec<&str> = rack
        .plan
        .machines
        .iter()
        .map(|machine| machine.name.as_str())
        .collect();
    let mut hosts: Vec<&str> = answers
        .lines()
        .filter_map(|line| line.rsplit(' ').next())
        .filter(|host| machines.contains(host))
        .collect();
    hosts.sort_unstable();
    hosts.dedup();
    ensure!(
        hosts.len() == 2,
        "the Service answered from {hosts:?}, not from two nodes"
    );
    Ok(())
}

/// The canary: BMC passwords and the key of the cluster's CA are nowhere but sealed.
fn no_secrets(rack: &Rack) -> anyhow::Result<()> {
    let mut secrets: Vec<String> = rack
        .plan
        .machines
        .iter()
        .map(|machine| machine.bmc_password.reveal().clone())
        .collect();
    let ca = format!("{}-ca", rack.plan.cluster_name);
    let object: Value = serde_json::from_str(&rack.gantry(&["get", "secrets", &ca, "-o", "json"])?)?;
    let key = object["data"]["tls.key"]
        .as_str()
        .context("the cluster's CA has no key")?;
    secrets.push(key.get(40..100).context("the key is short")?.to_owned());
    let files = [
        "serve.log",
        "data/state.db",
        "data/state.db-wal",
        "data/records.db",
        "data/records.db-wal",
    ];
    let mut paths: Vec<_> = files
        .iter()
        .map(|name| rack.file(name))
        .filter(|path| path.exists())
        .collect();
    ensure!(paths.len() >= 3, "only {} files to look into", paths.len());
    paths.push(rack.paths.capture());
    for path in &paths {
        for secret in &secrets {
            ensure!(
                !holds(path, secret.as_bytes())?,
                "{} holds a secret",
                path.display()
            );
        }
    }
    println!("no secret in {} files, packets among them", paths.len());
    Ok(())
}

async fn deleted(rack: &Rack) -> anyhow::Result<()> {
    rack.gantry(&["delete", "cluster", &rack.plan.cluster_name, "--no-wait"])?;
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
    .await
}

fn items(rack: &Rack, kind: &str) -> anyhow::Result<Vec<Value>> {
    let mut list: Value = serde_json::from_str(&rack.gantry(&["get", kind, "-o", "json"])?)?;
    match list["items"].take() {
        Value::Array(items) => Ok(items),
        other => bail!("no list: {other}"),
    }
}
