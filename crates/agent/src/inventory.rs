//! What the machine is: read from sysfs, procfs and the kernel's copy of the SMBIOS tables.

mod attachment;
mod bios_drive;
mod contents;
mod disk_ids;
mod disks;
mod ends;
mod nics;
mod sysfs;
mod vpd;

use std::fs;
use std::path::{Path, PathBuf};

use agent_protocol::v1::{Firmware, Inventory};

pub(crate) use bios_drive::bios_drives;
pub(crate) use contents::{file_system, signature};
pub use disks::{DiskFacts, Disks};
pub use nics::{Nic, nics};
use sysfs::text;

/// Collects the inventory from a sysfs at `sys`.
#[must_use]
pub fn inventory(sys: &Path) -> Inventory {
    let dmi = |name: &str| {
        let text = text(&sys.join("class/dmi/id").join(name));
        // Boards that were never programmed.
        let meaningless = [
            "Not Specified",
            "To Be Filled By O.E.M.",
            "None",
            "Default string",
            "0",
        ];
        text.filter(|text| !meaningless.contains(&text.as_str()))
            .unwrap_or_default()
    };
    let disks = Disks::new(sys.to_owned(), PathBuf::from("/dev"));
    Inventory {
        uuid: dmi("product_uuid").to_lowercase(),
        serial: dmi("product_serial"),
        vendor: dmi("sys_vendor"),
        product: dmi("product_name"),
        firmware: firmware(sys).into(),
        secure_boot: secure_boot(sys),
        cpus: u32::try_from(count_cpus(&sys.join("devices/system/cpu"))).unwrap_or(u32::MAX),
        memory: memory(),
        disks: disks.report(),
        nics: nics(sys).into_iter().map(Nic::into_message).collect(),
    }
}

/// Firmware that started the machine.
#[must_use]
pub fn firmware(sys: &Path) -> Firmware {
    if sys.join("firmware/efi").is_dir() {
        Firmware::Uefi
    } else {
        Firmware::Bios
    }
}

/// Whether Secure Boot is enforced; `None` under BIOS.
#[must_use]
pub fn secure_boot(sys: &Path) -> Option<bool> {
    let variables = sys.join("firmware/efi/efivars");
    let value = fs::read(variables.join("SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c")).ok();
    match (value, firmware(sys)) {
        (Some(value), _) => value.get(4).map(|byte| *byte == 1),
        (None, Firmware::Uefi) => Some(false),
        (None, _) => None,
    }
}

fn count_cpus(directory: &Path) -> usize {
    let Ok(entries) = fs::read_dir(directory) else {
        return 0;
    };
    entries
        .flatten()
        .filter(|entry| {
            let name = entry.file_name();
            let digits = name.to_string_lossy().strip_prefix("cpu").map(str::to_owned);
            digits.is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()))
        })
        .count()
}

fn memory() -> u64 {
    let info = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let total = info.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let kibibytes = total.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
    kibibytes.unwrap_or(0).saturating_mul(1024)
}
