//! Faults that only the machine can show: its disk is too small, the image that comes is not the one that was checked,
//! or it never asks for anything.

use std::fs::File;
use std::io::Read as _;
use std::time::Duration;

use anyhow::{Context, ensure};
use serde_json::{Value, json};

use super::images;
use crate::objects::{fetch, run_actions, workflow_end};
use crate::rack::Rack;
use crate::said::says;
use crate::small_image;

/// Until the installer runs and has tried its first action; machines are emulated.
const TRIED: Duration = Duration::from_secs(10 * 60);
/// Until a machine is given up that may be silent for one minute; half a minute is for what was heard to be told.
const SILENT: Duration = Duration::from_secs(4 * 60);
/// An address that the machine does not have.
const WRONG_MAC: &str = "02:00:5e:00:53:01";
const MIB: usize = 1 << 20;

/// An image of 2 GiB for a disk of 1 GiB.
pub(super) async fn disk_too_small(rack: &Rack) -> anyhow::Result<()> {
    let image = small_image::large(rack, "large.raw", 2048)?;
    let url = served(rack, "large", &image).await?;
    let machine = rack.plan.machines.first().context("no machine")?;
    run_actions(
        rack,
        "too-small",
        &machine.boot_mac.to_string(),
        &stream(rack, &url)?,
    )?;
    let (state, reason) = workflow_end(rack, "too-small", TRIED).await?;
    println!("{state}: {reason}");
    ensure!(state == "FAILED", "the workflow is {state}");
    let begins = format!(
        "{}: action stream-image failed: disk too small: {} has",
        machine.name, machine.disk
    );
    let parts = [
        begins.as_str(),
        "1073741824 bytes (1.0 GiB)",
        "the image needs 2147483648 bytes (2.0 GiB)",
        "name a larger disk",
    ];
    says(&reason, &parts)?;
    explained(rack, &parts)?;
    println!("disk too small: told, nothing written");
    Ok(())
}

/// An image that was changed on the appliance after it was checked. The first MiB stays empty: nothing can boot.
pub(super) async fn damaged_image(rack: &Rack) -> anyhow::Result<()> {
    let image = small_image::bootable(rack, "damaged.raw")?;
    let url = served(rack, "damaged", &image).await?;
    let hex = url.rsplit('/').next().context("no digest")?;
    images::damage(&rack.file(&format!("data/images/sha256/{hex}")))?;
    let machine = rack.plan.machines.first().context("no machine")?;
    run_actions(
        rack,
        "damaged",
        &machine.boot_mac.to_string(),
        &stream(rack, &url)?,
    )?;
    let (state, reason) = workflow_end(rack, "damaged", TRIED).await?;
    println!("{state}: {reason}");
    ensure!(state == "FAILED", "the workflow is {state}");
    let expected = format!("expected sha256:{hex}");
    let parts = [
        machine.name.as_str(),
        "wrong digest: the image is sha256:",
        &expected,
        "fetches it again if that is damaged",
    ];
    says(&reason, &parts)?;
    explained(rack, &parts)?;
    let mut head = vec![0; MIB];
    File::open(rack.paths.disk(machine, 1))?.read_exact(&mut head)?;
    ensure!(
        head.iter().all(|octet| *octet == 0),
        "the disk has a head that firmware may start"
    );
    println!("damaged image: told, the disk cannot boot");
    Ok(())
}

/// The CSV has a wrong MAC: the machine is powered on, and nothing ever asks by that address.
pub(super) async fn never_boots(rack: &Rack) -> anyhow::Result<()> {
    let machine = rack.plan.machines.first().context("no machine")?;
    let mac = machine.boot_mac.to_string();
    let text = rack.plan.hardware_csv().replace(&mac, WRONG_MAC);
    std::fs::write(rack.file("hardware.csv"), text)?;
    println!("{}", rack.gantry(&["apply", "hardware", "-z", "hardware.csv"])?);
    let disk = rack.paths.disk(machine, 1);
    let before = lab::disk_fingerprint(&disk)?;
    run_actions(
        rack,
        "silent",
        WRONG_MAC,
        &stream(rack, "http://192.0.2.1/never")?,
    )?;
    let (state, reason) = workflow_end(rack, "silent", SILENT).await?;
    println!("{state}: {reason}");
    ensure!(state == "TIMEOUT", "the workflow is {state}");
    let asked = format!("no DHCP request from MAC {WRONG_MAC} was seen");
    let stranger = format!("{mac} asked meanwhile, which no Hardware names");
    let parts = [
        "the machine was powered on at ",
        "(power now: on)",
        asked.as_str(),
        &stranger,
        "cable and switch port",
        "start a new attempt",
    ];
    says(&reason, &parts)?;
    explained(rack, &parts)?;
    ensure!(
        lab::disk_fingerprint(&disk)? == before,
        "the disk of a machine that never booted has changed"
    );
    println!("machine that never boots: told within its deadline");
    Ok(())
}

/// The appliance fetches the image; the URL that it serves it by.
async fn served(rack: &Rack, name: &str, image: &std::path::Path) -> anyhow::Result<String> {
    let url = format!("file://{}", image.display());
    fetch(rack, name, &url).await?.map_err(anyhow::Error::msg)
}

/// A template's one action: the image to the disk that the CSV names.
fn stream(rack: &Rack, url: &str) -> anyhow::Result<Value> {
    let disk = rack.plan.machines.first().context("no machine")?.disk;
    Ok(
        json!([{"name": "stream-image", "image": "quay.io/tinkerbell/actions/image2disk:latest", "timeout": 600,
        "environment": {"IMG_URL": url, "DEST_DISK": disk, "COMPRESSED": "true"}}]),
    )
}

/// `gantry explain` of the machine says it too.
fn explained(rack: &Rack, parts: &[&str]) -> anyhow::Result<()> {
    let machine = rack.plan.machines.first().context("no machine")?;
    let text = rack.gantry(&["explain", &machine.name])?;
    println!("$ gantry explain {}\n{text}", machine.name);
    says(&text, parts)
}
