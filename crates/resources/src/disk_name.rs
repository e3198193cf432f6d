//! Names that people and templates give to disks, such as `/dev/sda` or `/dev/disk/by-id/wwn-0x5000c500a0000001-part2`.

use std::fmt;
use std::str::FromStr;

/// Folders whose links name a disk by what it is or where it is plugged in.
const OF_DISKS: [&str; 2] = ["by-id", "by-path"];
/// Folders whose links name what lies on a disk.
const OF_CONTENTS: [&str; 4] = ["by-uuid", "by-label", "by-partuuid", "by-partlabel"];
/// Beginnings of by-id names that the device mapper, md and LVM make.
const MAPPED_IDS: [&str; 5] = ["dm-name-", "dm-uuid-", "md-name-", "md-uuid-", "lvm-pv-uuid-"];
/// Block devices that an operating system makes of disks.
const MAPPED: [&str; 3] = ["mapper/", "dm-", "md"];
/// Block devices that are no disks.
const NO_DISKS: [&str; 8] = [
    "loop",
    "ram",
    "zram",
    "sr",
    "fd",
    "nbd",
    "mtdblock",
    "mmcblk0boot",
];

/// A disk or one of its partitions by the name of a device. A name is no identity: what `/dev/sda` is may differ from
/// boot to boot.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct DiskName {
    disk: String,
    partition: Option<u32>,
}

/// Why a text names no disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DiskNameError {
    /// It is no path of a device.
    #[error("is not the path of a disk")]
    NoPath,
    /// It names a file system or a partition by what is written on it.
    #[error("names a file system or partition by what lies on the disk, and an installation overwrites that")]
    Contents,
    /// It is a device that an operating system puts together.
    #[error(
        "is a device of the device mapper, md or LVM, which an installed system puts together from disks"
    )]
    Mapped,
    /// It counts devices anew in each boot.
    #[error("is a number that every boot gives anew")]
    OfOneBoot,
    /// It is another kind of device.
    #[error("is a block device, but no disk")]
    NoDisk,
}

impl DiskNameError {
    /// What to write instead.
    #[must_use]
    pub const fn next_step(self) -> &'static str {
        "write the name of a whole disk: best /dev/disk/by-id/..., as `ls -l /dev/disk/by-id` shows it on the machine, \
         else /dev/disk/by-path/... or a kernel name such as /dev/sda"
    }
}

impl DiskName {
    /// The whole disk, as it was written.
    #[must_use]
    pub fn disk(&self) -> &str {
        &self.disk
    }

    /// Number of the partition; `None` for the whole disk.
    #[must_use]
    pub const fn partition(&self) -> Option<u32> {
        self.partition
    }
}

impl fmt::Display for DiskName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.disk)?;
        let Some(number) = self.partition else {
            return Ok(());
        };
        let between = match self.disk.starts_with("/dev/disk/") {
            true => "-part",
            false if self.disk.ends_with(|last: char| last.is_ascii_digit()) => "p",
            false => "",
        };
        write!(f, "{between}{number}")
    }
}

impl FromStr for DiskName {
    type Err = DiskNameError;

    fn from_str(text: &str) -> Result<Self, DiskNameError> {
        let rest = text.strip_prefix("/dev/").ok_or(DiskNameError::NoPath)?;
        if !rest.split('/').all(is_plain) {
            return Err(DiskNameError::NoPath);
        }
        let (length, partition) = match rest.strip_prefix("disk/") {
            Some(link) => of_link(link)?,
            None => of_kernel(rest)?,
        };
        let disk = text.get(..text.len() - length).ok_or(DiskNameError::NoPath)?;
        Ok(Self {
            disk: disk.to_owned(),
            partition,
        })
    }
}

fn is_plain(part: &str) -> bool {
    let plain = |c: char| !c.is_whitespace() && !c.is_control() && !"\"'`$\\{}".contains(c);
    !part.is_empty() && part != "." && part != ".." && part.chars().all(plain)
}

/// Bytes of the suffix that names the partition, and its number.
type Suffix = (usize, Option<u32>);

fn of_link(link: &str) -> Result<Suffix, DiskNameError> {
    let (folder, name) = link.split_once('/').ok_or(DiskNameError::NoPath)?;
    match folder {
        _ if OF_CONTENTS.contains(&folder) => return Err(DiskNameError::Contents),
        "by-diskseq" => return Err(DiskNameError::OfOneBoot),
        _ if !OF_DISKS.contains(&folder) || name.contains('/') => return Err(DiskNameError::NoPath),
        _ if MAPPED_IDS.iter().any(|start| name.starts_with(start)) => return Err(DiskNameError::Mapped),
        _ => {}
    }
    let suffix = name.rsplit_once("-part").filter(|(disk, _)| !disk.is_empty());
    Ok(suffix
        .and_then(|(_, digits)| Some(("-part".len() + digits.len(), Some(number(digits)?))))
        .unwrap_or((0, None)))
}

fn of_kernel(name: &str) -> Result<Suffix, DiskNameError> {
    if MAPPED.iter().any(|start| name.starts_with(start)) {
        return Err(DiskNameError::Mapped);
    }
    if NO_DISKS.iter().any(|start| name.starts_with(start)) {
        return Err(DiskNameError::NoDisk);
    }
    if name.contains('/') {
        return Err(DiskNameError::NoPath);
    }
    let stem = name.trim_end_matches(|c: char| c.is_ascii_digit());
    let Some(digits) = name.get(stem.len()..).filter(|digits| !digits.is_empty()) else {
        return Ok((0, None));
    };
    let numbered = ["nvme", "mmcblk", "pmem"]
        .iter()
        .any(|start| name.starts_with(start));
    let suffix = match (numbered, stem.strip_suffix('p')) {
        (true, Some(disk)) if disk.ends_with(|c: char| c.is_ascii_digit()) => digits.len() + 1,
        (true, _) => return Ok((0, None)),
        (false, _) => digits.len(),
    };
    Ok((suffix, Some(number(digits).ok_or(DiskNameError::NoPath)?)))
}

fn number(digits: &str) -> Option<u32> {
    let all = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    all.then(|| digits.parse().ok())
        .flatten()
        .filter(|number| *number > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn disk_and_partition_come_apart_and_together() {
        for (text, disk, partition) in [
            ("/dev/sda", "/dev/sda", None),
            ("/dev/sdaa12", "/dev/sdaa", Some(12)),
            ("/dev/vdb2", "/dev/vdb", Some(2)),
            ("/dev/xvda", "/dev/xvda", None),
            ("/dev/nvme0n1", "/dev/nvme0n1", None),
            ("/dev/nvme10n1p2", "/dev/nvme10n1", Some(2)),
            ("/dev/mmcblk0", "/dev/mmcblk0", None),
            ("/dev/mmcblk0p1", "/dev/mmcblk0", Some(1)),
            (
                "/dev/disk/by-id/wwn-0x5000c500a0000001-part2",
                "/dev/disk/by-id/wwn-0x5000c500a0000001",
                Some(2),
            ),
            ("/dev/disk/by-id/nvme-M_S_1", "/dev/disk/by-id/nvme-M_S_1", None),
            (
                "/dev/disk/by-id/usb-Disk-partner",
                "/dev/disk/by-id/usb-Disk-partner",
                None,
            ),
            (
                "/dev/disk/by-path/pci-0000:00:1f.2-ata-1.0-part1",
                "/dev/disk/by-path/pci-0000:00:1f.2-ata-1.0",
                Some(1),
            ),
        ] {
            let name: DiskName = text.parse().unwrap();
            assert_eq!((name.disk(), name.partition()), (disk, partition), "{text}");
            assert_eq!(name.to_string(), text);
        }
    }

    #[test]
    fn what_names_no_disk_says_why() {
        for (text, expected) in [
            ("sda", DiskNameError::NoPath),
            ("/dev/", DiskNameError::NoPath),
            ("/dev/../etc/passwd", DiskNameError::NoPath),
            ("/dev/{{ x }}", DiskNameError::NoPath),
            ("/dev/disk/by-id", DiskNameError::NoPath),
            ("/dev/disk/by-else/x", DiskNameError::NoPath),
            ("/dev/cciss/c0d0", DiskNameError::NoPath),
            ("/dev/disk/by-uuid/3255683f", DiskNameError::Contents),
            ("/dev/disk/by-label/root", DiskNameError::Contents),
            ("/dev/disk/by-partuuid/3255683f", DiskNameError::Contents),
            ("/dev/disk/by-partlabel/root", DiskNameError::Contents),
            ("/dev/disk/by-diskseq/1", DiskNameError::OfOneBoot),
            ("/dev/disk/by-id/dm-name-mpatha", DiskNameError::Mapped),
            ("/dev/mapper/mpatha", DiskNameError::Mapped),
            ("/dev/dm-0", DiskNameError::Mapped),
            ("/dev/md0", DiskNameError::Mapped),
            ("/dev/md/root", DiskNameError::Mapped),
            ("/dev/sr0", DiskNameError::NoDisk),
            ("/dev/loop0", DiskNameError::NoDisk),
        ] {
            assert_eq!(text.parse::<DiskName>(), Err(expected), "{text}");
        }
    }
}
