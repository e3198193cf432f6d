//! Boot options: what the machine boots next, and what it always tries first.

use super::store::{Variables, utf16};
use crate::plan::{MachinePlan, netboot_path};

const ACTIVE: u32 = 1;
/// `EFI_OS_INDICATIONS_BOOT_TO_FW_UI`.
const BOOT_TO_SETUP: u64 = 1;
/// 8108ac4e-9f11-4d59-850e-e21a522c59b2: marks options that the firmware made itself, so that it takes ours for its own.
const MADE_BY_FIRMWARE: [u8; 16] = [
    0x4e, 0xac, 0x08, 0x81, 0x11, 0x9f, 0x59, 0x4d, 0x85, 0x0e, 0xe2, 0x1a, 0x52, 0x2c, 0x59, 0xb2,
];

/// What to boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BootTarget {
    Network,
    /// The disk with this PCI device number on the root bridge.
    Disk(u8),
    Setup,
}

/// Makes the next boot, and only that, go to the target.
pub(crate) fn set_boot_next(variables: &mut Variables, machine: &MachinePlan, target: BootTarget) {
    let option = match target {
        BootTarget::Setup => {
            let before = variables
                .get("OsIndications")
                .and_then(|data| data.try_into().ok())
                .map_or(0, u64::from_le_bytes);
            variables.set("OsIndications", (before | BOOT_TO_SETUP).to_le_bytes().to_vec());
            return;
        }
        BootTarget::Network => network_option(machine),
        BootTarget::Disk(slot) => disk_option(slot),
    };
    let number = find_or_add(variables, &option);
    variables.set("BootNext", number.to_le_bytes().to_vec());
}

/// Puts the booting network card first in the persistent order.
pub(crate) fn put_network_first(variables: &mut Variables, machine: &MachinePlan) {
    let number = find_or_add(variables, &network_option(machine));
    let mut order = vec![number];
    order.extend(boot_order(variables).into_iter().filter(|other| *other != number));
    variables.set(
        "BootOrder",
        order.into_iter().flat_map(u16::to_le_bytes).collect(),
    );
}

fn boot_order(variables: &Variables) -> Vec<u16> {
    let data = variables.get("BootOrder").unwrap_or_default();
    data.chunks_exact(2)
        .filter_map(|pair| Some(u16::from_le_bytes(pair.try_into().ok()?)))
        .collect()
}

struct LoadOption {
    description: String,
    path: Vec<u8>,
}

impl LoadOption {
    /// `EFI_LOAD_OPTION`.
    fn to_bytes(&self) -> Vec<u8> {
        let path_length = u16::try_from(self.path.len()).unwrap_or(u16::MAX);
        let mut bytes = ACTIVE.to_le_bytes().to_vec();
        bytes.extend_from_slice(&path_length.to_le_bytes());
        bytes.extend_from_slice(&utf16(&self.description));
        bytes.extend_from_slice(&self.path);
        bytes.extend_from_slice(&MADE_BY_FIRMWARE);
        bytes
    }
}

/// The number of the option with this device path; a new one is added behind the highest number in use.
fn find_or_add(variables: &mut Variables, option: &LoadOption) -> u16 {
    let numbers: Vec<u16> = variables
        .names()
        .iter()
        .filter_map(|name| boot_number(name))
        .collect();
    for number in &numbers {
        let held = variables.get(&format!("Boot{number:04X}")).unwrap_or_default();
        if device_path(held) == Some(option.path.as_slice()) {
            return *number;
        }
    }
    let number = numbers
        .iter()
        .max()
        .map_or(0, |highest| highest.saturating_add(1));
    variables.set(&format!("Boot{number:04X}"), option.to_bytes());
    number
}

fn boot_number(name: &str) -> Option<u16> {
    let digits = name.strip_prefix("Boot").filter(|digits| digits.len() == 4)?;
    u16::from_str_radix(digits, 16).ok()
}

/// The device path inside a load option.
fn device_path(option: &[u8]) -> Option<&[u8]> {
    let length = usize::from(u16::from_le_bytes(option.get(4..6)?.try_into().ok()?));
    let rest = option.get(6..)?;
    let description = rest.chunks_exact(2).position(|pair| pair == [0, 0])?;
    let from = (description + 1) * 2;
    rest.get(from..from.checked_add(length)?)
}

/// PXE over IPv4 on the booting card, as OVMF names it.
fn network_option(machine: &MachinePlan) -> LoadOption {
    let mut path = pci_path(netboot_path());
    let mut mac = [0u8; 33];
    mac[..6].copy_from_slice(&machine.boot_mac.octets());
    mac[32] = 1; // Ethernet
    node(&mut path, 3, 11, &mac);
    node(&mut path, 3, 12, &[0; 23]); // IPv4, everything by DHCP
    node(&mut path, 0x7f, 0xff, &[]);
    let digits: String = machine
        .boot_mac
        .octets()
        .iter()
        .map(|octet| format!("{octet:02X}"))
        .collect();
    LoadOption {
        description: format!("UEFI PXEv4 (MAC:{digits})"),
        path,
    }
}

/// A disk; the firmware finds `\EFI\BOOT\BOOTX64.EFI` on it.
fn disk_option(slot: u8) -> LoadOption {
    let mut path = pci_path(slot);
    node(&mut path, 0x7f, 0xff, &[]);
    LoadOption {
        description: "UEFI Misc Device 2".to_owned(),
        path,
    }
}

/// `PciRoot(0x0)/Pci(device,0x0)`.
fn pci_path(device: u8) -> Vec<u8> {
    let mut path = Vec::new();
    node(&mut path, 2, 1, &[0xd0, 0x41, 0x03, 0x0a, 0, 0, 0, 0]);
    node(&mut path, 1, 1, &[0, device]);
    path
}

fn node(path: &mut Vec<u8>, kind: u8, subkind: u8, data: &[u8]) {
    let length = u16::try_from(data.len() + 4).unwrap_or(u16::MAX);
    path.extend_from_slice(&[kind, subkind]);
    path.extend_from_slice(&length.to_le_bytes());
    path.extend_from_slice(data);
}

#[cfg(test)]
mod tests {
    use super::super::store::tests::blank;
    use super::*;
    use crate::options::UpOptions;
    use crate::plan::RackPlan;

    fn machine() -> MachinePlan {
        RackPlan::derive("x", &UpOptions::default()).machines[0].clone()
    }

    #[test]
    fn boot_next_reuses_an_option() {
        let mut vars = Variables::parse(blank()).unwrap();
        set_boot_next(&mut vars, &machine(), BootTarget::Network);
        assert_eq!(vars.names(), ["Boot0000", "BootNext"]);
        set_boot_next(&mut vars, &machine(), BootTarget::Disk(6));
        assert_eq!(vars.get("BootNext").unwrap(), [1, 0]);
        set_boot_next(&mut vars, &machine(), BootTarget::Network);
        assert_eq!(vars.get("BootNext").unwrap(), [0, 0]);
        assert_eq!(vars.names(), ["Boot0000", "BootNext", "Boot0001"]);
        assert!(vars.get("BootOrder").is_none());
    }

    #[test]
    fn network_first_keeps_the_rest_of_the_order() {
        let mut vars = Variables::parse(blank()).unwrap();
        vars.set("BootOrder", vec![5, 0, 3, 0]);
        vars.set("Boot0005", Vec::new());
        put_network_first(&mut vars, &machine());
        assert_eq!(vars.get("BootOrder").unwrap(), [6, 0, 5, 0, 3, 0]);
        put_network_first(&mut vars, &machine());
        assert_eq!(vars.get("BootOrder").unwrap(), [6, 0, 5, 0, 3, 0]);
    }

    #[test]
    fn setup_is_asked_for_by_os_indications() {
        let mut vars = Variables::parse(blank()).unwrap();
        vars.set("OsIndications", 4u64.to_le_bytes().to_vec());
        set_boot_next(&mut vars, &machine(), BootTarget::Setup);
        assert_eq!(vars.get("OsIndications").unwrap(), 5u64.to_le_bytes());
        assert!(vars.get("BootNext").is_none());
    }

    #[test]
    fn the_network_option_is_as_ovmf_writes_it() {
        let option = network_option(&machine());
        let bytes = option.to_bytes();
        assert_eq!(device_path(&bytes).unwrap(), option.path);
        // PciRoot 12, Pci 6, MAC 37, IPv4 27, end 4
        assert_eq!(option.path.len(), 86);
        assert!(device_path(&[]).is_none() && device_path(&[0; 7]).is_none());
    }
}
