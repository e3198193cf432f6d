//! Where old systems left their marks on a disk: what finds its data by signatures must find nothing of them. Old tables are foreign data: nothing here may panic or overflow, whatever they say.
#![deny(clippy::arithmetic_side_effects, clippy::indexing_slicing)]

use std::ops::Range;

use crate::partitions::partitions;

/// Start of a disk or partition: LVM (first 4 sectors), md 1.1 and 1.2 (0 and 4 KiB), Ceph BlueStore (0), two ZFS
/// labels (512 KiB).
const START: u64 = 1 << 20;
/// Its end: backup GPT, md 0.90 (64 KiB aligned) and 1.0 (8 KiB), two ZFS labels (512 KiB, aligned to 256 KiB).
const END: u64 = 1 << 20;

/// Stretches to be cleared on a disk of `size` bytes that begins with `head`: start and end of the disk and of each of
/// its old partitions. Ascending, not overlapping.
#[must_use]
pub(crate) fn stretches(size: u64, head: &[u8]) -> Vec<Range<u64>> {
    let of_partitions = partitions(head).into_iter().map(|partition| partition.range);
    let homes = std::iter::once(0..size).chain(of_partitions);
    let mut stretches: Vec<Range<u64>> = homes
        .flat_map(|home| {
            let end = home.end.min(size);
            let start = home.start.min(end);
            [
                start..start.saturating_add(START).min(end),
                end.saturating_sub(END).max(start)..end,
            ]
        })
        .filter(|stretch| !stretch.is_empty())
        .collect();
    stretches.sort_by_key(|stretch| stretch.start);
    stretches.into_iter().fold(Vec::new(), |mut merged, next| {
        match merged.last_mut() {
            Some(last) if next.start <= last.end => last.end = last.end.max(next.end),
            _ => merged.push(next),
        }
        merged
    })
}

#[cfg(test)]
#[allow(clippy::indexing_slicing)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    #[test]
    fn ends_of_disk_and_of_old_partitions() {
        assert_eq!(stretches(100 * MIB, &[]), [0..MIB, 99 * MIB..100 * MIB]);
        let mut mbr = vec![0; 512];
        mbr[446 + 8..446 + 12].copy_from_slice(&(10 * 2048_u32).to_le_bytes());
        mbr[446 + 12..446 + 16].copy_from_slice(&(50 * 2048_u32).to_le_bytes());
        mbr[510] = 0x55;
        mbr[511] = 0xaa;
        assert_eq!(
            stretches(100 * MIB, &mbr),
            [
                0..MIB,
                10 * MIB..11 * MIB,
                59 * MIB..60 * MIB,
                99 * MIB..100 * MIB
            ]
        );
        let whole = stretches(MIB / 2, &[]);
        assert_eq!(whole.len(), 1);
        assert_eq!(whole.first(), Some(&(0..MIB / 2)));
    }
}
