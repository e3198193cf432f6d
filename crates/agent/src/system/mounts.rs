//! The file systems that every program counts on.

use std::fs;
use std::path::Path;

use nix::mount::{MsFlags, mount};

use crate::Error;

/// Source and type, where, options, and whether the machine can do without.
const MOUNTS: [(&str, &str, &str, bool); 5] = [
    ("proc", "/proc", "", false),
    ("sysfs", "/sys", "", false),
    ("devtmpfs", "/dev", "mode=0755", false),
    ("tmpfs", "/run", "mode=0755,size=25%", false),
    ("efivarfs", "/sys/firmware/efi/efivars", "", true),
];

/// Mounts what is not mounted yet. `efivarfs` may need its module, so this is called again when modules are there.
///
/// # Errors
/// When the kernel refuses one that is needed.
pub fn mount_system() -> Result<(), Error> {
    for (kind, path, options, optional) in MOUNTS {
        if optional && !Path::new(path).is_dir() {
            continue;
        }
        if !optional {
            fs::create_dir_all(path).map_err(Error::file(path, "making the directory"))?;
        }
        if is_mounted(path) {
            continue;
        }
        let flags = MsFlags::MS_NOSUID
            | if kind == "devtmpfs" {
                MsFlags::empty()
            } else {
                MsFlags::MS_NODEV
            };
        let mounted = mount(Some(kind), path, Some(kind), flags, Some(options));
        match mounted {
            Ok(()) | Err(nix::errno::Errno::EBUSY) => {}
            Err(_) if optional => {}
            Err(error) => return Err(Error::kernel(format!("mounting {path}"))(error)),
        }
    }
    Ok(())
}

fn is_mounted(path: &str) -> bool {
    let table = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    table.lines().any(|line| line.split(' ').nth(1) == Some(path))
}

/// Makes the kernel call this program when it wants a module (a file system's checksum, a NIC's PHY).
///
/// # Errors
/// When the kernel refuses.
pub fn make_kernel_ask_us() -> Result<(), Error> {
    let path = "/proc/sys/kernel/modprobe";
    fs::write(path, "/init").map_err(Error::file(path, "writing"))
}
