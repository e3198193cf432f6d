//! What an agent tells of its machine, from the wire into the Server's status. A later claim is compared with it
//! ([`crate::sessions::Claimant`]).

use agent_protocol::{inventory_disk, plain_text, v1};
use resources::gantry::{Firmware, Inventory, InventoryNic};

/// Most disks or NICs that are kept.
const PARTS: usize = 256;

/// Empty strings and zeros mean "not known"; a NIC without a proper address is left out.
pub(crate) fn inventory(told: &v1::Inventory) -> Inventory {
    Inventory {
        uuid: plain_text(&told.uuid),
        serial: plain_text(&told.serial),
        vendor: plain_text(&told.vendor),
        product: plain_text(&told.product),
        firmware: match told.firmware() {
            v1::Firmware::Bios => Some(Firmware::Bios),
            v1::Firmware::Uefi => Some(Firmware::Uefi),
            v1::Firmware::Unspecified => None,
        },
        secure_boot: told.secure_boot,
        cpus: Some(told.cpus).filter(|cpus| *cpus > 0),
        memory: Some(told.memory).filter(|memory| *memory > 0),
        disks: told.disks.iter().take(PARTS).map(inventory_disk).collect(),
        nics: told.nics.iter().take(PARTS).filter_map(nic).collect(),
    }
}

fn nic(told: &v1::Nic) -> Option<InventoryNic> {
    Some(InventoryNic {
        name: plain_text(&told.name)?,
        mac: told.mac.parse().ok()?,
        link: told.link,
        driver: plain_text(&told.driver),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_unknown_or_malformed_is_left_out() {
        let nic = |mac: &str| v1::Nic {
            name: "eth0".into(),
            mac: mac.into(),
            ..v1::Nic::default()
        };
        let told = v1::Inventory {
            uuid: "  4c4c\u{1b}4544 ".into(),
            serial: "x".repeat(500),
            cpus: 0,
            memory: 4096,
            firmware: v1::Firmware::Uefi.into(),
            nics: vec![nic("52:54:00:00:00:01"), nic("not a mac")],
            ..v1::Inventory::default()
        };
        let kept = inventory(&told);
        assert_eq!(kept.uuid.as_deref(), Some("4c4c\\u{1b}4544"));
        assert!(kept.serial.is_some_and(|serial| serial.len() < 500));
        assert_eq!(
            (kept.cpus, kept.memory, kept.firmware),
            (None, Some(4096), Some(Firmware::Uefi))
        );
        assert_eq!(kept.nics.len(), 1);
        assert_eq!(kept.vendor, None);
    }
}
