//! Which drive number a PC BIOS gives to a disk, by what it said at boot (Enhanced Disk Drive services, which the kernel's
//! module `edd` shows in `/sys/firmware/edd`).

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::DiskFacts;
use super::sysfs::text;

/// Where the signature lies in a master boot record.
const SIGNATURE: u64 = 440;

/// A drive of the BIOS, or a disk of the kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Marks<K> {
    key: K,
    /// Signature of the master boot record; zero is none.
    signature: u32,
    /// Sectors of 512 bytes; 0 when not known.
    sectors: u64,
}

/// Drive numbers by kernel name. Read at the start of the installer: a write changes the signatures.
pub(crate) fn bios_drives(sys: &Path, dev: &Path, disks: &[DiskFacts]) -> BTreeMap<String, u8> {
    let drives = fs::read_dir(sys.join("firmware/edd"));
    let drives: Vec<Marks<u8>> = drives
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let name = entry.file_name();
            let number = u8::from_str_radix(name.to_str()?.strip_prefix("int13_dev")?, 16).ok()?;
            let signature = text(&entry.path().join("mbr_signature"));
            Some(Marks {
                key: number,
                signature: signature
                    .and_then(|text| u32::from_str_radix(text.strip_prefix("0x")?, 16).ok())
                    .unwrap_or_default(),
                sectors: text(&entry.path().join("sectors"))
                    .and_then(|text| text.parse().ok())
                    .unwrap_or_default(),
            })
        })
        .collect();
    let disks: Vec<Marks<String>> = disks
        .iter()
        .map(|disk| {
            let mut signature = [0; 4];
            let read = File::open(dev.join(&disk.name))
                .and_then(|file| file.read_exact_at(&mut signature, SIGNATURE));
            Marks {
                key: disk.name.clone(),
                signature: read.map_or(0, |()| u32::from_le_bytes(signature)),
                sectors: disk.size / 512,
            }
        })
        .collect();
    matched(&drives, &disks)
}

/// Pairs what can only be the same: first by a signature that one drive and one disk have, then by size.
fn matched(drives: &[Marks<u8>], disks: &[Marks<String>]) -> BTreeMap<String, u8> {
    let mut found: BTreeMap<String, u8> = BTreeMap::new();
    let marks: [fn(u32, u64) -> u64; 2] = [|signature, _| u64::from(signature), |_, sectors| sectors];
    for mark in marks {
        let open: Vec<_> = drives
            .iter()
            .filter(|drive| !found.values().any(|number| *number == drive.key))
            .collect();
        let mut pairs = BTreeMap::new();
        for drive in &open {
            let value = mark(drive.signature, drive.sectors);
            let same = |other: &&&Marks<u8>| mark(other.signature, other.sectors) == value;
            let candidates: Vec<_> = disks
                .iter()
                .filter(|disk| !found.contains_key(&disk.key))
                .filter(|disk| mark(disk.signature, disk.sectors) == value)
                .collect();
            if let [disk] = candidates.as_slice()
                && value != 0
                && open.iter().filter(same).count() == 1
            {
                pairs.insert(disk.key.clone(), drive.key);
            }
        }
        found.extend(pairs);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marks<K>(key: K, signature: u32, sectors: u64) -> Marks<K> {
        Marks {
            key,
            signature,
            sectors,
        }
    }

    #[test]
    fn a_drive_is_matched_only_when_it_can_be_no_other() {
        let disk = |name: &str, signature, sectors| marks(name.to_owned(), signature, sectors);
        let table = [
            ("no drives", vec![], vec![disk("sda", 7, 100)], vec![]),
            (
                "the order differs",
                vec![marks(0x80, 8, 100), marks(0x81, 7, 100)],
                vec![disk("sda", 7, 100), disk("sdb", 8, 100)],
                vec![("sda", 0x81), ("sdb", 0x80)],
            ),
            (
                "empty disks of different sizes",
                vec![marks(0x80, 0, 100), marks(0x81, 0, 200)],
                vec![disk("sda", 0, 200), disk("sdb", 0, 100)],
                vec![("sda", 0x81), ("sdb", 0x80)],
            ),
            (
                "equal empty disks",
                vec![marks(0x80, 0, 100), marks(0x81, 0, 100)],
                vec![disk("sda", 0, 100), disk("sdb", 0, 100)],
                vec![],
            ),
            (
                "clones, and one that differs in size",
                vec![marks(0x80, 7, 100), marks(0x81, 7, 100), marks(0x82, 7, 300)],
                vec![disk("sda", 7, 100), disk("sdb", 7, 100), disk("sdc", 7, 300)],
                vec![("sdc", 0x82)],
            ),
            (
                "one signature, the other by what is left",
                vec![marks(0x80, 7, 100), marks(0x81, 0, 100)],
                vec![disk("sda", 0, 100), disk("sdb", 7, 100)],
                vec![("sda", 0x81), ("sdb", 0x80)],
            ),
        ];
        for (case, drives, disks, expected) in table {
            let expected: BTreeMap<String, u8> = expected
                .into_iter()
                .map(|(name, number)| (name.to_owned(), number))
                .collect();
            assert_eq!(matched(&drives, &disks), expected, "{case}");
        }
    }

    #[test]
    fn what_the_kernel_shows_is_read() {
        let root = tempfile::tempdir().unwrap();
        let edd = root.path().join("firmware/edd/int13_dev81");
        fs::create_dir_all(&edd).unwrap();
        fs::write(edd.join("mbr_signature"), "0x04030201\n").unwrap();
        fs::write(edd.join("sectors"), "2048\n").unwrap();
        let mut disk = vec![0; 512];
        disk[440..444].copy_from_slice(&[1, 2, 3, 4]);
        fs::write(root.path().join("sda"), disk).unwrap();
        let disks = [DiskFacts {
            name: "sda".to_owned(),
            ..DiskFacts::default()
        }];
        let expected = BTreeMap::from([("sda".to_owned(), 0x81)]);
        assert_eq!(bios_drives(root.path(), root.path(), &disks), expected);
    }
}
