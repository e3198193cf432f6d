//! `reboot`: restart the machine into the installed system.
//!
//! Under UEFI the firmware is told first: an entry for the EFI system partition of the disk that was written, in front
//! of the boot order, and older entries of ours removed.

use std::path::Path;

use agent_protocol::environment::{
    BLOCK_DEVICE, DEST_DISK, FACT_BIOS_DRIVE, FACT_DISK, FACT_ESP_GUID, FACT_FIRMWARE, FACT_HANDOVER,
};
use agent_protocol::v1::Firmware;
use disk_image::gpt;

use super::{ActionContext, Outcome};
use crate::{Error, LoadOption, plan_boot_options};

/// Enough of a disk for its partition table.
const HEAD: usize = 64 << 10;

pub(super) fn run(context: &ActionContext) -> Result<Outcome, Error> {
    let mut outcome = prepare(context)?.fact(FACT_HANDOVER, "reboot");
    outcome.message = format!("{}restarting", outcome.message);
    outcome.leave = Some(false);
    Ok(outcome)
}

/// Tells the firmware about the installed system; what it found goes into the facts. The disk is `DEST_DISK`, else the
/// one that `BLOCK_DEVICE` is on; with neither there is nothing to tell.
pub(super) fn prepare(context: &ActionContext) -> Result<Outcome, Error> {
    let firmware = context.host.firmware();
    let name = if firmware == Firmware::Uefi {
        "uefi"
    } else {
        "bios"
    };
    let outcome = Outcome::default().fact(FACT_FIRMWARE, name);
    let device = if context.optional(DEST_DISK).is_some() {
        context.device(DEST_DISK)?
    } else if context.optional(BLOCK_DEVICE).is_some() {
        context.host.disk_of(&context.device(BLOCK_DEVICE)?)
    } else {
        return Ok(outcome);
    };
    let stable = context.host.stable_name(&device).display().to_string();
    let mut outcome = outcome.fact(FACT_DISK, stable);
    if let Some(drive) = context
        .host
        .bios_drive(&device)
        .filter(|_| firmware == Firmware::Bios)
    {
        outcome = outcome.fact(FACT_BIOS_DRIVE, format!("{drive:#04x}"));
    }
    let Some(esp) = esp(&device)? else {
        return Ok(outcome);
    };
    outcome = outcome.fact(FACT_ESP_GUID, gpt::guid_text(&esp.guid));
    if firmware == Firmware::Uefi {
        let option = LoadOption {
            partition: esp.number,
            first: esp.first,
            sectors: esp.last.saturating_sub(esp.first) + 1,
            guid: esp.guid,
        };
        context.admit()?;
        let now = context.host.boot_options()?;
        let wanted = plan_boot_options(&now, &option);
        if wanted != now {
            context.host.set_boot_options(&now, &wanted)?;
            context.board.log("UEFI boot entry and boot order written");
        }
        outcome.message = "UEFI boot entry in place; ".to_owned();
    }
    Ok(outcome)
}

fn esp(device: &Path) -> Result<Option<gpt::Partition>, Error> {
    use std::io::Read;
    let mut head = Vec::with_capacity(HEAD);
    let file = std::fs::File::open(device).map_err(Error::file(device, "opening"))?;
    file.take(HEAD as u64)
        .read_to_end(&mut head)
        .map_err(Error::file(device, "reading"))?;
    Ok(gpt::parse(&head).and_then(|table| table.esp().copied()))
}
