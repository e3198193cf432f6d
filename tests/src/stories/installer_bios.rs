//! Story `installer-bios`: a user's own Template and Workflow install a system on a blank BIOS machine: once with kexec
//! (one power-on, no reset), once with a reboot. Up means that the installed system's SSH server greets.

use std::time::Duration;

use anyhow::{Context, ensure};
use lab::{Firmware, UpOptions};
use serde_json::{Value, json};

use super::Options;
use crate::End;
use crate::rack::{Rack, done, missing};
use crate::waiting::until;

const FETCHED: Duration = Duration::from_secs(5 * 60);
const INSTALLED: Duration = Duration::from_secs(20 * 60);
const UP: Duration = Duration::from_secs(5 * 60);
/// Partition of the root file system, as the image's manifest says; the template language finds its path.
const ROOT: &str = "{{ formatPartition ( index .Hardware.Disks 0 ) 2 }}";
const NAMESPACE: &str = "eksa-system";

pub(crate) async fn run(options: Options) -> anyhow::Result<End> {
    if let Some(what) = missing() {
        return Ok(End::Skipped(what));
    }
    let seed = options
        .seed
        .unwrap_or_else(|| format!("bios-{:08x}", std::process::id()));
    println!("seed {seed}");
    let options = UpOptions {
        machines: 1,
        firmware: Firmware::Bios,
        ..UpOptions::default()
    };
    let mut rack = Rack::up(&seed, options)?;
    let result = tell(&mut rack).await;
    rack.down(result.is_err());
    result.map(|()| End::Passed)
}

async fn tell(rack: &mut Rack) -> anyhow::Result<()> {
    rack.blank()?;
    rack.serve().await?;
    rack.gantry(&["apply", "hardware", "-z", "hardware.csv"])?;
    let url = image(rack).await?;
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

/// Has the appliance fetch the node image; gives the URL that it serves it by.
async fn image(rack: &Rack) -> anyhow::Result<String> {
    let image = object(
        "gantry.dev/v1alpha1",
        "Image",
        "story",
        json!({"url": rack.image}),
    );
    apply(rack, &image)?;
    let digest = until("the image is ready", FETCHED, || async {
        let image = get(rack, "images", "story").map_err(|error| format!("{error:#}"))?;
        match image["status"]["state"].as_str() {
            Some("ready") => Ok(image["status"]["manifest"]["digest"]
                .as_str()
                .unwrap_or_default()
                .to_owned()),
            _ => Err(image["status"].to_string()),
        }
    })
    .await?;
    let hex = digest.strip_prefix("sha256:").context("no digest")?;
    Ok(format!("http://{}:7080/images/{hex}", rack.plan.site_address))
}

async fn install(rack: &Rack, url: &str, leave: &str) -> anyhow::Result<()> {
    let machine = rack.plan.machines.first().context("no machine")?;
    let name = format!("story-{leave}");
    apply(
        rack,
        &object(
            "tinkerbell.org/v1alpha1",
            "Template",
            &name,
            json!({"data": template(rack, url, leave)?}),
        ),
    )?;
    let spec = json!({
        "templateRef": name, "hardwareRef": machine.name, "hardwareMap": {"device_1": machine.boot_mac.to_string()},
        "bootOptions": {"toggleAllowNetboot": true, "bootMode": "netboot"},
    });
    apply(rack, &object("tinkerbell.org/v1alpha1", "Workflow", &name, spec))?;
    until("the workflow ends", INSTALLED, || async {
        let workflow = get(rack, "workflows", &name).map_err(|error| format!("{error:#}"))?;
        match workflow["status"]["state"].as_str() {
            Some("SUCCESS") => Ok(Ok(())),
            Some("FAILED" | "TIMEOUT") => Ok(Err(workflow["status"].to_string())),
            _ => Err(workflow["status"]["reason"].to_string()),
        }
    })
    .await?
    .map_err(anyhow::Error::msg)?;
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

fn template(rack: &Rack, url: &str, leave: &str) -> anyhow::Result<String> {
    let machine = rack.plan.machines.first().context("no machine")?;
    let netplan = format!(
        "network: {{version: 2, renderer: networkd, ethernets: {{id0: {{match: {{macaddress: \"{}\"}}, dhcp4: false, \
         addresses: [{}/{}]}}}}}}\n",
        machine.boot_mac, machine.ip, rack.plan.prefix
    );
    let disk = machine.disk;
    // YAML takes JSON, and so no text needs escaping by hand.
    let write = |name: &str, path: &str, content: &str| {
        json!({"name": name, "image": "quay.io/tinkerbell/actions/writefile:latest", "timeout": 300, "environment": {
            "DEST_DISK": ROOT, "FS_TYPE": "ext4", "DEST_PATH": path,
            "CONTENTS": content, "UID": "0", "GID": "0", "MODE": "0600", "DIRMODE": "0755"}})
    };
    let last = json!({"name": leave, "image": format!("quay.io/tinkerbell/actions/{leave}:latest"), "timeout": 300,
        "environment": {"BLOCK_DEVICE": ROOT, "FS_TYPE": "ext4"}});
    let stream = json!({"name": "stream-image", "image": "quay.io/tinkerbell/actions/image2disk:latest", "timeout": 2400,
        "environment": {"IMG_URL": url, "DEST_DISK": disk, "COMPRESSED": "true"}});
    let workflow = json!({"version": "0.1", "name": "story", "global_timeout": 3600, "tasks": [{
        "name": "install", "worker": "{{.device_1}}", "actions": [
            stream,
            write("netplan", "/etc/netplan/config.yaml", &netplan),
            write("datasource", "/etc/cloud/cloud.cfg.d/99-datasource.cfg", "datasource_list: [None]\n"),
            write("no-network", "/etc/cloud/cloud.cfg.d/99-network.cfg", "network: {config: disabled}\n"),
            last,
        ],
    }]});
    Ok(serde_json::to_string_pretty(&workflow)?)
}

/// Power-ons and resets of the machine, counted by the rack.
fn counts(rack: &Rack) -> anyhow::Result<(u64, u64)> {
    let status = lab::status(Some(&rack.plan.id), None)?;
    let machine = status.machines.first().context("no machine")?;
    Ok((machine.power_ons, machine.resets))
}

fn object(version: &str, kind: &str, name: &str, spec: Value) -> Value {
    json!({"apiVersion": version, "kind": kind, "metadata": {"name": name, "namespace": NAMESPACE}, "spec": spec})
}

/// Applies an object as a user would, with kubectl on the appliance's API.
fn apply(rack: &Rack, object: &Value) -> anyhow::Result<()> {
    let file = rack.file("apply.json");
    std::fs::write(&file, object.to_string())?;
    let program = rack.file("parts/bin/kubectl").display().to_string();
    let mut command = lab::site_command(&rack.plan, &program)?;
    command
        .arg("--kubeconfig")
        .arg(rack.file("data/admin.kubeconfig"))
        .args(["apply", "-f"])
        .arg(&file);
    print!("{}", done(&mut command)?);
    Ok(())
}

fn get(rack: &Rack, kind: &str, name: &str) -> anyhow::Result<Value> {
    Ok(serde_json::from_str(
        &rack.gantry(&["get", kind, name, "-o", "json"])?,
    )?)
}
