//! What lies on a disk: partition table, file systems and the signatures of volume managers, so that it is on record
//! before it is overwritten, and so that a wipe knows what it can mount. Only well-known places are read.

use std::fs::{self, File};
use std::io::{Seek as _, SeekFrom};
use std::os::unix::fs::FileExt;
use std::path::Path;

use disk_image::file_system_label;

use super::sysfs::text;
use crate::Error;

/// sysfs counts in these, whatever the sectors of the disk are.
const UNIT: u64 = 512;
/// Bytes that are read at the start of a stretch: the second label of ZFS has its first uberblock in it, btrfs its
/// magic number.
const HEAD: usize = 384 << 10;
/// Bytes that are read at its end: md 0.90 and 1.0.
const TAIL: usize = 128 << 10;

/// Lines such as `GPT` and `partition 2 "root": xfs, label "data"`, in the order of the disk; `block` is its folder in
/// sysfs.
pub(super) fn contents(block: &Path, device: &Path) -> Vec<String> {
    let Ok(file) = File::open(device) else {
        return Vec::new();
    };
    let length = text(&block.join("size")).and_then(|text| text.parse::<u64>().ok());
    let disk = Stretch::read(&file, 0, length.unwrap_or_default().saturating_mul(UNIT));
    let whole = disk
        .table()
        .map(str::to_owned)
        .or_else(|| disk.signature().map(|found| disk.with_label(found.name())));
    let mut partitions = partitions(block);
    partitions.sort_by_key(|partition| partition.number);
    let of_partitions = partitions.iter().map(|partition| {
        let stretch = Stretch::read(
            &file,
            partition.start.saturating_mul(UNIT),
            partition.length.saturating_mul(UNIT),
        );
        let name = partition
            .name
            .as_ref()
            .map_or(String::new(), |name| format!(" {name:?}"));
        let what = stretch.signature().map_or("nothing known", Signature::name);
        let what = stretch.with_label(what);
        format!("partition {}{name}: {what}", partition.number)
    });
    whole.into_iter().chain(of_partitions).collect()
}

/// What a stretch of this length is to who looks for signatures.
pub(crate) fn signature(file: &File, start: u64, length: u64) -> Option<Signature> {
    Stretch::read(file, start, length).signature()
}

/// Type of the file system on a disk or partition.
///
/// # Errors
/// When it can't be read, or has none that can be mounted: the error says what is there.
pub(crate) fn file_system(device: &Path) -> Result<&'static str, Error> {
    let mut file = File::open(device).map_err(Error::file(device, "opening"))?;
    let length = file
        .seek(SeekFrom::End(0))
        .map_err(Error::file(device, "measuring"))?;
    let found = signature(&file, 0, length);
    found
        .and_then(Signature::file_system)
        .ok_or_else(|| Error::FileSystem {
            device: device.to_owned(),
            found: found.map_or("nothing known", Signature::name),
        })
}

/// A file system, volume or member of an array.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Signature {
    Lvm,
    Md,
    BlueStore,
    Luks,
    Zfs,
    Xfs,
    Btrfs,
    Ext,
    Swap,
    Ntfs,
    Fat,
    Iso9660,
}

impl Signature {
    /// Type of a file system that the kernel mounts and writes in place.
    pub(crate) const fn file_system(self) -> Option<&'static str> {
        match self {
            Self::Ext => Some("ext4"),
            Self::Xfs => Some("xfs"),
            Self::Fat => Some("vfat"),
            _ => None,
        }
    }

    /// For people.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Lvm => "LVM physical volume",
            Self::Md => "member of an md array",
            Self::BlueStore => "Ceph BlueStore",
            Self::Luks => "LUKS",
            Self::Zfs => "ZFS",
            Self::Xfs => "xfs",
            Self::Btrfs => "btrfs",
            Self::Ext => "ext2, ext3 or ext4",
            Self::Swap => "swap",
            Self::Ntfs => "ntfs",
            Self::Fat => "vfat",
            Self::Iso9660 => "iso9660",
        }
    }
}

struct Partition {
    number: u32,
    start: u64,
    length: u64,
    name: Option<String>,
}

fn partitions(block: &Path) -> Vec<Partition> {
    let Ok(entries) = fs::read_dir(block) else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter_map(|entry| {
            let folder = entry.path();
            let number = |name: &str| text(&folder.join(name))?.parse::<u64>().ok();
            let event = text(&folder.join("uevent")).unwrap_or_default();
            Some(Partition {
                number: u32::try_from(number("partition")?).ok()?,
                start: number("start")?,
                length: number("size")?,
                name: event
                    .lines()
                    .find_map(|line| line.strip_prefix("PARTNAME="))
                    .map(str::to_owned),
            })
        })
        .collect()
}

/// Start and end of a disk or partition.
struct Stretch {
    head: Vec<u8>,
    tail: Vec<u8>,
    length: u64,
}

impl Stretch {
    fn read(file: &File, start: u64, length: u64) -> Self {
        let read = |from: u64, most: usize| {
            let mut bytes = vec![0; usize::try_from(length).unwrap_or(most).min(most)];
            match file.read_exact_at(&mut bytes, from) {
                Ok(()) => bytes,
                Err(_) => Vec::new(),
            }
        };
        let tail_from = length.saturating_sub(TAIL as u64);
        Self {
            head: read(start, HEAD),
            tail: read(start.saturating_add(tail_from), TAIL),
            length,
        }
    }

    /// The signature, and the label that the file system has.
    fn with_label(&self, signature: &str) -> String {
        match file_system_label(&self.head) {
            Some(label) => format!("{signature}, label {label:?}"),
            None => signature.to_owned(),
        }
    }

    fn has(&self, at: usize, magic: &[u8]) -> bool {
        self.head.get(at..).is_some_and(|rest| rest.starts_with(magic))
    }

    /// Whether `magic` stands `at` bytes from the start.
    fn has_late(&self, at: u64, magic: &[u8]) -> bool {
        let tail_from = self.length.saturating_sub(self.tail.len() as u64);
        let within = at.checked_sub(tail_from).and_then(|at| usize::try_from(at).ok());
        within.is_some_and(|at| self.tail.get(at..).is_some_and(|rest| rest.starts_with(magic)))
    }

    /// Partition table of a whole disk.
    fn table(&self) -> Option<&'static str> {
        if self.has(512, b"EFI PART") || self.has(4096, b"EFI PART") {
            return Some("GPT");
        }
        // The boot sector of a file system has the same mark, and text or code where the table would be.
        let entries = self.head.get(446..510)?.as_chunks::<16>().0;
        let plausible = entries.iter().all(|[status, ..]| matches!(status, 0 | 0x80));
        let used = entries.iter().any(|[_, _, _, _, kind, ..]| *kind != 0);
        (self.has(510, &[0x55, 0xaa]) && plausible && used && !self.is_fat()).then_some("MBR partition table")
    }

    fn is_fat(&self) -> bool {
        self.has(54, b"FAT1") || self.has(82, b"FAT32   ")
    }

    fn signature(&self) -> Option<Signature> {
        const MD: [u8; 4] = [0xfc, 0x4e, 0x2b, 0xa9];
        let aligned = (self.length & !0xffff).checked_sub(64 << 10);
        let near_end = self.length.checked_sub(8 << 10).map(|at| at & !0xfff);
        let md = self.has(0, &MD)
            || self.has(4096, &MD)
            || [aligned, near_end]
                .into_iter()
                .flatten()
                .any(|at| self.has_late(at, &MD));
        let zfs = (0..128).any(|block| {
            let at = (128 << 10) + block * 1024;
            self.has(at, &0x00ba_b10c_u64.to_le_bytes()) || self.has(at, &0x00ba_b10c_u64.to_be_bytes())
        });
        match () {
            () if (0..4).any(|sector| self.has(sector * 512, b"LABELONE")) => Some(Signature::Lvm),
            () if md => Some(Signature::Md),
            () if self.has(0, b"bluestore block device") => Some(Signature::BlueStore),
            () if self.has(0, b"LUKS\xba\xbe") => Some(Signature::Luks),
            () if zfs => Some(Signature::Zfs),
            () if self.has(0, b"XFSB") => Some(Signature::Xfs),
            () if self.has(0x10040, b"_BHRfS_M") => Some(Signature::Btrfs),
            () if self.has(1080, &[0x53, 0xef]) => Some(Signature::Ext),
            () if self.has(4086, b"SWAPSPACE2") => Some(Signature::Swap),
            () if self.has(3, b"NTFS    ") => Some(Signature::Ntfs),
            () if self.is_fat() => Some(Signature::Fat),
            () if self.has(32769, b"CD001") => Some(Signature::Iso9660),
            () => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    fn disk(length: u64, marks: &[(u64, &[u8])]) -> (tempfile::TempDir, Vec<String>) {
        let root = tempfile::tempdir().unwrap();
        let device = root.path().join("sda");
        let file = File::create(&device).unwrap();
        file.set_len(length).unwrap();
        for (at, mark) in marks {
            file.write_all_at(mark, *at).unwrap();
        }
        let block = root.path().join("block");
        fs::create_dir(&block).unwrap();
        fs::write(block.join("size"), (length / 512).to_string()).unwrap();
        let found = contents(&block, &device);
        (root, found)
    }

    const MIB: u64 = 1 << 20;

    #[test]
    fn every_signature_is_found_at_its_place() {
        let md: &[u8] = &[0xfc, 0x4e, 0x2b, 0xa9];
        let table: [(u64, &[u8], &str); 18] = [
            (512, b"EFI PART", "GPT"),
            (4096, b"EFI PART", "GPT"),
            (1536, b"LABELONE", "LVM physical volume"),
            (0, md, "member of an md array"),
            (4096, md, "member of an md array"),
            (10 * MIB - (64 << 10), md, "member of an md array"),
            (10 * MIB - (8 << 10), md, "member of an md array"),
            (0, b"bluestore block device\n", "Ceph BlueStore"),
            (0, b"LUKS\xba\xbe", "LUKS"),
            (129 << 10, &[0x0c, 0xb1, 0xba, 0, 0, 0, 0, 0], "ZFS"),
            (0, b"XFSB", "xfs"),
            (0x10040, b"_BHRfS_M", "btrfs"),
            (1080, &[0x53, 0xef], "ext2, ext3 or ext4"),
            (4086, b"SWAPSPACE2", "swap"),
            (3, b"NTFS    ", "ntfs"),
            (82, b"FAT32   ", "vfat"),
            (54, b"FAT16   ", "vfat"),
            (32769, b"CD001", "iso9660"),
        ];
        for (at, mark, expected) in table {
            assert_eq!(disk(10 * MIB, &[(at, mark)]).1, [expected], "{at}");
        }
        assert_eq!(disk(10 * MIB, &[]).1, [] as [&str; 0]);
        assert_eq!(disk(512, &[]).1, [] as [&str; 0]);
        let mut mbr = [0; 66];
        (mbr[4], mbr[64], mbr[65]) = (0x83, 0x55, 0xaa);
        assert_eq!(disk(10 * MIB, &[(446, &mbr)]).1, ["MBR partition table"]);
    }

    #[test]
    fn partitions_are_looked_into() {
        let (root, _) = disk(10 * MIB, &[(512, b"EFI PART"), (MIB + 1080, &[0x53, 0xef])]);
        let block = root.path().join("block");
        for (number, start, name) in [(1, 2048, "gantry-root"), (2, 8192, "")] {
            let folder = block.join(format!("sda{number}"));
            fs::create_dir(&folder).unwrap();
            fs::write(folder.join("partition"), format!("{number}\n")).unwrap();
            fs::write(folder.join("start"), format!("{start}\n")).unwrap();
            fs::write(folder.join("size"), "2048\n").unwrap();
            if !name.is_empty() {
                fs::write(folder.join("uevent"), format!("PARTN=1\nPARTNAME={name}\n")).unwrap();
            }
        }
        assert_eq!(
            contents(&block, &root.path().join("sda")),
            [
                "GPT",
                "partition 1 \"gantry-root\": ext2, ext3 or ext4",
                "partition 2: nothing known"
            ]
        );
    }

    /// The tools of the distribution make what is to be recognised.
    #[test]
    fn what_real_tools_make_is_recognised() {
        for (tool, arguments, expected) in [
            ("mkfs.ext4", &["-q", "-F"][..], "ext2, ext3 or ext4"),
            (
                "mkfs.ext4",
                &["-q", "-F", "-L", "gantry-root"],
                "ext2, ext3 or ext4, label \"gantry-root\"",
            ),
            ("mkswap", &[], "swap"),
            ("mkfs.vfat", &[], "vfat"),
            ("mkfs.xfs", &["-q", "-f"], "xfs"),
        ] {
            let root = tempfile::tempdir().unwrap();
            let device = root.path().join("sda");
            let length = 400 * MIB;
            File::create(&device).unwrap().set_len(length).unwrap();
            let made = Command::new(tool).args(arguments).arg(&device).output();
            if !made.is_ok_and(|made| made.status.success()) {
                eprintln!("skipped: no {tool} here");
                continue;
            }
            fs::write(root.path().join("size"), (length / 512).to_string()).unwrap();
            assert_eq!(contents(root.path(), &device), [expected], "{tool}");
            let mountable = file_system(&device);
            match tool {
                "mkswap" => assert!(mountable.unwrap_err().to_string().contains("holds swap")),
                _ => assert_eq!(mountable.unwrap(), tool.trim_start_matches("mkfs.")),
            }
        }
    }
}
