//! Wipes of disks with real signatures, judged by blkid and wipefs.

use std::io::Read;
use std::ops::Range;
use std::path::PathBuf;
use std::process::Command;

use disk_image::{Gate, WipeAuthorized, WipeJob, partitions, wipe, zero_whole};

use super::*;

const SECTOR: u64 = 512;
/// What the partitions hold: made by a tool, or by [`mark`].
const CONTENTS: [&str; 8] = [
    "ext4",
    "vfat",
    "swap",
    "LVM2_member",
    "linux_raid_member",
    "raid at the end",
    "ceph_bluestore",
    "zfs_member",
];

/// First and last sector of partition `number`, from 1. The last is larger, because blkid looks for ZFS from 64 MiB on.
fn sectors(number: usize) -> (u64, u64) {
    let length = if number == CONTENTS.len() { 70 } else { 10 };
    let first = number as u64 * 10 * SECTOR_PER_MIB;
    (first, first + length * SECTOR_PER_MIB - 1)
}

const SECTOR_PER_MIB: u64 = MIB as u64 / SECTOR;

/// A disk with a GPT and a partition of each of these kinds, or none where the tools are missing.
fn disk_of(directory: &Path, kinds: &[&str]) -> Option<(PathBuf, Vec<Range<u64>>)> {
    let size = sectors(kinds.len()).1 * SECTOR + 2 * MIB as u64;
    let mut file = Cursor::new(vec![0; size as usize]);
    GPT::write_protective_mbr_into(&mut file, 512).unwrap();
    let mut table = GPT::new_from(&mut file, 512, [7; 16]).unwrap();
    for (at, name) in kinds.iter().enumerate() {
        let (first, last) = sectors(at + 1);
        table[at as u32 + 1] = GPTPartitionEntry {
            partition_type_guid: LINUX,
            unique_partition_guid: [at as u8 + 1; 16],
            starting_lba: first,
            ending_lba: last,
            attribute_bits: 0,
            partition_name: (*name).into(),
        };
    }
    table.write_into(&mut file).unwrap();
    let mut disk = file.into_inner();
    disk[..3].copy_from_slice(b"\xeb\x63\x90");
    let ranges: Vec<_> = partitions(&disk).into_iter().map(|part| part.range).collect();
    for (kind, range) in kinds.iter().zip(&ranges) {
        let made = content(directory, kind, (range.end - range.start) as usize)?;
        disk[range.start as usize..range.end as usize].copy_from_slice(&made);
    }
    let path = directory.join("disk");
    std::fs::write(&path, disk).unwrap();
    Some((path, ranges))
}

fn content(directory: &Path, kind: &str, length: usize) -> Option<Vec<u8>> {
    let path = directory.join("part");
    std::fs::write(&path, vec![0; length]).unwrap();
    let tool: &[&str] = match kind {
        "ext4" => &["mkfs.ext4", "-q"],
        "vfat" => &["mkfs.vfat"],
        "swap" => &["mkswap"],
        _ => {
            let mut made = vec![0; length];
            mark(kind, &mut made);
            return Some(made);
        }
    };
    let made = Command::new(tool[0]).args(&tool[1..]).arg(&path).output();
    if !made.is_ok_and(|made| made.status.success()) {
        eprintln!("SKIPPED: no {} here", tool[0]);
        return None;
    }
    Some(std::fs::read(&path).unwrap())
}

/// Superblocks as their specifications have them, with checksums.
fn mark(kind: &str, part: &mut [u8]) {
    match kind {
        "LVM2_member" => {
            part[512..520].copy_from_slice(b"LABELONE");
            part[520] = 1;
            part[532] = 32;
            part[536..544].copy_from_slice(b"LVM2 001");
            part[544..576].copy_from_slice(&[b'a'; 32]);
            let sum = lvm_sum(&part[532..1024]);
            part[528..532].copy_from_slice(&sum.to_le_bytes());
        }
        "linux_raid_member" => md(part, 4096),
        "raid at the end" => md(part, (part.len() - 8192) & !0xfff),
        "zfs_member" => {
            for label in [0, 256 << 10, part.len() - (512 << 10), part.len() - (256 << 10)] {
                for block in 0..8 {
                    let at = label + (128 << 10) + block * 1024;
                    part[at..at + 8].copy_from_slice(&0x00ba_b10c_u64.to_le_bytes());
                    part[at + 8] = 28;
                }
            }
        }
        "ceph_bluestore" => part[..22].copy_from_slice(b"bluestore block device"),
        other => panic!("{other}"),
    }
}

/// An md superblock of version 1 at byte `at`.
fn md(part: &mut [u8], at: usize) {
    let block = &mut part[at..at + 258];
    block[..4].copy_from_slice(&0xa92b_4efc_u32.to_le_bytes());
    block[4] = 1;
    block[16..32].fill(0xab);
    block[144..152].copy_from_slice(&(at as u64 / SECTOR).to_le_bytes());
    block[220] = 1;
    let (words, rest) = block.as_chunks::<4>();
    let mut sum: u64 = words
        .iter()
        .map(|word| u64::from(u32::from_le_bytes(*word)))
        .sum();
    sum += u64::from(u16::from_le_bytes([rest[0], rest[1]]));
    let sum = (sum & 0xffff_ffff) + (sum >> 32);
    block[216..220].copy_from_slice(&(sum as u32).to_le_bytes());
}

/// LVM's CRC-32: no final inversion, an initial value of its own.
fn lvm_sum(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0xf597_a6cf, |sum, byte| {
        (0..8).fold(sum ^ u32::from(*byte), |sum, _| {
            (sum >> 1) ^ (0xedb8_8320 & (sum & 1).wrapping_neg())
        })
    })
}

/// What blkid and wipefs find on the disk and at the places of its partitions.
fn found(directory: &Path, disk: &Path, ranges: &[Range<u64>]) -> Vec<String> {
    let whole = std::fs::read(disk).unwrap();
    let mut found = Vec::new();
    for range in std::iter::once(&(0..whole.len() as u64)).chain(ranges) {
        let slice = directory.join("slice");
        std::fs::write(&slice, &whole[range.start as usize..range.end as usize]).unwrap();
        let line = |tool: &str, arguments: &[&str]| {
            let out = Command::new(tool).args(arguments).arg(&slice).output().unwrap();
            String::from_utf8(out.stdout).unwrap()
        };
        found.extend(
            line("blkid", &["-p", "-o", "value", "-s", "TYPE", "-s", "PTTYPE"])
                .lines()
                .map(str::to_owned),
        );
        found.extend(
            line("wipefs", &["--noheadings", "--output", "TYPE"])
                .lines()
                .map(str::to_owned),
        );
    }
    found
}

#[test]
fn neither_blkid_nor_wipefs_knows_anything_of_a_wiped_disk() {
    for whole in [false, true] {
        let directory = tempfile::tempdir().unwrap();
        let Some((disk, ranges)) = disk_of(directory.path(), &CONTENTS) else {
            return;
        };
        let before = found(directory.path(), &disk, &ranges);
        for kind in CONTENTS
            .iter()
            .filter(|kind| **kind != "raid at the end")
            .chain(&["gpt"])
        {
            assert!(
                before.iter().any(|found| found == kind),
                "{kind} is not in {before:?}"
            );
        }
        let raids = before
            .iter()
            .filter(|found| *found == "linux_raid_member")
            .count();
        assert!(
            raids >= 4,
            "at the start and at the end, by both tools: {before:?}"
        );

        let target = DiskTarget::open(&disk).unwrap();
        let authorized = WipeAuthorized::of_pinned_disk();
        if whole {
            if !zero_whole(&target, &authorized, &Ungated).unwrap() {
                eprintln!("SKIPPED: this file system punches no holes");
                continue;
            }
            let mut bytes = Vec::new();
            File::open(&disk).unwrap().read_to_end(&mut bytes).unwrap();
            assert!(bytes.iter().all(|byte| *byte == 0));
        } else {
            wipe(&target, &WipeJob::default(), &authorized, &Ungated).unwrap();
        }
        let after = found(directory.path(), &disk, &ranges);
        assert_eq!(after, [] as [&str; 0], "whole: {whole}");
    }
}

#[test]
fn what_is_to_be_overwritten_is_and_nothing_else_inside() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("disk");
    std::fs::write(&path, vec![0x5a; 16 * MIB]).unwrap();
    let target = DiskTarget::open(&path).unwrap();
    let job = WipeJob {
        overwrite: vec![
            4 * MIB as u64..6 * MIB as u64 + 512,
            15 * MIB as u64..99 * MIB as u64,
        ],
    };
    let wiped = wipe(&target, &job, &WipeAuthorized::of_pinned_disk(), &Ungated).unwrap();
    assert_eq!(wiped.overwritten, 3 * MIB as u64 + 512);
    let bytes = std::fs::read(&path).unwrap();
    let zero = |range: Range<usize>| bytes[range].iter().all(|byte| *byte == 0);
    assert!(zero(0..MIB) && zero(4 * MIB..6 * MIB + 512) && zero(15 * MIB..16 * MIB));
    assert!(bytes[MIB..4 * MIB].iter().all(|byte| *byte == 0x5a));
    assert!(bytes[6 * MIB + 512..15 * MIB].iter().all(|byte| *byte == 0x5a));
}

#[test]
fn cut_off_anywhere_the_next_run_still_finds_the_partitions_and_ends_it() {
    let directory = tempfile::tempdir().unwrap();
    let kinds = &CONTENTS[..4];
    let Some((disk, ranges)) = disk_of(directory.path(), kinds) else {
        return;
    };
    let original = std::fs::read(&disk).unwrap();
    let authorized = WipeAuthorized::of_pinned_disk();
    let job = WipeJob {
        overwrite: vec![ranges[3].clone()],
    };
    let mut kills = 0;
    for survives in 0.. {
        std::fs::write(&disk, &original).unwrap();
        let target = DiskTarget::open(&disk).unwrap();
        if wipe(&Failing::new(&target, survives), &job, &authorized, &Ungated).is_ok() {
            break;
        }
        kills += 1;
        let mut head = vec![0; MIB];
        target.read_at(&mut head, 0).unwrap();
        assert!(
            partitions(&head).len() == kinds.len() || head.iter().all(|byte| *byte == 0),
            "killed at call {survives}"
        );
        wipe(&target, &job, &authorized, &Ungated).unwrap();
        let after = found(directory.path(), &disk, &ranges);
        assert_eq!(after, [] as [&str; 0], "killed at call {survives}");
    }
    assert!(kills > kinds.len(), "{kills} kills");
}

#[test]
fn a_disk_that_keeps_a_signature_and_a_closed_gate_are_errors() {
    struct Keeps<'a>(&'a DiskTarget);
    impl Target for Keeps<'_> {
        fn path(&self) -> &Path {
            self.0.path()
        }
        fn size(&self) -> u64 {
            self.0.size()
        }
        fn sector_size(&self) -> u32 {
            self.0.sector_size()
        }
        fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
            self.0.read_at(buffer, offset)
        }
        fn write_at(&self, data: &[u8], offset: u64) -> io::Result<()> {
            self.0.write_at(data, offset)
        }
        fn zero(&self, _: u64, _: u64) -> io::Result<()> {
            Ok(())
        }
        fn zero_by_itself(&self, _: u64, _: u64) -> io::Result<()> {
            Ok(())
        }
        fn discard(&self, _: u64, _: u64) -> io::Result<()> {
            Ok(())
        }
        fn sync(&self) -> io::Result<()> {
            Ok(())
        }
        fn reread_partitions(&self) -> io::Result<()> {
            Ok(())
        }
    }
    struct Closed;
    impl Gate for Closed {
        fn admit(&self) -> Result<(), String> {
            Err("called off".to_owned())
        }
        fn progress(&self, _: &'static str, _: u64, _: Option<u64>) {}
    }
    let directory = tempfile::tempdir().unwrap();
    let disk = disk(directory.path(), DISK);
    let authorized = WipeAuthorized::of_pinned_disk();
    let before = std::fs::read(directory.path().join("disk")).unwrap();
    for error in [
        wipe(&disk, &WipeJob::default(), &authorized, &Closed).unwrap_err(),
        zero_whole(&disk, &authorized, &Closed).unwrap_err(),
    ] {
        assert!(
            matches!(&error, Error::Stopped { reason } if reason == "called off"),
            "{error}"
        );
    }
    assert!(
        std::fs::read(directory.path().join("disk")).unwrap() == before,
        "written to"
    );
    for error in [
        wipe(&Keeps(&disk), &WipeJob::default(), &authorized, &Ungated).unwrap_err(),
        zero_whole(&Keeps(&disk), &authorized, &Ungated).unwrap_err(),
    ] {
        assert!(matches!(error, Error::ReadBack { .. }), "{error}");
    }
}
