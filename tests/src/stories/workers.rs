//! Story `workers`: a pool of workers under a client that writes through the cluster's address all the time. The server
//! that a second worker gets has a bad disk: three installations fail, the cluster stays Running and says why, and
//! another server is taken. Back to one worker: a PodDisruptionBudget keeps a node from being drained until it is lifted.
//! Then the machine of the last worker loses its power for good, and another one takes its place.

use anyhow::{Context, ensure};
use lab::{RackPlan, Role, UpOptions};

use super::Options;
use super::on_rack::on_rack;
use crate::end::End;
use crate::living_cluster::{
    Machines, Settled, all_ready, explained, machines, of_pool, set, settled, show_plans,
};
use crate::new_cluster::{create, deleted, ended};
use crate::objects::NAMESPACE;
use crate::outside_writer::OutsideWriter;
use crate::rack::Rack;

/// A control plane, and three servers for workers.
const MACHINES: usize = 4;
const WORKERS: &str = "workerNodeGroupConfigurations/0/count";
/// Two pods on two workers, of which none may go.
const GUARDED: &str = include_str!("workers/guarded.yaml");

pub(crate) async fn run(options: Options) -> anyhow::Result<End> {
    let ipmi_only = options.ipmi_only;
    let seed = options.seed_or("workers-");
    let mut shape = UpOptions {
        machines: MACHINES,
        ..UpOptions::default()
    };
    // Of free servers the first one by name is taken.
    let plan = RackPlan::derive(&seed, &shape);
    let mut workers = plan.machines.iter().skip(1).collect::<Vec<_>>();
    workers.sort_by_key(|machine| &machine.name);
    shape.bad_disk = workers.get(1).map(|machine| machine.index);
    let options = Options {
        seed: Some(seed),
        ipmi_only,
    };
    on_rack(options, "", shape, tell).await
}

async fn tell(rack: &mut Rack) -> anyhow::Result<()> {
    let bad = rack.plan.machines.iter().find(|machine| machine.bad_disk);
    let bad = bad.context("no bad disk")?.name.clone();
    let csv = rack.plan.hardware_csv_as(&[Role::ControlPlane]);
    std::fs::write(rack.file("hardware.csv"), csv)?;
    let yaml = std::fs::read_to_string(rack.file("cluster.yaml"))?;
    std::fs::write(rack.file("cluster.yaml"), one_worker(&yaml)?)?;
    rack.serve().await?;
    ended(create(rack)?, Ok(())).await?;
    all_ready(rack, 2, 1)?;
    let next = show_plans(rack, 1)?;

    let writer = OutsideWriter::begin(rack.cluster_client(), "bad-disk");
    set(rack, WORKERS, 2)?;
    let grown = settled(rack, "two workers", |now| now.len() == 3).await?;
    stayed_running(&grown)?;
    ensure!(!grown.machines.values().any(|host| *host == bad), "{grown:?}");
    bad_disk_was_told(rack, &bad)?;
    writer.end()?;
    let next = show_plans(rack, next)?;
    all_ready(rack, 3, 1)?;

    let writer = OutsideWriter::begin(rack.cluster_client(), "disruption-budget");
    std::fs::write(rack.file("guarded.yaml"), GUARDED)?;
    rack.kubectl(&["apply", "-f", &rack.file("guarded.yaml").display().to_string()])?;
    rack.kubectl(&["rollout", "status", "deployment/guarded", "--timeout=1200s"])?;
    set(rack, WORKERS, 1)?;
    explained(rack, "PodDisruptionBudget guarded").await?;
    rack.kubectl(&["delete", "poddisruptionbudget", "guarded"])?;
    let shrunk = settled(rack, "one worker", |now| now.len() == 2).await?;
    stayed_running(&shrunk)?;
    writer.end()?;
    let next = show_plans(rack, next)?;
    all_ready(rack, 2, 1)?;

    let writer = OutsideWriter::begin(rack.cluster_client(), "dead-worker");
    let before = machines(rack)?;
    let (name, host) = of_pool(&before, "md-0")?;
    rack.at_bmc(&host, "ForceOff")?;
    println!("{name} on {host}: no power");
    let replaced = |now: &Machines| now.len() == 2 && !now.contains_key(&name);
    let healed = settled(rack, "another worker", replaced).await?;
    stayed_running(&healed)?;
    writer.end()?;
    show_plans(rack, next)?;
    all_ready(rack, 2, 1)?;

    deleted(rack).await?;
    rack.end_appliance()
}

/// The rack's cluster with one worker, which counts as dead when it is silent for three minutes.
fn one_worker(yaml: &str) -> anyhow::Result<String> {
    let many = format!("      count: {}\n", MACHINES - 1);
    ensure!(yaml.contains(&many), "no {many:?}");
    let health = "  machineHealthCheck:\n    unhealthyMachineTimeout: 3m0s\n  datacenterRef:\n";
    let one = yaml.replacen(&many, "      count: 1\n", 1);
    Ok(one.replacen("  datacenterRef:\n", health, 1))
}

fn stayed_running(settled: &Settled) -> anyhow::Result<()> {
    let other = settled.phases.iter().any(|phase| phase != "Running");
    ensure!(!other, "phases: {:?}", settled.phases);
    Ok(())
}

/// Events say that the server's installations failed, how often and why.
fn bad_disk_was_told(rack: &Rack, server: &str) -> anyhow::Result<()> {
    let events = rack.appliance_asked(&["get", "events", "-n", NAMESPACE])?;
    let about: Vec<&str> = events.lines().filter(|line| line.contains(server)).collect();
    let failed: Vec<&str> = events
        .lines()
        .filter(|line| line.contains("3 installations failed"))
        .collect();
    println!("{}", failed.join("\n"));
    ensure!(
        failed.iter().any(|line| line.contains("os error 5")),
        "no Event names three failures: {about:#?}"
    );
    Ok(())
}
