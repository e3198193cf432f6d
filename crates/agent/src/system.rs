//! The machine below the agent: file systems, modules, clock, system calls.

mod clock;
mod installed;
mod kernel_log;
mod modalias;
mod modules;
mod mounts;
mod syscalls;

pub use clock::{build_time, first_time, set_clock};
pub use installed::{InstalledProgram, run_installed};
pub(crate) use kernel_log::kernel_complaints;
pub use modalias::glob;
pub use modules::{ModuleIndex, Modules};
pub use mounts::{make_kernel_ask_us, mount_system};
pub(crate) use syscalls::{kexec_file_load, make_mutable};

use crate::Error;

/// Restarts the machine, or jumps into the kernel that was loaded for kexec. Comes back only if it fails.
#[must_use]
pub fn leave(kexec: bool) -> Error {
    use nix::sys::reboot::{RebootMode, reboot};
    nix::unistd::sync();
    let mode = if kexec {
        RebootMode::RB_KEXEC
    } else {
        RebootMode::RB_AUTOBOOT
    };
    match reboot(mode) {
        Ok(never) => match never {},
        Err(error) => Error::kernel(if kexec { "kexec" } else { "restarting" })(error),
    }
}
