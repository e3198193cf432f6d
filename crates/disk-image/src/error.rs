//! What can go wrong with an image or a disk.

use std::io;
use std::path::PathBuf;

use resources::Digest;

/// An image can't be read or a disk can't be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The stream of the served file broke.
    #[error("the image can't be read after {at} bytes")]
    Source {
        /// Bytes of the raw disk that had been decoded.
        at: u64,
        /// Cause.
        #[source]
        source: io::Error,
    },
    /// The file holds nothing.
    #[error("the image is empty")]
    Empty,
    /// A format that is not taken.
    #[error("the image is {format}; images must be raw, gzip or zstd disks")]
    UnsupportedFormat {
        /// What it is.
        format: &'static str,
    },
    /// Nothing in the image can be started by firmware.
    #[error(
        "the image has no boot loader: no boot code in its first sector and no EFI system partition; \
         use a whole-disk image, not a file system or an installer archive"
    )]
    NoBootLoader,
    /// Only another kind of firmware could start it.
    #[error(
        "the image has no {lacks}, and this machine was started by {machine} firmware, so it could never boot it: use an \
         image for {machine}, or change the machine's boot mode"
    )]
    OtherFirmware {
        /// Firmware of the machine.
        machine: &'static str,
        /// What it would need.
        lacks: &'static str,
    },
    /// The image does not fit.
    #[error(
        "disk too small: {disk} has {}, the image needs {}; name a larger disk of this machine (column disk of its \
         hardware CSV) or use a smaller image",
        sized(*disk_size),
        sized(*image_size)
    )]
    DiskTooSmall {
        /// Disk.
        disk: PathBuf,
        /// Its size.
        disk_size: u64,
        /// Size of the raw image, as far as it is known.
        image_size: u64,
    },
    /// The served file is not the wanted one.
    #[error(
        "wrong digest: the image is {found}, expected {expected}; it was damaged where it is kept or on its way and will \
         not boot; the appliance checks the file that it keeps and fetches it again if that is damaged: start a new attempt, \
         or correct the digest"
    )]
    WrongDigest {
        /// Wanted.
        expected: Digest,
        /// Found.
        found: Digest,
    },
    /// The decoded disk is not the wanted one.
    #[error("wrong size: the image holds {found} bytes, expected {expected}")]
    WrongSize {
        /// Wanted.
        expected: u64,
        /// Found.
        found: u64,
    },
    /// The partition table of the image can't be used on this disk.
    #[error("the image's partition table: {reason}")]
    PartitionTable {
        /// Why.
        reason: String,
    },
    /// The disk counts in other sectors than the image.
    #[error(
        "{disk} has sectors of {sector} bytes, and images are made for sectors of 512: format it to sectors of 512 bytes \
         (an NVMe disk by `nvme format --lbaf`, if `nvme id-ns -H` lists such a format), or name another disk of this machine"
    )]
    SectorSize {
        /// Disk.
        disk: PathBuf,
        /// Bytes of its logical sector.
        sector: u32,
    },
    /// The image counts in sectors of 4096 bytes.
    #[error(
        "the image's partition table is made for sectors of 4096 bytes; use an image made for sectors of 512"
    )]
    LargeSectorImage,
    /// The manifest of the image does not fit it.
    #[error(
        "the image's manifest says that the GUID of partition {partition} stands at byte {offset} as text, and it does \
         not: make the manifest anew with the image, or take guidReferences out of it"
    )]
    GuidReference {
        /// Number of the partition.
        partition: u32,
        /// Byte of the raw disk.
        offset: u64,
    },
    /// The disk does not give back what was written.
    #[error("{disk} does not give back what was written at byte {offset}; replace the disk")]
    ReadBack {
        /// Disk.
        disk: PathBuf,
        /// Start of the wrong stretch.
        offset: u64,
    },
    /// The disk refuses an operation.
    #[error("{disk}: {operation} failed at byte {offset}")]
    Disk {
        /// Disk.
        disk: PathBuf,
        /// What was tried.
        operation: &'static str,
        /// Where.
        offset: u64,
        /// Cause.
        #[source]
        source: io::Error,
    },
    /// The caller's gate said no.
    #[error("stopped: {reason}")]
    Stopped {
        /// Why.
        reason: String,
    },
}

/// Bytes, and what they are in a unit for people.
fn sized(bytes: u64) -> String {
    let (unit, name) = if bytes >= 1 << 30 {
        (1 << 30, "GiB")
    } else {
        (1 << 20, "MiB")
    };
    let tenths = u128::from(bytes) * 10 / unit;
    format!("{bytes} bytes ({}.{} {name})", tenths / 10, tenths % 10)
}

impl Error {
    /// Whether the same try later can succeed: the network broke or the caller stopped it.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        matches!(self, Self::Source { .. } | Self::Stopped { .. })
    }

    /// Whether no other try can succeed before somebody chooses another image or disk. A damaged stream or a disk that
    /// refuses may be well the next time.
    #[must_use]
    pub const fn is_hopeless(&self) -> bool {
        matches!(
            self,
            Self::Empty
                | Self::UnsupportedFormat { .. }
                | Self::NoBootLoader
                | Self::OtherFirmware { .. }
                | Self::DiskTooSmall { .. }
                | Self::PartitionTable { .. }
                | Self::SectorSize { .. }
                | Self::LargeSectorImage
                | Self::GuidReference { .. }
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_that_is_too_small_is_told_with_sizes_and_next_step() {
        let error = Error::DiskTooSmall {
            disk: "/dev/vdb".into(),
            disk_size: 1 << 30,
            image_size: 1 << 31,
        };
        let text = error.to_string();
        let parts = [
            "/dev/vdb has 1073741824 bytes (1.0 GiB)",
            "needs 2147483648 bytes (2.0 GiB)",
            "larger disk",
        ];
        for part in parts {
            assert!(text.contains(part), "{part:?} is missing in: {text}");
        }
        assert!(error.is_hopeless() && !error.is_retryable());
        assert_eq!(sized(20_971_520), "20971520 bytes (20.0 MiB)");
    }
}
