//! Disks as agents report them, on their way into the API: agents are not trusted with lengths and characters.

use resources::gantry::InventoryDisk;
use resources::printable;

use crate::v1;

/// Longest text that is kept of a field, in characters.
const TEXT: usize = 256;
/// Most names and most lines about contents that are kept of a disk.
const LIST: usize = 16;

/// Empty texts and zeros mean "not known".
#[must_use]
pub fn inventory_disk(disk: &v1::Disk) -> InventoryDisk {
    let list = |texts: &[String]| {
        texts
            .iter()
            .filter_map(|text| plain_text(text))
            .take(LIST)
            .collect()
    };
    InventoryDisk {
        device: plain_text(&disk.device).unwrap_or_default(),
        size: disk.size,
        serial: plain_text(&disk.serial),
        wwn: plain_text(&disk.wwn),
        vendor: plain_text(&disk.vendor),
        model: plain_text(&disk.model),
        rotational: disk.rotational,
        transport: plain_text(&disk.transport),
        hctl: plain_text(&disk.hctl),
        removable: disk.removable,
        read_only: disk.read_only,
        logical_block_size: Some(disk.logical_block_size).filter(|bytes| *bytes > 0),
        physical_block_size: Some(disk.physical_block_size).filter(|bytes| *bytes > 0),
        names: list(&disk.names),
        contents: list(&disk.contents),
        ends: disk.ends.parse().ok(),
    }
}

/// A text of an agent made safe for terminals and cut to a length that fits into an object; `None` when it is blank.
#[must_use]
pub fn plain_text(text: &str) -> Option<String> {
    let kept: String = printable(text.trim()).chars().take(TEXT).collect();
    Some(kept).filter(|kept| !kept.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_agent_reports_is_bounded() {
        let disk = v1::Disk {
            serial: " S\u{1b}[31m1 ".to_owned(),
            model: "x".repeat(1000),
            names: vec!["/dev/disk/by-id/a".to_owned(); 1000],
            contents: vec![" \n".to_owned()],
            ..v1::Disk::default()
        };
        let kept = inventory_disk(&disk);
        assert_eq!(kept.serial.as_deref(), Some("S\\u{1b}[31m1"));
        assert_eq!(kept.model.map(|model| model.len()), Some(TEXT));
        assert_eq!((kept.names.len(), kept.contents.len()), (LIST, 0));
        assert_eq!((kept.wwn, kept.logical_block_size), (None, None));
    }
}
