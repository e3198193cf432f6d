//! Story `disk-names`: a machine with two disks and a USB disk, which is `/dev/sda`. The Hardware's name and then its
//! hints stand for the USB disk: nothing is written, with the reason. Then they name `/dev/vdb`; power fails in the
//! middle of the image, and at the next power-on `/dev/vdb` is the other disk. The image is on the disk that was pinned,
//! and the other two hold what they held.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, ensure};
use lab::{Firmware, MachinePlan, UpOptions};
use serde_json::{Value, json};

use super::Options;
use super::on_rack::on_rack;
use crate::command::done;
use crate::disk_files::fingerprints;
use crate::end::End;
use crate::objects::{fetch, get, kubectl, run_actions, workflow_end};
use crate::rack::Rack;
use crate::small_image;
use crate::waiting::until;

/// Until the installer runs and asks for its action; machines are emulated.
const ASKED: Duration = Duration::from_secs(10 * 60);
/// Until an agent has asked again.
const AGAIN: Duration = Duration::from_secs(2 * 60);
const WRITTEN: Duration = Duration::from_secs(10 * 60);

/// What the Hardware calls the disk to install to.
const NAME: &str = "/dev/sda";
/// Large enough for power to fail while it is written.
const IMAGE_MIB: u64 = 512;
const WORKFLOW: &str = "names";
/// File numbers of a rack's disks.
const OTHER: usize = 0;
const TARGET: usize = 1;
const USB: usize = 2;

pub(crate) async fn run(options: Options) -> anyhow::Result<End> {
    let shape = UpOptions {
        machines: 1,
        firmware: Firmware::Bios,
        disk_gib: 4,
        swap_disks: true,
        usb_disk: true,
        ..UpOptions::default()
    };
    on_rack(options, "names-", shape, tell).await
}

async fn tell(rack: &mut Rack) -> anyhow::Result<()> {
    rack.blank()?;
    let machine = rack.plan.machines.first().context("no machine")?.clone();
    let others = [OTHER, USB].map(|disk| rack.paths.disk(&machine, disk));
    for disk in &others {
        done(Command::new("mkfs.ext4").args(["-q", "-F"]).arg(disk))?;
    }
    let held = fingerprints(&others)?;

    rack.serve().await?;
    let csv = rack.plan.hardware_csv().replace(machine.disk, NAME);
    std::fs::write(rack.file("hardware.csv"), csv)?;
    rack.gantry(&["apply", "hardware", "-z", "hardware.csv"])?;
    let image = small_image::random(rack, "random.raw", IMAGE_MIB)?;
    let url = fetch(rack, "random", &format!("file://{}", image.display()))
        .await?
        .map_err(anyhow::Error::msg)?;
    let action = json!([{"name": "stream-image", "image": "quay.io/tinkerbell/actions/image2disk:latest",
        "timeout": 1200, "environment": {"IMG_URL": url, "DEST_DISK": NAME, "COMPRESSED": "true"}}]);
    run_actions(rack, WORKFLOW, &machine.boot_mac.to_string(), &action)?;
    usb_disk_is_refused(rack, &machine).await?;

    hints(rack, &machine, &json!({"deviceName": machine.disk}))?;
    let target = rack.paths.disk(&machine, TARGET);
    until("the image is being written", AGAIN, || async {
        match lab::is_blank(&target) {
            Ok(false) => Ok(()),
            other => Err(format!(
                "blank: {other:?}; {}",
                held_back(rack).unwrap_or_default()
            )),
        }
    })
    .await?;
    rack.at_bmc(&machine.name, "ForceOff")?;
    let wanted = lab::range_digest(&image, IMAGE_MIB << 20)?;
    ensure!(
        lab::range_digest(&target, IMAGE_MIB << 20)? != wanted,
        "the image was written before power failed"
    );
    ensure!(
        name_of(rack, &machine, TARGET)? == machine.disk,
        "it was pinned by another name"
    );
    pinned(rack, &machine)?;
    println!("power failed in the middle of the image");

    rack.at_bmc(&machine.name, "On")?;
    let (state, reason) = workflow_end(rack, WORKFLOW, WRITTEN).await?;
    ensure!(state == "SUCCESS", "the workflow is {state}: {reason}");
    ensure!(
        name_of(rack, &machine, OTHER)? == machine.disk,
        "the disks did not change names"
    );
    ensure!(
        fingerprints(&others)? == held,
        "something was written to a disk that is not the pinned one"
    );
    ensure!(
        lab::range_digest(&target, IMAGE_MIB << 20)? == wanted,
        "the pinned disk does not hold the image"
    );
    pinned(rack, &machine)?;
    println!(
        "{} was the other disk after the power cut: the image is on the pinned one, the others are as before",
        machine.disk
    );
    rack.end_appliance()
}

/// By its name and by hints that only it matches: the agent waits, and everybody is told why.
async fn usb_disk_is_refused(rack: &Rack, machine: &MachinePlan) -> anyhow::Result<()> {
    let serial = machine.disk_serial(USB);
    let named = [
        &format!("{NAME} is {NAME}"),
        &serial,
        "and nothing is written to a USB device",
        "name another disk in the Hardware",
    ];
    refused(rack, machine, ASKED, &named).await?;
    hints(rack, machine, &json!({"serialNumber": serial}))?;
    let hinted = [
        "no disk matches all root device hints of the Hardware",
        &serial,
        "it is a USB device",
    ];
    refused(rack, machine, AGAIN, &hinted).await
}

async fn refused(rack: &Rack, machine: &MachinePlan, limit: Duration, parts: &[&str]) -> anyhow::Result<()> {
    let lacks = |text: &str| parts.iter().any(|part| !text.contains(*part));
    let reason = until("the action is held back", limit, || async {
        match held_back(rack) {
            Ok(reason) if !lacks(&reason) => Ok(reason),
            other => Err(format!("{other:?}, not {parts:?}")),
        }
    })
    .await?;
    println!("held back: {reason}");
    let explained = rack.gantry(&["explain", &machine.name])?;
    ensure!(!lacks(&explained), "{parts:?} is missing in: {explained}");
    Ok(())
}

/// Why the workflow's action is not handed out.
fn held_back(rack: &Rack) -> anyhow::Result<String> {
    let workflow = get(rack, "workflows", WORKFLOW)?;
    let status = &workflow["status"];
    Ok(status["heldBack"].as_str().unwrap_or_default().to_owned())
}

/// Replaces the root device hints of the Hardware.
fn hints(rack: &Rack, machine: &MachinePlan, hints: &Value) -> anyhow::Result<()> {
    let annotation = format!("gantry.dev/root-device-hints={hints}");
    let namespace = crate::objects::NAMESPACE;
    let command = [
        "-n",
        namespace,
        "annotate",
        "--overwrite",
        "hardware",
        &machine.name,
        &annotation,
    ];
    kubectl(rack, &command).map(drop)
}

/// What the machine's kernel calls a disk, as its agent last told.
fn name_of(rack: &Rack, machine: &MachinePlan, disk: usize) -> anyhow::Result<String> {
    let server = get(rack, "servers", &machine.name)?;
    let disks = server["status"]["inventory"]["disks"].as_array().cloned();
    let serial = machine.disk_serial(disk);
    let disks = disks.unwrap_or_default();
    let found = disks.iter().find(|disk| disk["serial"] == *serial);
    let device = found.and_then(|disk| disk["device"].as_str());
    Ok(device
        .with_context(|| format!("no {serial} in {disks:?}"))?
        .to_owned())
}

/// The Server names the disk to install to, and no other.
fn pinned(rack: &Rack, machine: &MachinePlan) -> anyhow::Result<()> {
    let server = get(rack, "servers", &machine.name)?;
    let pins = server["spec"]["disks"].as_array().cloned().unwrap_or_default();
    let serials: Vec<&str> = pins.iter().filter_map(|pin| pin["serial"].as_str()).collect();
    ensure!(serials == [machine.disk_serial(TARGET)], "pinned are {pins:?}");
    Ok(())
}
