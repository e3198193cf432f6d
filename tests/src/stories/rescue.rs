//! Story `rescue`: a machine whose system has keys on two disks is put into quarantine and given up. While its BMC is
//! silent it is not given back; then it is off, and kept. `gantry rescue server` boots the installer, which reports disks
//! and warnings of the kernel and changes nothing, also when the appliance is killed meanwhile; afterwards the machine is
//! off again, and so it is when somebody powers it on by hand. Released with a wipe in the middle of which the power fails,
//! it is available with no signature and no key left on both disks, and its third disk is as it was.

mod disks;
mod machine;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, ensure};
use lab::{Firmware, Power, UpOptions};

use super::Options;
use super::on_rack::on_rack;
use crate::command::done;
use crate::disk_files::fingerprints;
use crate::end::End;
use crate::objects::{NAMESPACE, get, kubectl};
use crate::rack::Rack;
use crate::said::says;
use crate::waiting::until;
use machine::Machine;

/// Until the installer runs, or an installation or a wipe is over; machines are emulated.
const OVER: Duration = Duration::from_secs(20 * 60);
/// Until Gantry has heard of the machine's power and has done something about it.
const POWER: Duration = Duration::from_secs(6 * 60);
/// Until the next action is handed out.
const NEXT: Duration = Duration::from_secs(5 * 60);

const REASON: &str = "disk errors";
/// Minutes that the installer stays up.
const MINUTES: &str = "2";
/// File numbers of a rack's disks.
const OTHER: usize = 0;
const TARGET: usize = 1;
const USB: usize = 2;

pub(crate) async fn run(options: Options) -> anyhow::Result<End> {
    let shape = UpOptions {
        machines: 1,
        firmware: Firmware::Bios,
        disk_gib: 1,
        // The names that the disks had when they were pinned stand for others at every second power-on.
        swap_disks: true,
        usb_disk: true,
        ..UpOptions::default()
    };
    on_rack(options, "rescue-", shape, tell).await
}

async fn tell(rack: &mut Rack) -> anyhow::Result<()> {
    rack.blank()?;
    let plan = rack.plan.machines.first().context("no machine")?.clone();
    let [other, target, usb] = [OTHER, TARGET, USB].map(|disk| rack.paths.disk(&plan, disk));
    let system = disks::system(rack)?;
    disks::copied(&system, &other)?;
    let held = lab::disk_fingerprint(&other)?;

    rack.serve().await?;
    let machine = Machine { plan: &plan };
    machine.installed(rack, &system, OVER).await?;
    for disk in [&target, &usb] {
        disks::complete(disk)?;
    }
    println!("installed: signatures and keys are on both disks");

    given_up_while_the_bmc_is_silent(rack, &machine).await?;
    rescued(rack, &machine, &[other.clone(), target.clone(), usb.clone()]).await?;
    switched_on_by_hand(rack, &machine).await?;
    power_fails_in_the_wipe(rack, &machine, &target, &usb).await?;
    given_back(rack, &machine).await?;
    for disk in [&target, &usb] {
        disks::clean(disk)?;
    }
    ensure!(
        lab::disk_fingerprint(&other)? == held,
        "the disk that no attempt has written to has changed"
    );
    println!("given back: no signature and no key is left on both disks, and the third one is as it was");
    rack.end_appliance()
}

/// Quarantine and deletion of a machine that runs. Only what its BMC says lets it go, and the BMC says nothing at first.
async fn given_up_while_the_bmc_is_silent(rack: &Rack, machine: &Machine<'_>) -> anyhow::Result<()> {
    let name = machine.name();
    let (_, complaint) = rack.refused(&["rescue", "server", name])?;
    says(&complaint, &[&format!("first: gantry quarantine server {name}")])?;
    print!(
        "{}",
        rack.gantry(&["quarantine", "server", name, "--reason", REASON])?
    );
    let (_, complaint) = rack.refused(&["rescue", "server", name])?;
    says(&complaint, &["is in use by ProviderMachine"])?;

    machine.silence_bmc(rack)?;
    machine.deleted(rack)?;
    let waits = format!("powering {name} off");
    let parts = [waits.as_str(), "power unknown", "Contactable: False"];
    let said = machine.explained(rack, &parts, POWER).await?;
    println!("the BMC is silent:\n{said}");
    says(&said, &["in quarantine for", REASON])?;
    let (_, complaint) = rack.refused(&["rescue", "server", name])?;
    says(&complaint, &["is not off yet"])?;
    ensure!(machine.is_claimed(rack)?, "given back without evidence");
    ensure!(machine.power(rack)? == Power::On, "the BMC was not silent");
    machine.let_bmc_speak(rack)?;
    kept(rack, machine).await?;
    println!("the BMC answers again: off, and kept");
    Ok(())
}

/// The machine is off, and Gantry says that it keeps it.
async fn kept(rack: &Rack, machine: &Machine<'_>) -> anyhow::Result<()> {
    let reason = format!("is off and kept for inspection ({REASON})");
    let said = machine.explained(rack, &[&reason, "; power off"], POWER).await?;
    ensure!(machine.power(rack)? == Power::Off, "it is not off: {said}");
    ensure!(machine.is_claimed(rack)?, "it is not kept: {said}");
    Ok(())
}

async fn rescued(rack: &mut Rack, machine: &Machine<'_>, disks: &[PathBuf]) -> anyhow::Result<()> {
    let name = machine.name();
    let before = fingerprints(disks)?;
    let begun = rack.gantry(&["rescue", "server", name, "--minutes", MINUTES])?;
    println!("$ gantry rescue server {name} --minutes {MINUTES}\n{begun}");
    let waits = format!("{name} is being inspected; it is powered off when that is over");
    let parts = [waits.as_str(), "the installer stays up"];
    println!("{}", machine.explained(rack, &parts, OVER).await?);
    let (_, complaint) = rack.refused(&["rescue", "server", name])?;
    says(&complaint, &["boots", "already"])?;

    let power_ons = machine.power_ons(rack)?;
    rack.kill_appliance()?;
    rack.serve().await?;
    let said = machine.explained(rack, &parts, NEXT).await?;
    println!("kill -9 of the appliance, and it goes on:\n{said}");
    let (state, reason) = machine.rescue_end(rack, OVER).await?;
    ensure!(state == "SUCCESS", "the rescue is {state}: {reason}");
    ensure!(
        machine.power_ons(rack)? == power_ons,
        "the machine was powered on a second time"
    );
    kept(rack, machine).await?;
    ensure!(fingerprints(disks)? == before, "the rescue has written to a disk");
    println!("looked at for {MINUTES} minutes: off, kept, and no disk has changed");
    reported(rack, machine)
}

/// The evidence has all disks with what lies on them, and what the kernel complains of: the third disk has a GPT that is
/// shorter than the disk.
fn reported(rack: &Rack, machine: &Machine<'_>) -> anyhow::Result<()> {
    let name = machine.name();
    let file = rack.file("evidence.tar.gz");
    print!(
        "{}",
        rack.gantry(&["evidence", name, "-o", &file.display().to_string()])?
    );
    let member = format!("evidence-{name}/actionlogs.txt");
    let log = done(Command::new("tar").arg("-xzOf").arg(&file).arg(member))?;
    let lines: Vec<&str> = log
        .lines()
        .filter(|line| line.contains("action=inspect"))
        .collect();
    println!("{}", lines.join("\n"));
    for disk in [OTHER, TARGET, USB] {
        let serial = machine.plan.disk_serial(disk);
        let of_disk = lines.iter().find(|line| line.contains(&serial));
        let line = of_disk.with_context(|| format!("nothing of disk {serial}"))?;
        says(line, &["on it: GPT", "LVM physical volume", "LUKS", "xfs"])?;
    }
    let warning = "Alt. header is not at the end of the disk";
    ensure!(
        lines
            .iter()
            .any(|line| line.contains("kernel: [") && line.contains(warning)),
        "no warning of the kernel"
    );
    Ok(())
}

/// Somebody presses the button of a machine that is kept: what its BMC said before is void, and it is powered off again.
async fn switched_on_by_hand(rack: &Rack, machine: &Machine<'_>) -> anyhow::Result<()> {
    let power_ons = machine.power_ons(rack)? + 1;
    rack.at_bmc(machine.name(), "On")?;
    until("the machine is powered off again", POWER, || async {
        match (machine.power_ons(rack), machine.power(rack)) {
            (Ok(count), Ok(Power::Off)) if count == power_ons => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await?;
    kept(rack, machine).await?;
    println!("powered on by hand: off again, and kept");
    Ok(())
}

/// The end of the quarantine begins the wipe. The power fails when the first disk is clean and the second one is not.
async fn power_fails_in_the_wipe(
    rack: &Rack,
    machine: &Machine<'_>,
    target: &Path,
    usb: &Path,
) -> anyhow::Result<()> {
    let name = machine.name();
    let policy = r#"{"spec":{"wipe":"quick"}}"#;
    kubectl(
        rack,
        &[
            "-n",
            NAMESPACE,
            "patch",
            "servers",
            name,
            "--type=merge",
            "-p",
            policy,
        ],
    )?;
    print!("{}", rack.gantry(&["quarantine", "server", name, "--end"])?);
    machine.wipes(rack, 0, OVER).await?;
    machine.wipes(rack, 1, NEXT).await?;
    rack.at_bmc(name, "ForceOff")?;
    disks::clean(target)?;
    let left = disks::found(usb)?;
    ensure!(!left.is_empty(), "the wipe was over before the power failed");
    println!(
        "power failed in the wipe: the first disk is clean, the second one has {}",
        left.join(", ")
    );
    println!("{}", rack.gantry(&["explain", name])?);
    rack.at_bmc(name, "On")
}

/// The same attempt ends the wipe, and the server is available and off.
async fn given_back(rack: &Rack, machine: &Machine<'_>) -> anyhow::Result<()> {
    let name = machine.name();
    machine.gone(rack, OVER).await?;
    until("the server is free", POWER, || async {
        let server = get(rack, "servers", name).map_err(|error| format!("{error:#}"))?;
        match server["status"]["reason"].as_str() {
            Some("free") => Ok(()),
            _ => Err(server["status"].to_string()),
        }
    })
    .await?;
    println!("{}", rack.gantry(&["explain", name])?);
    let server = get(rack, "servers", name)?;
    ensure!(server["spec"]["claim"].is_null(), "it is claimed still");
    ensure!(server["spec"]["unwiped"].is_null(), "it was given back unwiped");
    ensure!(
        server["spec"]["attempt"]["number"] == 3,
        "installation, rescue and wipe took more than three attempts: {}",
        server["spec"]["attempt"]
    );
    ensure!(machine.power(rack)? == Power::Off, "it is not off");
    Ok(())
}
