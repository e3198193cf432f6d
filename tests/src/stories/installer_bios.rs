//! Story `installer-bios`: a user's own Template and Workflow install a system on a blank BIOS machine: once with kexec
//! (one power-on, no reset), once with a reboot. Up means that the installed system's SSH server greets.

use std::time::Duration;

use anyhow::{Context, ensure};
use lab::{Firmware, UpOptions};
use serde_json::{Value, json};

use super::Options;
use super::on_rack::on_rack;
use crate::command::done;
use crate::end::End;
use crate::objects::{fetch, run_actions, workflow_end};
use crate::rack::Rack;
use crate::waiting::until;

const INSTALLED: Duration = Duration::from_secs(20 * 60);
const UP: Duration = Duration::from_secs(5 * 60);
/// Partition of the root file system, as the image's manifest says; the template language finds its path.
const ROOT: &str = "{{ formatPartition ( index .Hardware.Disks 0 ) 2 }}";

pub(crate) async fn run(options: Options) -> anyhow::Result<End> {
    let shape = UpOptions {
        machines: 1,
        firmware: Firmware::Bios,
        ..UpOptions::default()
    };
    on_rack(options, "bios-", shape, tell).await
}

async fn tell(rack: &mut Rack) -> anyhow::Result<()> {
    rack.blank()?;
    rack.serve().await?;
    rack.gantry(&["apply", "hardware", "-z", "hardware.csv"])?;
    let url = fetch(rack, "story", &rack.image)
        .await?
        .map_err(anyhow::Error::msg)?;
    install(rack, &url, "kexec").await?;
    let (power_ons, resets) = counts(rack)?;
    ensure!(
        (power_ons, resets) == (1, 0),
        "by kexec: {power_ons} power-ons and {resets} resets, not one and none"
    );
    println!("by kexec: one power-on, no reset");
    install(rack, &url, "reboot").await?;
    println!("by reboot: up again");
    rack.end_appliance()
}

async fn install(rack: &Rack, url: &str, leave: &str) -> anyhow::Result<()> {
    let machine = rack.plan.machines.first().context("no machine")?;
    let name = format!("story-{leave}");
    let mac = machine.boot_mac.to_string();
    run_actions(rack, &name, &mac, &actions(rack, url, leave)?)?;
    let (state, reason) = workflow_end(rack, &name, INSTALLED).await?;
    ensure!(state == "SUCCESS", "{name} is {state}: {reason}");
    let greeting = until("SSH greets", UP, || async {
        greeting(rack).map_err(|error| format!("{error:#}"))
    })
    .await?;
    println!("{leave}: {} says {greeting}", machine.ip);
    Ok(())
}

/// What listens on port 22 of the machine says first.
fn greeting(rack: &Rack) -> anyhow::Result<String> {
    let address = rack.plan.machines.first().context("no machine")?.ip;
    let script = format!("exec 3<>/dev/tcp/{address}/22; read -r -t 5 line <&3; echo \"$line\"");
    let text = done(lab::site_command(&rack.plan, "timeout")?.args(["10", "bash", "-c", &script]))?;
    ensure!(text.starts_with("SSH-2.0-"), "{text:?}");
    Ok(text.trim().to_owned())
}

fn actions(rack: &Rack, url: &str, leave: &str) -> anyhow::Result<Value> {
    let machine = rack.plan.machines.first().context("no machine")?;
    let netplan = format!(
        "network: {{version: 2, renderer: networkd, ethernets: {{id0: {{match: {{macaddress: \"{}\"}}, dhcp4: false, \
         addresses: [{}/{}]}}}}}}\n",
        machine.boot_mac, machine.ip, rack.plan.prefix
    );
    let disk = machine.disk;
    let write = |name: &str, path: &str, content: &str| {
        json!({"name": name, "image": "quay.io/tinkerbell/actions/writefile:latest", "timeout": 300, "environment": {
            "DEST_DISK": ROOT, "FS_TYPE": "ext4", "DEST_PATH": path,
            "CONTENTS": content, "UID": "0", "GID": "0", "MODE": "0600", "DIRMODE": "0755"}})
    };
    let last = json!({"name": leave, "image": format!("quay.io/tinkerbell/actions/{leave}:latest"), "timeout": 300,
        "environment": {"BLOCK_DEVICE": ROOT, "FS_TYPE": "ext4"}});
    let stream = json!({"name": "stream-image", "image": "quay.io/tinkerbell/actions/image2disk:latest", "timeout": 2400,
        "environment": {"IMG_URL": url, "DEST_DISK": disk, "COMPRESSED": "true"}});
    Ok(json!([
        stream,
        write("netplan", "/etc/netplan/config.yaml", &netplan),
        write(
            "datasource",
            "/etc/cloud/cloud.cfg.d/99-datasource.cfg",
            "datasource_list: [None]\n"
        ),
        write(
            "no-network",
            "/etc/cloud/cloud.cfg.d/99-network.cfg",
            "network: {config: disabled}\n"
        ),
        last,
    ]))
}

/// Power-ons and resets of the machine, counted by the rack.
fn counts(rack: &Rack) -> anyhow::Result<(u64, u64)> {
    let status = lab::status(Some(&rack.plan.id), None)?;
    let machine = status.machines.first().context("no machine")?;
    Ok((machine.power_ons, machine.resets))
}
