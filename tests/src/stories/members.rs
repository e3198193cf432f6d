//! Story `members`: a control plane of three members and no workers; the machine of the founder loses its power for good
//! while somebody writes through the shared address. The API comes back, the spare takes the dead machine's place, three
//! members vote again, nothing that was acknowledged is lost, and every member holds the same data.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use lab::{Role, UpOptions};
use serde_json::Value;

use super::Options;
use crate::end::End;
use crate::new_cluster::{READY, create, deleted, ended, items, nodes, text};
use crate::rack::{Rack, missing};
use crate::waiting::until;

/// Machines: three members and a spare.
const MACHINES: usize = 4;

pub(crate) async fn run(options: Options) -> anyhow::Result<End> {
    if let Some(what) = missing() {
        return Ok(End::Skipped(what));
    }
    let seed = options
        .seed
        .unwrap_or_else(|| format!("{:08x}", std::process::id()));
    println!("seed {seed}");
    let shape = UpOptions {
        machines: MACHINES,
        ..UpOptions::default()
    };
    Rack::up(&seed, shape)?.during(tell).await?;
    Ok(End::Passed)
}

async fn tell(rack: &mut Rack) -> anyhow::Result<()> {
    let csv = rack.plan.hardware_csv_as(&[Role::ControlPlane; MACHINES]);
    std::fs::write(rack.file("hardware.csv"), csv)?;
    let yaml = std::fs::read_to_string(rack.file("cluster.yaml"))?;
    std::fs::write(rack.file("cluster.yaml"), three_members(&yaml)?)?;
    rack.serve().await?;
    let started = Instant::now();
    ended(create(rack)?, Ok(())).await?;
    println!("three members after {} s", started.elapsed().as_secs());
    let before = machines(rack)?;
    ensure!(before.len() == 3, "{before:?}");
    all_ready(rack, 3)?;

    let written = Mutex::new(Written::default());
    let stop = AtomicBool::new(false);
    let lost = std::thread::scope(|scope| -> anyhow::Result<(String, String)> {
        let writer = scope.spawn(|| write_until(rack, &stop, &written));
        let lost = lose(rack);
        let result = lost.and_then(|lost| {
            let handle = tokio::runtime::Handle::current();
            tokio::task::block_in_place(|| handle.block_on(replaced(rack, &before, &lost)))?;
            Ok(lost)
        });
        stop.store(true, Ordering::SeqCst);
        writer
            .join()
            .map_err(|_| anyhow::anyhow!("the writer panicked"))?;
        result
    })?;
    println!("{} on {} was replaced", lost.0, lost.1);
    all_ready(rack, 3)?;
    check(rack, &written.into_inner()?)?;
    deleted(rack).await?;
    rack.end_appliance()
}

/// The rack's cluster with three members and nobody else.
fn three_members(yaml: &str) -> anyhow::Result<String> {
    let (head, rest) = yaml
        .split_once("  workerNodeGroupConfigurations:\n")
        .context("no workers")?;
    let (_, rest) = rest
        .split_once("  datacenterRef:\n")
        .context("no datacenterRef")?;
    let (rest, _) = rest.rsplit_once("---\n").context("one document")?;
    let head = head.replacen("    count: 1\n", "    count: 3\n", 1);
    let health = "  machineHealthCheck:\n    unhealthyMachineTimeout: 3m0s\n";
    Ok(format!("{head}{health}  datacenterRef:\n{rest}"))
}

/// Machines of the cluster by name, with their servers.
fn machines(rack: &Rack) -> anyhow::Result<Vec<(String, String)>> {
    let all = items(rack, "providermachines")?;
    let machine = |object: &Value| (text(&object["metadata"]["name"]), text(&object["status"]["host"]));
    Ok(all.iter().map(machine).collect())
}

fn all_ready(rack: &Rack, count: usize) -> anyhow::Result<()> {
    rack.kubectl(&["get", "nodes", "-o", "wide"])?;
    let nodes = nodes(rack)?;
    let ready = nodes
        .values()
        .filter(|node| node.ready && node.control_plane)
        .count();
    ensure!(ready == count && nodes.len() == count, "{nodes:?}");
    let control_plane = items(rack, "controlplanes")?;
    let etcd = control_plane[0]["status"]["conditions"].to_string();
    println!("etcd: {etcd}");
    ensure!(
        etcd.contains(&format!("{count} of {count} voting members are healthy")),
        "{etcd}"
    );
    Ok(())
}

/// The founder's machine loses its power.
fn lose(rack: &Rack) -> anyhow::Result<(String, String)> {
    let control_plane = items(rack, "controlplanes")?;
    let founder = text(&control_plane[0]["spec"]["initializedBy"]["machine"]);
    let machines = machines(rack)?;
    let lost = machines
        .into_iter()
        .find(|(name, _)| *name == founder)
        .context("no founder")?;
    rack.at_bmc(&lost.1, "ForceOff")?;
    println!("{} on {}: no power", lost.0, lost.1);
    Ok(lost)
}

async fn replaced(rack: &Rack, before: &[(String, String)], lost: &(String, String)) -> anyhow::Result<()> {
    let started = Instant::now();
    until("another machine is in its place", READY, || async {
        let now = machines(rack).map_err(|error| format!("{error:#}"))?;
        let clusters = items(rack, "clusters").map_err(|error| format!("{error:#}"))?;
        let status = &clusters[0]["status"];
        let conditions = status["conditions"].as_array().cloned().unwrap_or_default();
        let ready = conditions
            .iter()
            .any(|known| known["type"] == "Ready" && known["status"] == "True");
        let gone = !now.iter().any(|(name, _)| *name == lost.0);
        let kept = now.iter().filter(|machine| before.contains(machine)).count();
        if gone && ready && now.len() == 3 && kept == 2 {
            Ok(())
        } else {
            Err(format!("{now:?}: {}", status["reason"]))
        }
    })
    .await?;
    println!("replaced after {} s", started.elapsed().as_secs());
    Ok(())
}

/// What the writer was told is written, and how long it was told nothing.
#[derive(Debug, Default)]
struct Written {
    acknowledged: BTreeSet<String>,
    longest_gap: Duration,
}

/// Writes a ConfigMap about every second through the shared address.
fn write_until(rack: &Rack, stop: &AtomicBool, written: &Mutex<Written>) {
    let (mut number, mut last) = (0, Instant::now());
    while !stop.load(Ordering::SeqCst) {
        number += 1;
        let name = format!("write-{number}");
        let created = rack.asked(&["create", "configmap", &name, "--request-timeout=5s"]);
        if let Ok(mut written) = written.lock()
            && created.is_ok()
        {
            written.longest_gap = written.longest_gap.max(last.elapsed());
            written.acknowledged.insert(name);
            last = Instant::now();
        }
        std::thread::sleep(Duration::from_secs(1));
    }
}

fn check(rack: &Rack, written: &Written) -> anyhow::Result<()> {
    let list: Value = serde_json::from_str(&rack.asked(&["get", "configmaps", "-o", "json"])?)?;
    let there: BTreeSet<String> = list["items"]
        .as_array()
        .context("no list of ConfigMaps")?
        .iter()
        .map(|object| text(&object["metadata"]["name"]))
        .collect();
    let missing: Vec<&String> = written.acknowledged.difference(&there).collect();
    println!(
        "{} writes acknowledged, {} of them missing, longest gap {} s",
        written.acknowledged.len(),
        missing.len(),
        written.longest_gap.as_secs()
    );
    ensure!(
        !written.acknowledged.is_empty() && missing.is_empty(),
        "missing: {missing:?}"
    );
    Ok(())
}
