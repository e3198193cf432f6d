//! Writes to real block devices: loop devices with sectors of 512 and of 4096 bytes.

use std::fs::File;
use std::io::{Cursor, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::Command;

use disk_image::{DiskTarget, Error, Expected, Target};
use gptman::GPT;

use super::{DISK, IMAGE, MIB, expected, image, write};

/// A loop device over a sparse file; gone with it.
struct Loop {
    device: PathBuf,
    directory: tempfile::TempDir,
}

impl Loop {
    /// `None`, and said so, where the tests may not make one.
    fn new(sector: u32, size: u64) -> Option<Self> {
        let directory = tempfile::tempdir().unwrap();
        File::create(directory.path().join("backing"))
            .unwrap()
            .set_len(size)
            .unwrap();
        Self::attach(directory, sector)
    }

    fn over(contents: &[u8], sector: u32) -> Option<Self> {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("backing"), contents).unwrap();
        Self::attach(directory, sector)
    }

    fn attach(directory: tempfile::TempDir, sector: u32) -> Option<Self> {
        let out = Command::new("losetup")
            .args([
                "--find",
                "--show",
                "--partscan",
                "--sector-size",
                &sector.to_string(),
            ])
            .arg(directory.path().join("backing"))
            .output();
        match out {
            Ok(out) if out.status.success() => Some(Self {
                device: PathBuf::from(String::from_utf8(out.stdout).unwrap().trim()),
                directory,
            }),
            other => {
                let root = nix::unistd::geteuid().is_root();
                assert!(
                    !root || !Path::new("/dev/loop-control").exists(),
                    "losetup: {other:?}"
                );
                eprintln!("SKIPPED: loop devices need root and /dev/loop-control: {other:?}");
                None
            }
        }
    }

    fn read(&self, offset: u64, length: usize) -> Vec<u8> {
        let mut file = File::open(&self.device).unwrap();
        file.seek(SeekFrom::Start(offset)).unwrap();
        let mut found = vec![0; length];
        file.read_exact(&mut found).unwrap();
        found
    }

    fn start_of_partition_2(&self) -> Option<String> {
        let name = self.device.file_name()?.to_str()?;
        std::fs::read_to_string(format!("/sys/class/block/{name}p2/start")).ok()
    }

    /// What the medium under the device holds.
    fn medium(&self) -> Vec<u8> {
        std::fs::read(self.directory.path().join("backing")).unwrap()
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        let _ = Command::new("losetup").arg("--detach").arg(&self.device).status();
    }
}

#[test]
fn a_whole_install_on_sectors_of_512_bytes() {
    let Some(device) = Loop::new(512, DISK) else {
        return;
    };
    let target = DiskTarget::open(&device.device).unwrap();
    assert_eq!((target.size(), target.sector_size()), (DISK, 512));
    // An earlier owner's data lies where the image has holes and behind its end.
    target.write_at(&vec![0x5a; 8 * MIB], 5 * MIB as u64).unwrap();
    target.write_at(&vec![0x5a; 4 * MIB], 28 * MIB as u64).unwrap();
    let written = write(image(), &target, expected()).unwrap();
    assert!(!written.already);
    let found = device.read(0, DISK as usize);
    assert_eq!(found[34 * 512..IMAGE], image()[34 * 512..]);
    let table = GPT::read_from(&mut Cursor::new(&found), 512).unwrap();
    assert_eq!(table.header.backup_lba, DISK / 512 - 1);
    assert_eq!(found[DISK as usize - 512..][..8], *b"EFI PART");
    assert_eq!(found, device.medium(), "what is read is what lies underneath");
    assert!(write(image(), &target, expected()).unwrap().already);
    let seen = device.start_of_partition_2();
    drop(target);
    // A kernel without support for GPT finds no partition in a fresh device either.
    match Loop::over(&device.medium(), 512).and_then(|fresh| fresh.start_of_partition_2()) {
        Some(start) => assert_eq!(seen, Some(start), "the kernel was made to see the new partitions"),
        None => eprintln!("SKIPPED: this kernel knows no GPT, so its view of the partitions is not checked"),
    }
}

#[test]
fn a_disk_in_use_is_refused() {
    let Some(device) = Loop::new(512, DISK) else {
        return;
    };
    let first = DiskTarget::open(&device.device).unwrap();
    let error = DiskTarget::open(&device.device).unwrap_err();
    assert!(
        matches!(
            &error,
            Error::Disk {
                operation: "opening for exclusive use",
                ..
            }
        ),
        "{error}"
    );
    drop(first);
    DiskTarget::open(&device.device).unwrap();
}

#[test]
fn an_image_of_small_sectors_is_refused_by_a_disk_of_large_ones() {
    let Some(device) = Loop::new(4096, DISK) else {
        return;
    };
    let target = DiskTarget::open(&device.device).unwrap();
    target.write_at(&vec![0x5a; MIB], 0).unwrap();
    let error = write(image(), &target, Expected::default()).unwrap_err();
    assert!(matches!(error, Error::SectorSize { sector: 4096, .. }), "{error}");
    assert!(device.read(0, MIB).iter().all(|byte| *byte == 0x5a));
}

#[test]
fn zeroing_reads_as_zeros_on_both_sector_sizes() {
    for sector in [512, 4096] {
        let Some(device) = Loop::new(sector, DISK) else {
            return;
        };
        let target = DiskTarget::open(&device.device).unwrap();
        target.write_at(&vec![0x5a; 4 * MIB], 0).unwrap();
        target.sync().unwrap();
        let (from, length) = (MIB + sector as usize, 2 * MIB);
        target.zero(from as u64, length as u64).unwrap();
        target.sync().unwrap();
        for found in [device.read(0, 4 * MIB), device.medium()[..4 * MIB].to_vec()] {
            assert!(found[..from].iter().all(|byte| *byte == 0x5a));
            assert!(found[from..from + length].iter().all(|byte| *byte == 0));
            assert!(found[from + length..].iter().all(|byte| *byte == 0x5a));
        }
    }
}
