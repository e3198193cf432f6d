//! `kexec`: start the installed kernel without going through the firmware.
//!
//! Kernel, initramfs and arguments come from the settings or from the boot loader's configuration. They are loaded
//! before success is reported, so that what can't be started fails the action instead of the machine.

use std::fs::File;

use agent_protocol::environment::{
    BLOCK_DEVICE, CMD_LINE, FACT_HANDOVER, FS_TYPE, GRUBCFG_PATH, INITRD_PATH, KERNEL_PATH,
};

use super::{ActionContext, Outcome};
use crate::{Error, FileTree, KernelEntry, first_entry};

/// Where distributions keep GRUB's configuration, as seen from the root and from a `/boot` of its own.
const GRUB_CONFIGS: [&str; 3] = ["/boot/grub/grub.cfg", "/boot/grub2/grub.cfg", "/grub/grub.cfg"];

pub(super) fn run(context: &ActionContext) -> Result<Outcome, Error> {
    let what = load(context)?;
    let mut outcome = Outcome::done(format!("{what} is loaded; starting it")).fact(FACT_HANDOVER, "kexec");
    outcome.leave = Some(true);
    Ok(outcome)
}

/// Loads the kernel; gives back its path.
pub(super) fn load(context: &ActionContext) -> Result<String, Error> {
    let fs_type = context.required(FS_TYPE)?;
    let device = context.device(BLOCK_DEVICE)?;
    let mounted = context.host.mount(&device, fs_type, true)?;
    let loaded = (|| {
        let tree = FileTree::open(mounted.path())?;
        let entry = entry(context, &tree)?;
        let kernel = open(&tree, &entry.kernel)?;
        let initrd = entry
            .initrd
            .as_deref()
            .map(|path| open(&tree, path))
            .transpose()?;
        context.board.log(format!(
            "kernel {}, initramfs {}, arguments {:?}",
            entry.kernel,
            entry.initrd.as_deref().unwrap_or("none"),
            entry.command_line
        ));
        context
            .host
            .load_kernel(&kernel, initrd.as_ref(), &entry.command_line)?;
        Ok(entry.kernel)
    })();
    mounted.close()?;
    loaded
}

/// What to start: the settings win, the configuration fills the gaps.
fn entry(context: &ActionContext, tree: &FileTree) -> Result<KernelEntry, Error> {
    let found = configured(context, tree);
    let kernel = context.optional(KERNEL_PATH).map(str::to_owned);
    let from_settings = kernel.is_some();
    let configured = found.as_ref();
    let kernel = kernel.or_else(|| configured.map(|entry| entry.kernel.clone()));
    let Some(kernel) = kernel else {
        return Err(Error::NoKernel {
            reason: format!("none of {} names one", GRUB_CONFIGS.join(", ")),
        });
    };
    let initrd = context.optional(INITRD_PATH).map(str::to_owned);
    let command_line = context.optional(CMD_LINE).map(str::to_owned);
    let command_line = command_line.or_else(|| configured.map(|entry| entry.command_line.clone()));
    Ok(KernelEntry {
        kernel,
        // An initramfs belongs to its kernel.
        initrd: initrd.or_else(|| {
            configured
                .filter(|_| !from_settings)
                .and_then(|entry| entry.initrd.clone())
        }),
        command_line: command_line.unwrap_or_default(),
    })
}

fn configured(context: &ActionContext, tree: &FileTree) -> Option<KernelEntry> {
    let own = context.optional(GRUBCFG_PATH);
    own.into_iter().chain(GRUB_CONFIGS).find_map(|path| {
        let text = std::io::read_to_string(tree.read(path).ok()?).ok()?;
        first_entry(&text)
    })
}

/// Opens a file by the path that the boot loader sees: with a `/boot` of its own the prefix is missing or too much.
fn open(tree: &FileTree, path: &str) -> Result<File, Error> {
    let without = path.strip_prefix("/boot").filter(|rest| rest.starts_with('/'));
    let with = format!("/boot{path}");
    match tree.read(path) {
        Ok(file) => Ok(file),
        Err(error) => without
            .and_then(|path| tree.read(path).ok())
            .or_else(|| tree.read(&with).ok())
            .ok_or(error),
    }
}
