//! GUID partition tables (UEFI specification, chapter 5.3), as pure changes of bytes.
//!
//! By hand, because the table of an image is changed in memory before a single byte of it is on the disk, and what is
//! not understood (attributes, names, entry size) has to stay as it is. The tables are foreign data: nothing here may
//! panic or overflow, whatever they say.
#![deny(clippy::arithmetic_side_effects, clippy::indexing_slicing)]

use sha2::{Digest as _, Sha256};

use crate::Error;

/// Sector size of the images that are taken.
pub const SECTOR: u64 = 512;

/// EFI system partition, C12A7328-F81F-11D2-BA4B-00A0C93EC93B, as it lies on disk.
const ESP: [u8; 16] = [
    0x28, 0x73, 0x2a, 0xc1, 0x1f, 0xf8, 0xd2, 0x11, 0xba, 0x4b, 0x00, 0xa0, 0xc9, 0x3e, 0xc9, 0x3b,
];
/// Linux file system data, 0FC63DAF-8483-4772-8E79-3D69D8477DE4.
const LINUX: [u8; 16] = [
    0xaf, 0x3d, 0xc6, 0x0f, 0x83, 0x84, 0x72, 0x47, 0x8e, 0x79, 0x3d, 0x69, 0xd8, 0x47, 0x7d, 0xe4,
];
/// Linux root, x86-64, 4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709.
const LINUX_ROOT_X86_64: [u8; 16] = [
    0xe3, 0xbc, 0x68, 0x4f, 0xcd, 0xe8, 0xb1, 0x4d, 0x96, 0xe7, 0xfb, 0xca, 0xf9, 0x84, 0xb7, 0x09,
];

/// One partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Partition {
    /// From 1.
    pub number: u32,
    /// Type, as on disk.
    pub kind: [u8; 16],
    /// Unique identity, as on disk.
    pub guid: [u8; 16],
    /// First sector.
    pub first: u64,
    /// Last sector.
    pub last: u64,
}

/// A table that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// Identity of the disk, as on disk.
    pub disk_guid: [u8; 16],
    /// Sector of the other copy.
    pub alternate: u64,
    /// Partitions that are in use.
    pub partitions: Vec<Partition>,
    entries_at: usize,
    entry_size: usize,
    entry_count: usize,
}

impl Table {
    /// The first EFI system partition.
    #[must_use]
    pub fn esp(&self) -> Option<&Partition> {
        self.partitions.iter().find(|partition| partition.kind == ESP)
    }

    /// The root file system: by its type, else the biggest Linux partition.
    #[must_use]
    pub fn root(&self) -> Option<&Partition> {
        let by_type = self
            .partitions
            .iter()
            .find(|partition| partition.kind == LINUX_ROOT_X86_64);
        by_type.or_else(|| {
            let linux = self.partitions.iter().filter(|partition| partition.kind == LINUX);
            linux.max_by_key(|partition| partition.last.saturating_sub(partition.first))
        })
    }

    const fn entries_length(&self) -> usize {
        // At most 4 MiB: both factors were checked when the table was read.
        self.entry_size.saturating_mul(self.entry_count)
    }

    /// GUID of a partition in the image, and the one that [`relocate`] gives to it.
    #[must_use]
    pub(crate) fn renewed(&self, number: u32, seed: &[u8]) -> Option<([u8; 16], [u8; 16])> {
        let partition = self
            .partitions
            .iter()
            .find(|partition| partition.number == number)?;
        Some((partition.guid, derived(seed, &partition.guid)))
    }
}

/// A table fit for its disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Relocated {
    /// The changed first bytes of the disk, as long as what was given.
    pub head: Vec<u8>,
    /// The second copy of the table; empty without a GPT.
    pub backup: Vec<u8>,
    /// Where the second copy goes.
    pub backup_at: u64,
    /// Unique GUID of the EFI system partition, as text.
    pub esp_guid: Option<String>,
}

/// Whether the first bytes are those of a disk with 4096-byte sectors: there the table begins at its second sector.
pub(crate) fn is_for_large_sectors(head: &[u8]) -> bool {
    let table_at = |at: usize| head.get(at..).is_some_and(|rest| rest.starts_with(b"EFI PART"));
    table_at(4096) && !table_at(512)
}

/// Reads the primary table out of the first bytes of a disk with 512-byte sectors. `None` when there is none or its
/// header's checksum is wrong.
#[must_use]
pub fn parse(head: &[u8]) -> Option<Table> {
    let header = head.get(512..1024)?;
    if !header.starts_with(b"EFI PART") {
        return None;
    }
    let header_size = usize::try_from(u32_at(header, 12)?)
        .ok()
        .filter(|size| (92..=512).contains(size))?;
    let mut summed = header.get(..header_size)?.to_vec();
    summed.get_mut(16..20)?.fill(0);
    if crc32fast::hash(&summed) != u32_at(header, 16)? {
        return None;
    }
    let entries_at = usize::try_from(u64_at(header, 72)?.checked_mul(SECTOR)?).ok()?;
    let entry_count = usize::try_from(u32_at(header, 80)?)
        .ok()
        .filter(|count| *count <= 1024)?;
    let entry_size = usize::try_from(u32_at(header, 84)?)
        .ok()
        .filter(|size| (128..=4096).contains(size))?;
    // Entries that overlap the header would be changed with it.
    let entries = head
        .get(entries_at..entries_at.checked_add(entry_count.checked_mul(entry_size)?)?)
        .filter(|_| entries_at >= 1024)?;
    let partitions = entries
        .chunks_exact(entry_size)
        .zip(1_u32..)
        .filter_map(|(entry, number)| {
            let kind = guid_at(entry, 0)?;
            (kind != [0; 16]).then_some(Partition {
                number,
                kind,
                guid: guid_at(entry, 16)?,
                first: u64_at(entry, 32)?,
                last: u64_at(entry, 40)?,
            })
        })
        .collect();
    Some(Table {
        disk_guid: guid_at(header, 56)?,
        alternate: u64_at(header, 32)?,
        partitions,
        entries_at,
        entry_size,
        entry_count,
    })
}

/// Fits the partition table in `head` to a disk of `disk_size` bytes: second copy at the disk's end, and identities of
/// disk and partitions made from `seed` (the same seed gives the same ones, so that a repeated write changes nothing).
/// Without a seed the identities stay. A head without GPT comes back unchanged.
///
/// # Errors
/// When a partition does not fit on the disk.
pub fn relocate(head: &[u8], disk_size: u64, seed: Option<&[u8]>) -> Result<Relocated, Error> {
    let mut head = head.to_vec();
    let Some(table) = parse(&head) else {
        return Ok(Relocated {
            head,
            backup: Vec::new(),
            backup_at: disk_size,
            esp_guid: None,
        });
    };
    let broken = |reason: &str| Error::PartitionTable {
        reason: reason.to_owned(),
    };
    let sectors = disk_size / SECTOR;
    let entries_length = table.entries_length();
    let entry_sectors = (entries_length as u64).div_ceil(SECTOR);
    let last = sectors
        .checked_sub(1)
        .ok_or_else(|| broken("the disk has no sectors"))?;
    let backup_entries = last
        .checked_sub(entry_sectors)
        .ok_or_else(|| broken("the disk is too small for it"))?;
    let last_usable = backup_entries.saturating_sub(1);
    let backup_at = backup_entries.saturating_mul(SECTOR);
    if backup_at < head.len() as u64 {
        return Err(broken("the disk is too small for it"));
    }
    if let Some(partition) = table
        .partitions
        .iter()
        .find(|partition| partition.last > last_usable)
    {
        return Err(broken(&format!(
            "partition {} reaches beyond the end of the disk",
            partition.number
        )));
    }
    if let Some(seed) = seed {
        renew_identities(&mut head, &table, seed).ok_or_else(|| broken("it is cut off"))?;
    }
    let entries = head
        .get(table.entries_at..table.entries_at.saturating_add(entries_length))
        .ok_or_else(|| broken("it is cut off"))?
        .to_vec();
    let header = head.get_mut(512..1024).ok_or_else(|| broken("it is cut off"))?;
    put(header, 48, &last_usable.to_le_bytes());
    put(header, 88, &crc32fast::hash(&entries).to_le_bytes());
    let mut backup_header = header.to_vec();
    put(header, 24, &1_u64.to_le_bytes());
    put(header, 32, &last.to_le_bytes());
    seal(header);
    put(&mut backup_header, 24, &last.to_le_bytes());
    put(&mut backup_header, 32, &1_u64.to_le_bytes());
    put(&mut backup_header, 72, &backup_entries.to_le_bytes());
    seal(&mut backup_header);
    let mut backup = entries;
    backup.resize(backup.len().next_multiple_of(SECTOR as usize), 0);
    backup.extend(backup_header);
    let protective = u32::try_from(last).unwrap_or(u32::MAX);
    if head.get(446 + 4) == Some(&0xee) {
        put(&mut head, 446 + 12, &protective.to_le_bytes());
    }
    let esp_guid = parse(&head).and_then(|table| table.esp().map(|esp| guid_text(&esp.guid)));
    Ok(Relocated {
        head,
        backup,
        backup_at,
        esp_guid,
    })
}

fn renew_identities(head: &mut [u8], table: &Table, seed: &[u8]) -> Option<()> {
    let disk = derived(seed, &table.disk_guid);
    head.get_mut(512 + 56..512 + 72)?.copy_from_slice(&disk);
    for partition in &table.partitions {
        let index = (partition.number as usize).checked_sub(1)?;
        let at = index
            .checked_mul(table.entry_size)?
            .checked_add(table.entries_at)?;
        head.get_mut(at.checked_add(16)?..at.checked_add(32)?)?
            .copy_from_slice(&derived(seed, &partition.guid));
    }
    Some(())
}

/// A GUID of version 8 (RFC 9562, 5.8) that depends on seed and original.
fn derived(seed: &[u8], original: &[u8; 16]) -> [u8; 16] {
    let mut hash = Sha256::new();
    hash.update((seed.len() as u64).to_le_bytes());
    hash.update(seed);
    hash.update(original);
    let mut guid = [0; 16];
    for (to, from) in guid.iter_mut().zip(hash.finalize()) {
        *to = from;
    }
    // The first three fields lie little-endian: the version is in the high half of byte 7.
    let [.., version, variant, _, _, _, _, _, _, _] = &mut guid;
    *version = (*version & 0x0f) | 0x80;
    *variant = (*variant & 0x3f) | 0x80;
    guid
}

/// `c12a7328-f81f-11d2-ba4b-00a0c93ec93b`, from the bytes on disk.
#[must_use]
pub fn guid_text(guid: &[u8; 16]) -> String {
    let [a, b, c, d, e, f, g, h, tail @ ..] = guid;
    let mut text = format!("{d:02x}{c:02x}{b:02x}{a:02x}-{f:02x}{e:02x}-{h:02x}{g:02x}-");
    for (index, byte) in tail.iter().enumerate() {
        if index == 2 {
            text.push('-');
        }
        text.push_str(&format!("{byte:02x}"));
    }
    text
}

/// Writes the header's checksum.
fn seal(header: &mut [u8]) {
    let size = u32_at(header, 12).map_or(92, |size| size as usize);
    put(header, 16, &[0; 4]);
    let sum = crc32fast::hash(header.get(..size).unwrap_or_default());
    put(header, 16, &sum.to_le_bytes());
}

fn put(bytes: &mut [u8], at: usize, value: &[u8]) {
    if let Some(place) = bytes.get_mut(at..at.saturating_add(value.len())) {
        place.copy_from_slice(value);
    }
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn guid_at(bytes: &[u8], at: usize) -> Option<[u8; 16]> {
    bytes.get(at..)?.first_chunk().copied()
}
