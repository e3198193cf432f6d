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
    entries_of_mbr(head)
        .map(|entry| PartitionRange {
            number: entry.number,
            range: entry.range,
        })
        .collect()
}

/// Number of the root file system in a master boot record: the biggest Linux partition.
pub(crate) fn root_of_mbr(head: &[u8]) -> Option<u32> {
    let linux = entries_of_mbr(head).filter(|entry| entry.kind == MBR_LINUX);
    let root = linux.max_by_key(|entry| entry.range.end.saturating_sub(entry.range.start))?;
    Some(root.number)
}

/// Type of a Linux partition in a master boot record.
const MBR_LINUX: u8 = 0x83;

struct MbrEntry {
    number: u32,
    kind: u8,
    range: Range<u64>,
}

/// The primary partitions of a master boot record; none where no valid one is.
fn entries_of_mbr(head: &[u8]) -> impl Iterator<Item = MbrEntry> {
    let is_valid = head.get(510..512) == Some(&[0x55, 0xaa]);
    let table = head.get(446..510).filter(|_| is_valid).unwrap_or_default();
    (1..).zip(table.chunks_exact(16)).filter_map(|(number, entry)| {
        let field = |at: usize| {
            let bytes = entry.get(at..)?.first_chunk()?;
            Some(u64::from(u32::from_le_bytes(*bytes)))
        };
        let (kind, first, count) = (*entry.get(4)?, field(8)?, field(12)?);
        let end = first.saturating_add(count);
        (count != 0).then(|| MbrEntry {
            number,
            kind,
            range: first.saturating_mul(SECTOR)..end.saturating_mul(SECTOR),
        })
    })
}
