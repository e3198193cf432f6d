//! Story `resets`: machines that boot from the network first are reset hard at their BMCs: one at half of its image,
//! one as its installer leaves, and both when they run, with the appliance and without it. Each time the cluster comes
//! back as it was. Then the same servers make the same cluster with the roles swapped.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, ensure};
use lab::{Role, UpOptions};
use serde_json::Value;

use super::Options;
use super::on_rack::on_rack;
use crate::end::End;
use crate::new_cluster::{
    Node, READY, create, deleted, ended, half_written, items, nodes, once_per_attempt, ready, text,
};
use crate::rack::Rack;
use crate::waiting::until;

/// Until a cluster whose machines were reset is Ready again; machines are emulated.
const BACK: Duration = Duration::from_secs(30 * 60);

pub(crate) async fn run(options: Options) -> anyhow::Result<End> {
    let shape = UpOptions {
        netboot_first: true,
        ..UpOptions::default()
    };
    on_rack(options, "", shape, tell).await
}

async fn tell(rack: &mut Rack) -> anyhow::Result<()> {
    rack.blank()?;
    rack.serve().await?;
    let command = create(rack)?;
    let reset = reset_on_the_way(rack).await;
    ended(command, reset).await?;
    once_per_attempt(rack)?;
    let first = ready(rack)?;

    let installed = installations(rack)?;
    let keys = host_keys(rack)?;
    let mut before = reset_all(rack, &first, &keys).await?;
    println!("reset with the appliance: Ready again, the same machines");
    rack.end_appliance()?;
    before = reset_all(rack, &before, &keys).await?;
    println!("reset without the appliance: Ready again, the same machines");
    rack.serve().await?;
    ensure!(
        installations(rack)? == installed,
        "something was installed again: {:?}, before {installed:?}",
        installations(rack)?
    );

    deleted(rack).await?;
    let swapped = rack.plan.hardware_csv_as(&[Role::Worker, Role::ControlPlane]);
    std::fs::write(rack.file("hardware.csv"), swapped)?;
    ended(create(rack)?, Ok(())).await?;
    roles_are_swapped(&before, &ready(rack)?)?;
    // systemd takes an emulated machine's id from its firmware, so that one stays; these are made at first boot.
    let shown = host_keys(rack)?;
    ensure!(
        keys.iter().zip(&shown).all(|(old, new)| old != new),
        "a system of the first cluster is there still: {shown:?}"
    );
    println!("created again with the roles swapped");
    rack.end_appliance()
}

/// One machine at half of its image, the other as its installer hands over.
async fn reset_on_the_way(rack: &Rack) -> anyhow::Result<()> {
    let writing = half_written(rack).await?;
    rack.reset(&writing)?;
    println!("{writing}: reset at half of its image");
    let other = rack
        .names()
        .find(|name| *name != writing)
        .context("one machine")?
        .to_owned();
    // Disarmed: the agent is told to leave, and leaves within moments.
    until("the other machine is disarmed", READY, || async {
        let servers = items(rack, "servers").map_err(|error| format!("{error:#}"))?;
        let phase = servers
            .iter()
            .find(|server| text(&server["metadata"]["name"]) == other)
            .map(|server| text(&server["status"]["bootSession"]["phase"]));
        match phase.as_deref() {
            Some("disarmed" | "closed") => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await?;
    rack.reset(&other)?;
    println!("{other}: reset as its installer leaves");
    Ok(())
}

/// Resets every machine and waits until all nodes are Ready after a new boot, as who they were.
async fn reset_all(
    rack: &Rack,
    before: &BTreeMap<String, Node>,
    keys: &[String],
) -> anyhow::Result<BTreeMap<String, Node>> {
    for name in rack.names() {
        rack.reset(name)?;
    }
    let now = until("all nodes are Ready after a new boot", BACK, || async {
        let now = nodes(rack).map_err(|error| format!("{error:#}"))?;
        let back = |(name, node): (&String, &Node)| {
            node.ready && before.get(name).is_some_and(|old| old.boot_id != node.boot_id)
        };
        match now.len() == before.len() && now.iter().all(back) {
            true => Ok(now),
            false => Err(format!("{now:?}")),
        }
    })
    .await?;
    for (name, node) in &now {
        ensure!(
            before.get(name).map(|old| &old.machine_id) == Some(&node.machine_id),
            "{name} has another machine-id"
        );
    }
    let shown = host_keys(rack)?;
    ensure!(shown == keys, "other SSH host keys: {shown:?}, before {keys:?}");
    Ok(now)
}

fn host_keys(rack: &Rack) -> anyhow::Result<Vec<String>> {
    rack.names().map(|name| rack.host_keys(name)).collect()
}

/// What was installed so far: each workflow with its attempt and boot, and the end of its last action.
fn installations(rack: &Rack) -> anyhow::Result<Vec<Value>> {
    let mut found = items(rack, "workflows")?;
    for workflow in &mut found {
        *workflow = serde_json::json!({"name": workflow["metadata"]["name"], "attempt": workflow["status"]["attempt"],
            "tasks": workflow["status"]["tasks"]});
    }
    let servers = items(rack, "servers")?;
    let sessions = servers.iter().map(|server| {
        let session = &server["status"]["bootSession"];
        serde_json::json!({"attempt": session["attempt"], "boot": session["boot"]})
    });
    found.extend(sessions);
    Ok(found)
}

/// Every node has the other role.
fn roles_are_swapped(before: &BTreeMap<String, Node>, now: &BTreeMap<String, Node>) -> anyhow::Result<()> {
    for (name, node) in now {
        let old = before.get(name).context("a node with an unknown name")?;
        ensure!(old.control_plane != node.control_plane, "{name} has its old role");
    }
    Ok(())
}
