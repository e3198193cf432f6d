//! Whether firmware can start what is in an image, told from its first MiB. That is foreign data: nothing here may panic
//! or overflow, whatever it says.
#![deny(clippy::arithmetic_side_effects, clippy::indexing_slicing)]

use crate::gpt;

/// By which firmware an image can be started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BootLoader {
    /// There is boot code in the first sector.
    pub bios: bool,
    /// There is an EFI system partition.
    pub uefi: bool,
}

/// Partition type of an EFI system partition in a master boot record.
const MBR_ESP: u8 = 0xef;

/// Partition type of the entry that protects a GPT.
const MBR_GPT: u8 = 0xee;

/// Looks for boot code and an EFI system partition. It can't tell whether the code behind them is whole; it tells disks
/// from file systems and archives.
#[must_use]
pub fn boot_loader(head: &[u8]) -> BootLoader {
    let nothing = BootLoader {
        bios: false,
        uefi: false,
    };
    let Some(sector) = head.get(..512).filter(|sector| sector.ends_with(&[0x55, 0xaa])) else {
        return nothing;
    };
    let (code, rest) = sector.split_at(440);
    let partitions = rest.get(6..70).unwrap_or_default();
    let mut kinds = partitions
        .chunks_exact(16)
        .filter_map(|entry| entry.get(4).copied());
    BootLoader {
        // A file system with a 0x55aa of its own (FAT) has code but no partition.
        bios: code.iter().any(|byte| *byte != 0) && kinds.clone().any(|kind| kind != 0),
        uefi: kinds.any(|kind| kind == MBR_ESP)
            || gpt::parse(head).is_some_and(|table| table.esp().is_some()),
    }
}

/// Bytes of the disk up to the end of its last partition.
pub(crate) fn partitions_end(head: &[u8]) -> Option<u64> {
    let of_gpt = || {
        let partitions = gpt::parse(head)?.partitions;
        partitions
            .iter()
            .map(|partition| partition.last.saturating_add(1).saturating_mul(gpt::SECTOR))
            .max()
    };
    of_gpt().or_else(|| mbr_end(head))
}

/// Bytes of the disk up to the end of the last partition of a master boot record; `None` without one, and where the
/// record only protects a GPT.
fn mbr_end(head: &[u8]) -> Option<u64> {
    let sector = head.get(..512).filter(|sector| sector.ends_with(&[0x55, 0xaa]))?;
    let entries = sector.get(446..510)?.chunks_exact(16);
    let ends = entries.filter_map(|entry| {
        let field = |at: usize| {
            let bytes = entry.get(at..)?.first_chunk()?;
            Some(u64::from(u32::from_le_bytes(*bytes)))
        };
        let kind = entry.get(4).copied().filter(|kind| *kind != 0)?;
        let end = field(8)?.saturating_add(field(12)?);
        Some((kind, end.saturating_mul(gpt::SECTOR)))
    });
    let ends: Vec<(u8, u64)> = ends.collect();
    if ends.iter().any(|(kind, _)| *kind == MBR_GPT) {
        return None;
    }
    ends.into_iter().map(|(_, end)| end).max().filter(|end| *end > 0)
}

impl BootLoader {
    /// Whether any firmware can start it.
    #[must_use]
    pub const fn any(self) -> bool {
        self.bios || self.uefi
    }
}

#[cfg(test)]
#[allow(clippy::indexing_slicing)]
mod tests {
    use super::*;

    fn sector(code: u8, kind: u8) -> Vec<u8> {
        let mut sector = vec![0; 512];
        sector[0] = code;
        sector[446 + 4] = kind;
        sector[510] = 0x55;
        sector[511] = 0xaa;
        sector
    }

    #[test]
    fn a_master_boot_record_tells_where_its_partitions_end() {
        let mut head = sector(0xeb, 0x83);
        head[446 + 8..446 + 16].copy_from_slice(&[0, 8, 0, 0, 0, 0x10, 0, 0]);
        assert_eq!(mbr_end(&head), Some((2048 + 4096) * 512));
        head[462 + 4] = 0xee;
        assert_eq!(mbr_end(&head), None, "the GPT tells it");
        assert_eq!(mbr_end(&[0; 4096]), None);
        assert_eq!(mbr_end(b"short"), None);
    }

    #[test]
    fn boot_code_or_an_esp() {
        let both = |bios, uefi| BootLoader { bios, uefi };
        assert_eq!(boot_loader(&sector(0xeb, 0x83)), both(true, false));
        assert_eq!(boot_loader(&sector(0, MBR_ESP)), both(false, true));
        assert_eq!(boot_loader(&sector(0, 0x83)), both(false, false));
        assert_eq!(boot_loader(&sector(0xeb, 0)), both(false, false));
        assert!(!boot_loader(&[0; 4096]).any());
        assert!(!boot_loader(b"short").any());
    }
}
