//! Root device hints: which disks they describe.

use resources::gantry::{InventoryDisk, RootDeviceHints, wwn_digits};

const GIB: u64 = 1 << 30;

/// What of a disk does not match; empty when all hints do.
pub(super) fn mismatches(hints: &RootDeviceHints, disk: &InventoryDisk) -> Vec<String> {
    let mut found = Vec::new();
    let mut check = |name: &str, matches: bool, is: &str| {
        if !matches {
            found.push(format!("{name} is {is:?}"));
        }
    };
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    if let Some(name) = &hints.device_name {
        check("deviceName", is_called(disk, name), &disk.device);
    }
    if let Some(hctl) = &hints.hctl {
        check("hctl", disk.hctl.as_ref() == Some(hctl), &text(&disk.hctl));
    }
    for (name, hint, value) in [
        ("model", &hints.model, &disk.model),
        ("vendor", &hints.vendor, &disk.vendor),
    ] {
        if let Some(part) = hint {
            let matches = value.as_ref().is_some_and(|value| value.contains(part.as_str()));
            check(name, matches, &text(value));
        }
    }
    if let Some(serial) = &hints.serial_number {
        check(
            "serialNumber",
            disk.serial.as_ref() == Some(serial),
            &text(&disk.serial),
        );
    }
    if let Some(least) = hints.min_size_gigabytes {
        let size = format!("{} GiB", disk.size / GIB);
        check("minSizeGigabytes", disk.size >= least.saturating_mul(GIB), &size);
    }
    let wwn = disk.wwn.as_deref().map(wwn_digits).unwrap_or_default();
    // The extension follows the 16 digits of an identifier of 16 bytes.
    let (base, extension) = match wwn.len() {
        32 => wwn.split_at(16),
        _ => (wwn.as_str(), ""),
    };
    for (name, hint, value) in [
        ("wwn", &hints.wwn, base),
        ("wwnWithExtension", &hints.wwn_with_extension, wwn.as_str()),
        ("wwnVendorExtension", &hints.wwn_vendor_extension, extension),
    ] {
        if let Some(hint) = hint {
            check(name, wwn_digits(hint) == value, value);
        }
    }
    if let Some(rotational) = hints.rotational {
        let is = disk
            .rotational
            .map_or("unknown".to_owned(), |spins| spins.to_string());
        check("rotational", disk.rotational == Some(rotational), &is);
    }
    found
}

/// Whether the disk has this name in the present boot.
pub(super) fn is_called(disk: &InventoryDisk, name: &str) -> bool {
    disk.device == name || disk.names.iter().any(|known| known == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn disk() -> InventoryDisk {
        InventoryDisk {
            device: "/dev/sda".into(),
            size: 480 * GIB,
            serial: Some("S1".into()),
            wwn: Some("naa.600508b1001c00010000000000000009".into()),
            vendor: Some("DELL".into()),
            model: Some("PERC H730 Mini".into()),
            rotational: Some(false),
            hctl: Some("0:2:0:0".into()),
            names: vec!["/dev/disk/by-id/scsi-3600508b1001c0001".into()],
            ..InventoryDisk::default()
        }
    }

    /// One row per hint with a value that matches and one that does not.
    #[test]
    fn every_hint_can_match_and_not_match() {
        for (name, good, bad) in [
            (
                "deviceName",
                "\"/dev/disk/by-id/scsi-3600508b1001c0001\"",
                "\"/dev/sdb\"",
            ),
            ("hctl", "\"0:2:0:0\"", "\"0:2:0\""),
            ("model", "\"H730\"", "\"h730\""),
            ("vendor", "\"DELL\"", "\"HPE\""),
            ("serialNumber", "\"S1\"", "\"S\""),
            ("minSizeGigabytes", "480", "481"),
            ("wwn", "\"0x600508b1001c0001\"", "\"0x600508b1001c0002\""),
            (
                "wwnWithExtension",
                "\"0x600508B1001C00010000000000000009\"",
                "\"0x600508b1001c0001\"",
            ),
            ("wwnVendorExtension", "\"0x0000000000000009\"", "\"0x09\""),
            ("rotational", "false", "true"),
        ] {
            let of = |value: &str| {
                let hints = serde_json::from_str(&format!("{{\"{name}\": {value}}}")).unwrap();
                mismatches(&hints, &disk())
            };
            assert_eq!(of(good), [] as [&str; 0], "{name}");
            assert!(
                of(bad).concat().starts_with(&format!("{name} is ")),
                "{name}: {:?}",
                of(bad)
            );
        }
    }

    #[test]
    fn all_that_are_given_must_match() {
        let hints = RootDeviceHints {
            serial_number: Some("S1".into()),
            model: Some("other".into()),
            ..RootDeviceHints::default()
        };
        assert_eq!(mismatches(&hints, &disk()), ["model is \"PERC H730 Mini\""]);
    }
}
