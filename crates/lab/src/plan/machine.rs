//! One machine of a rack and its BMC.

use std::net::Ipv4Addr;

use resources::{Mac, Secret};

use super::address::host;
use super::seed::{self, Seed};
use crate::options::{Firmware, UpOptions};

/// What a machine is labelled as in the CSV.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    ControlPlane,
    Worker,
}

impl Role {
    /// The CSV's label.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::ControlPlane => "type=cp",
            Self::Worker => "type=worker",
        }
    }
}

/// One machine, powered off at first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MachinePlan {
    pub index: usize,
    /// Host name.
    pub name: String,
    pub role: Role,
    pub firmware: Firmware,
    pub cpus: u32,
    pub memory_mib: u32,
    pub disk_gib: u32,
    pub netboot_first: bool,
    /// The first disk and the target change places at each power-on after the first.
    pub swap_disks: bool,
    /// A removable USB disk is plugged in.
    pub usb_disk: bool,
    /// Some sectors of the target can be neither read nor written.
    pub bad_disk: bool,
    /// The second network card: the one that boots.
    pub boot_mac: Mac,
    /// The first network card: linked, but nothing answers DHCP there.
    pub other_mac: Mac,
    /// Reserved for the machine on the boot network.
    pub ip: Ipv4Addr,
    pub bmc_ip: Ipv4Addr,
    pub bmc_user: String,
    pub bmc_password: Secret<String>,
    /// SMBIOS.
    pub uuid: String,
    pub serial: String,
    /// The disk to install on, as the guest names it at the first power-on.
    pub disk: &'static str,
}

impl MachinePlan {
    /// Tap of the boot network, in the rack's namespace.
    pub(crate) fn boot_tap(&self) -> String {
        format!("tap{}b", self.index)
    }

    /// Tap of the other network.
    pub(crate) fn other_tap(&self) -> String {
        format!("tap{}o", self.index)
    }

    /// Serial number of a disk, visible to the guest; numbered as [`crate::RackPaths::disk`] numbers the files.
    #[must_use]
    pub fn disk_serial(&self, index: usize) -> String {
        format!("{}D{index}", self.serial)
    }

    /// PCI device numbers of the first disk and of the target at a power-on; `before` counts those before it.
    pub(crate) fn disk_slots(&self, before: u64) -> [u8; 2] {
        if self.swap_disks && before % 2 == 1 {
            [6, 5]
        } else {
            [5, 6]
        }
    }
}

/// Derives the machine at `index`; addresses count up from the two given ones.
pub(super) fn derive(
    draw: &Seed<'_>,
    index: usize,
    options: &UpOptions,
    first_ip: Ipv4Addr,
    first_bmc_ip: Ipv4Addr,
) -> MachinePlan {
    let key = |what: &str| format!("machine {index} {what}");
    let offset = u8::try_from(index).unwrap_or(u8::MAX);
    let after = |address: Ipv4Addr| host(address, address.octets()[3].saturating_add(offset));
    MachinePlan {
        index,
        // The index makes the name unique whatever is drawn.
        name: format!(
            "{}-{}{index:02}",
            draw.word(&key("word")),
            draw.text(&key("letters"), b"bcdfghkmnprstvwxz", 2)
        ),
        role: if index == 0 {
            Role::ControlPlane
        } else {
            Role::Worker
        },
        firmware: options.firmware,
        cpus: options.cpus,
        memory_mib: options.memory_of(index),
        disk_gib: options.disk_gib,
        netboot_first: options.netboot_first,
        swap_disks: options.swap_disks,
        usb_disk: options.usb_disk,
        bad_disk: options.bad_disk == Some(index),
        boot_mac: mac(draw.bytes(&key("boot mac"))),
        other_mac: mac(draw.bytes(&key("other mac"))),
        ip: after(first_ip),
        bmc_ip: after(first_bmc_ip),
        bmc_user: format!("{}-ops", draw.word(&key("bmc user"))),
        bmc_password: Secret::new(draw.text(&key("bmc password"), seed::PASSWORD, 20)),
        uuid: uuid(draw.bytes(&key("uuid"))),
        serial: format!("GL{}", draw.text(&key("serial"), seed::UPPER, 10)),
        disk: "/dev/vdb",
    }
}

/// A locally administered unicast address.
fn mac(bytes: [u8; 32]) -> Mac {
    let [a, b, c, d, e, f, ..] = bytes;
    Mac::new([(a & 0xfc) | 2, b, c, d, e, f])
}

/// A version 4 UUID (RFC 9562 §5.4).
fn uuid(bytes: [u8; 32]) -> String {
    let mut id = [0u8; 16];
    id.copy_from_slice(bytes.split_at(16).0);
    id[6] = (id[6] & 0x0f) | 0x40;
    id[8] = (id[8] & 0x3f) | 0x80;
    let text = hex::encode(id);
    let part = |from: usize, to: usize| text.get(from..to).unwrap_or_default();
    format!(
        "{}-{}-{}-{}-{}",
        part(0, 8),
        part(8, 12),
        part(12, 16),
        part(16, 20),
        part(20, 32)
    )
}
