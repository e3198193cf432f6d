//! Story `older-backup`: a backup of the appliance is made, then its cluster gets another worker, and then the appliance's
//! data and keys are lost. It is restored from the backup: nothing is powered, installed or deleted, and the nodes go on
//! under a client that writes all the time. The worker that the backup does not know keeps its server.

use std::time::Duration;

use anyhow::ensure;
use lab::UpOptions;

use super::Options;
use super::on_rack::on_rack;
use crate::end::End;
use crate::living_cluster::{cluster, machines, one_and_one, reason, set, settled};
use crate::new_cluster::{items, nodes, text};
use crate::outside_writer::OutsideWriter;
use crate::rack::Rack;
use crate::waiting::until;

/// A member and two workers.
const MACHINES: usize = 3;
/// How long the restored appliance is watched: longer than every controller needs to act.
const WATCHED: Duration = Duration::from_secs(5 * 60);
const KNOWN: Duration = Duration::from_secs(5 * 60);

pub(crate) async fn run(options: Options) -> anyhow::Result<End> {
    let shape = UpOptions {
        machines: MACHINES,
        memory_mib: vec![3072, 2048],
        ..UpOptions::default()
    };
    on_rack(options, "older-backup-", shape, restored).await
}

async fn restored(rack: &mut Rack) -> anyhow::Result<()> {
    one_and_one(rack, 1).await?;
    let before = machines(rack)?;
    let safe = rack.appliance_folder("safe")?;
    let (backup, keys) = (safe.join("backup.tar"), safe.join("keys.tar"));
    let (backup, keys) = (backup.display().to_string(), keys.display().to_string());
    print!(
        "{}",
        rack.as_appliance(&["backup", "appliance", "--to", &backup, "--keys-to", &keys])?
    );

    set(rack, "workerNodeGroupConfigurations/0/count", 2)?;
    let grown = settled(rack, "another worker", |now| now.len() == 3)
        .await?
        .machines;
    let booted = nodes(rack)?;
    let young = grown.iter().find(|(name, _)| !before.contains_key(*name));
    let (young, server) = young
        .map(|(name, server)| (name.clone(), server.clone()))
        .unwrap_or_default();

    let writer = OutsideWriter::begin(rack.cluster_client(), "older-backup");
    rack.kill_appliance()?;
    for name in ["data", "keys"] {
        std::fs::remove_dir_all(rack.file(name))?;
    }
    println!("kill -9; data and keys of the appliance are gone");
    rack.appliance_folder("data")?;
    rack.appliance_folder("keys")?;
    print!(
        "{}",
        rack.as_appliance(&["restore", "appliance", "--from", &backup, "--keys", &keys])?
    );
    rack.serve().await?;

    until("the member that the backup knows runs", KNOWN, || async {
        let cluster = cluster(rack).map_err(|error| format!("{error:#}"))?;
        let ready = text(&cluster["status"]["phase"]) == "Running";
        ready.then_some(()).ok_or_else(|| reason(&cluster))
    })
    .await?;
    tokio::time::sleep(WATCHED).await;
    writer.end()?;
    println!("{}", reason(&cluster(rack)?));
    print!("{}", rack.gantry(&["get", "servers"])?);
    let after = nodes(rack)?;
    ensure!(after == booted, "nodes were {booted:?} and are {after:?}");
    ensure!(machines(rack)? == before, "the machines are those of the backup");
    let servers = items(rack, "servers")?;
    let held = servers
        .iter()
        .filter(|server| !server["spec"]["restored"].is_null())
        .count();
    ensure!(held == MACHINES, "{held} servers are marked");
    for job in items(rack, "jobs")? {
        ensure!(
            job["status"]["startTime"].is_null() || !job["status"]["completionTime"].is_null(),
            "{job}"
        );
    }

    // The server of the worker that nobody knows is not given away.
    set(rack, "workerNodeGroupConfigurations/0/count", 2)?;
    let waits = until("the cluster says that it waits for a host", KNOWN, || async {
        let cluster = cluster(rack).map_err(|error| format!("{error:#}"))?;
        let status = cluster["status"].to_string();
        status
            .contains("known from a backup alone")
            .then(|| reason(&cluster))
            .ok_or_else(|| reason(&cluster))
    })
    .await?;
    println!("{waits}");
    ensure!(nodes(rack)? == booted, "{young} on {server} still runs");
    rack.end_appliance()
}
