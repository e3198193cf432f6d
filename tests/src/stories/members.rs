//! Story `members`: a control plane of three members and no workers, under a client that writes through the shared
//! address all the time. The machine that holds that address loses its power for good: the API comes back, the spare
//! takes the dead machine's place, and three members vote again. Then the control plane is scaled to one. Nothing that
//! was acknowledged is lost, and all members hold the same data.

use std::time::Instant;

use anyhow::{Context, ensure};
use lab::{MachinePlan, Role, UpOptions};

use super::Options;
use super::on_rack::on_rack;
use crate::command::done;
use crate::end::End;
use crate::etcd_data;
use crate::living_cluster::{
    Machines, all_ready, approved, machines, set, settled, show_plans, within_stated_gap,
};
use crate::new_cluster::{create, deleted, ended};
use crate::outside_writer::OutsideWriter;
use crate::rack::Rack;

/// Machines: three members and a spare.
const MACHINES: usize = 4;

pub(crate) async fn run(options: Options) -> anyhow::Result<End> {
    let shape = UpOptions {
        machines: MACHINES,
        memory_mib: vec![3072],
        // Three emulated members share the processors of the host; with more each, they wait for each other's locks.
        cpus: 1,
        ..UpOptions::default()
    };
    on_rack(options, "members-", shape, tell).await
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
    all_ready(rack, 3, 3)?;
    let next = show_plans(rack, 1)?;

    let writer = OutsideWriter::begin(rack.cluster_client(), "lost-member");
    let lost = lose_address(rack, &before)?;
    let replaced = |now: &Machines| {
        let kept = now.iter().filter(|(name, _)| before.contains_key(*name)).count();
        now.len() == 3 && kept == 2 && !now.contains_key(&lost)
    };
    settled(rack, "another machine is in its place", replaced).await?;
    writer.end()?;
    let next = show_plans(rack, next)?;
    all_ready(rack, 3, 3)?;
    etcd_data::is_equal(rack, 3)?;

    let writer = OutsideWriter::begin(rack.cluster_client(), "three-to-one");
    set(rack, "controlPlaneConfiguration/count", 1)?;
    approved(rack).await?;
    settled(rack, "one member", |now| now.len() == 1).await?;
    let gap = writer.end()?;
    show_plans(rack, next)?;
    within_stated_gap(rack, gap)?;
    all_ready(rack, 1, 1)?;
    etcd_data::is_equal(rack, 1)?;

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
    let health = "  machineHealthCheck:\n    unhealthyMachineTimeout: 10m0s\n";
    Ok(format!("{head}{health}  datacenterRef:\n{rest}"))
}

/// The machine that holds the shared address loses its power. Returns the name of the cluster's machine.
fn lose_address(rack: &Rack, machines: &Machines) -> anyhow::Result<String> {
    rack.asked(&["get", "--raw", "/readyz"])?;
    let mut command = lab::site_command(&rack.plan, "ip")?;
    let neighbours = done(command.args(["neigh", "show", &rack.plan.vip.to_string()]))?;
    let holds = |machine: &&MachinePlan| neighbours.contains(&machine.boot_mac.to_string().to_lowercase());
    let holder = rack.plan.machines.iter().find(holds);
    let server = &holder
        .with_context(|| format!("nobody has {}", rack.plan.vip))?
        .name;
    let machine = machines.iter().find(|(_, host)| *host == server);
    let (name, _) = machine.with_context(|| format!("{server} has no machine"))?;
    rack.at_bmc(server, "ForceOff")?;
    println!("{name} on {server} held {}: no power", rack.plan.vip);
    Ok(name.clone())
}
