//! `wipe`: take the system off a disk that an earlier attempt has written to, so that nothing starts, mounts or assembles it
//! again and its keys can't be read through the disk's interface.
//!
//! A disk that is known not to spin is asked to zero itself, in whole: that leaves nothing, and is quick where it works at
//! all. (Spinning disks that offer it write every sector.) Any other disk keeps its keys in the files of its file systems,
//! wherever these are: a list of paths would miss what users' images and their clusters put elsewhere, so the content of every
//! file is overwritten. That takes as long as writing what the disk holds, not the whole disk. What the kernel can't mount,
//! or does not write in place (btrfs, LVM, md, ZFS, swap, LUKS, unknown), is overwritten in whole. Only then signatures and
//! tables go ([`disk_image::wipe`]), because they are what leads to the files: a run that was cut off begins again.

mod files;

use std::path::Path;

use agent_protocol::environment::DEST_DISK;
use agent_protocol::v1::Firmware;
use disk_image::{WipeAuthorized, WipeJob, wipe, zero_whole};

use super::parts::{Holds, Part, parts};
use super::settings::wrong;
use super::{ActionContext, Outcome};
use crate::{Error, without_our_boot_options};

pub(super) fn run(context: &ActionContext) -> Result<Outcome, Error> {
    if context.disk_name(DEST_DISK)?.partition().is_some() {
        return Err(wrong(DEST_DISK, "names a partition; a wipe takes a whole disk"));
    }
    context.admit()?;
    let device = context.device(DEST_DISK)?;
    let stable = context.host.stable_name(&device);
    let told = match zeroed_by_itself(context, &device)? {
        true => "the disk has zeroed itself, all of it".to_owned(),
        false => wiped(context)?,
    };
    forget_boot_options(context);
    Ok(Outcome::done(format!(
        "{} ({}) is wiped: {told}",
        device.display(),
        stable.display()
    )))
}

/// Whether the disk could make all of itself read as zeros.
fn zeroed_by_itself(context: &ActionContext, device: &Path) -> Result<bool, Error> {
    let disks = context.host.disks();
    let disk = disks.iter().find(|disk| Path::new(&disk.device) == device);
    if disk.and_then(|disk| disk.rotational) != Some(false) {
        return Ok(false);
    }
    let (_, target) = context.open_disk(DEST_DISK)?;
    Ok(zero_whole(&*target, &WipeAuthorized::of_pinned_disk(), context)?)
}

/// Files first, then what has none, then signatures.
fn wiped(context: &ActionContext) -> Result<String, Error> {
    let (device, target) = context.open_disk(DEST_DISK)?;
    let found = parts(&device, &*target)?;
    // Nothing of an open disk can be mounted.
    drop(target);
    let (mut files, mut job) = (0_u64, WipeJob::default());
    for part in &found {
        match part.holds {
            Holds::Nothing => {}
            Holds::Files(fs_type) => match overwrite_files(context, &device, part, fs_type) {
                Ok(count) => files = files.saturating_add(count),
                Err(error @ Error::Stopped { .. }) => return Err(error),
                Err(error) => {
                    context.board.log(format!(
                        "{part}: its files can't be overwritten one by one ({}), so all of it is",
                        error.line()
                    ));
                    job.overwrite.push(part.range.clone());
                }
            },
            Holds::Other(what) => {
                context.board.log(format!("{part}: {what}, overwritten in whole"));
                job.overwrite.push(part.range.clone());
            }
        }
    }
    let (_, target) = context.open_disk(DEST_DISK)?;
    let done = wipe(&*target, &job, &WipeAuthorized::of_pinned_disk(), context)?;
    let given_up = if done.discarded {
        "; the disk was asked to give up the rest"
    } else {
        "; blocks of files that were deleted earlier may keep what they held"
    };
    Ok(format!(
        "{files} files and {} bytes outside of files overwritten, signatures and partition tables cleared{given_up}",
        done.overwritten
    ))
}

/// How many files were overwritten.
fn overwrite_files(context: &ActionContext, device: &Path, part: &Part, fs_type: &str) -> Result<u64, Error> {
    let device = part.device(context, device)?;
    context.admit()?;
    let mounted = context.host.mount(&device, fs_type, false)?;
    let done = files::overwrite(context, mounted.path())?;
    mounted.close()?;
    context.board.log(format!(
        "{part}: {} files overwritten, {} bytes",
        done.files, done.bytes
    ));
    Ok(done.files)
}

/// Removes the boot entries of the system that is gone. A firmware that keeps them finds nothing behind them.
fn forget_boot_options(context: &ActionContext) {
    if context.host.firmware() != Firmware::Uefi {
        return;
    }
    let forget = || {
        let now = context.host.boot_options()?;
        let wanted = without_our_boot_options(&now);
        if wanted != now {
            context.host.set_boot_options(&now, &wanted)?;
            context.board.log("UEFI boot entry removed");
        }
        Ok::<_, Error>(())
    };
    if let Err(error) = forget() {
        let line = error.line();
        context.board.log(format!(
            "the UEFI boot entry stays, with nothing behind it: {line}"
        ));
    }
}
