//! What an agent tells of its machine, from the wire into the Server's status. Evidence only: nothing is decided by it.

use agent_protocol::v1;
use resources::gantry::{Firmware, Inventory, InventoryDisk, InventoryNic};

/// Longest text that is kept of a field.
const TEXT: usize = 128;
/// Most disks or NICs that are kept.
const PARTS: usize = 256;

/// Empty strings and zeros mean "not known"; a NIC without a proper address is left out.
pub(crate) fn inventory(told: &v1::Inventory) -> Inventory {
    Inventory {
        uuid: text(&told.uuid),
        serial: text(&told.serial),
        vendor: text(&told.vendor),
        product: text(&told.product),
        firmware: match told.firmware() {
            v1::Firmware::Bios => Some(Firmware::Bios),
            v1::Firmware::Uefi => Some(Firmware::Uefi),
            v1::Firmware::Unspecified => None,
        },
        secure_boot: told.secure_boot,
        cpus: Some(told.cpus).filter(|cpus| *cpus > 0),
        memory: Some(told.memory).filter(|memory| *memory > 0),
        disks: told.disks.iter().take(PARTS).map(disk).collect(),
        nics: told.nics.iter().take(PARTS).filter_map(nic).collect(),
    }
}

fn disk(told: &v1::Disk) -> InventoryDisk {
    InventoryDisk {
        device: text(&told.device).unwrap_or_default(),
        size: told.size,
        serial: text(&told.serial),
        wwn: text(&told.wwn),
        model: text(&told.model),
        rotational: told.rotational,
    }
}

fn nic(told: &v1::Nic) -> Option<InventoryNic> {
    Some(InventoryNic {
        name: text(&told.name)?,
        mac: told.mac.parse().ok()?,
        link: told.link,
        driver: text(&told.driver),
    })
}

/// Without control characters, cut to a sane length.
fn text(told: &str) -> Option<String> {
    let kept: String = told
        .trim()
        .chars()
        .filter(|c| !c.is_control())
        .take(TEXT)
        .collect();
    Some(kept).filter(|kept| !kept.is_empty())
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
        assert_eq!(kept.uuid.as_deref(), Some("4c4c4544"));
        assert_eq!(kept.serial.map(|serial| serial.len()), Some(TEXT));
        assert_eq!(
            (kept.cpus, kept.memory, kept.firmware),
            (None, Some(4096), Some(Firmware::Uefi))
        );
        assert_eq!(kept.nics.len(), 1);
        assert_eq!(kept.vendor, None);
    }
}
