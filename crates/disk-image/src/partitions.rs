//! Where the partitions of a disk lie. Old tables are foreign data: nothing here may panic or overflow, whatever they say.
#![deny(clippy::arithmetic_side_effects, clippy::indexing_slicing)]

use std::ops::Range;

use crate::gpt::{self, SECTOR};

/// A partition of a GPT, or a primary one of an MBR.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionRange {
    /// As the kernel numbers it, from 1.
    pub number: u32,
    /// Bytes of the disk, as the table says: they may lie beyond its end.
    pub range: Range<u64>,
}

/// The partitions of the disk that begins with `head`, in the order of its table; none where no valid table is.
#[must_use]
pub fn partitions(head: &[u8]) -> Vec<PartitionRange> {
    if let Some(table) = gpt::parse(head) {
        let of_gpt = table.partitions.iter().map(|partition| PartitionRange {
            number: partition.number,
            range: partition.first.saturating_mul(SECTOR)
                ..partition.last.saturating_add(1).saturating_mul(SECTOR),
        });
        return of_gpt.collect();
    }
    if head.get(510..512) != Some(&[0x55, 0xaa]) {
        return Vec::new();
    }
    let entries = head.get(446..510).unwrap_or_default().chunks_exact(16);
    let of_mbr = (1..).zip(entries).filter_map(|(number, entry)| {
        let field = |at: usize| {
            let bytes = entry.get(at..)?.first_chunk()?;
            Some(u64::from(u32::from_le_bytes(*bytes)))
        };
        let (first, count) = (field(8)?, field(12)?);
        let end = first.saturating_add(count);
        (count != 0).then(|| PartitionRange {
            number,
            range: first.saturating_mul(SECTOR)..end.saturating_mul(SECTOR),
        })
    });
    of_mbr.collect()
}
