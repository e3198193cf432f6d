//! What can go wrong with an image or a disk.

use std::io;
use std::path::PathBuf;

use resources::Digest;

/// An image can't be read or a disk can't be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The stream of the served file broke.
    #[error("the image can't be read after {at} octets")]
    Source {
        /// Octets of the raw disk that had been decoded.
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
         not boot: have it fetched again, or correct the digest"
    )]
    WrongDigest {
        /// Wanted.
        expected: Digest,
        /// Found.
        found: Digest,
    },
    /// The decoded disk is not the wanted one.
    #[error("wrong size: the image holds {found} octets, expected {expected}")]
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
    /// The disk does not give back what was written.
    #[error("{disk} does not give back what was written at octet {offset}; replace the disk")]
    ReadBack {
        /// Disk.
        disk: PathBuf,
        /// Start of the wrong stretch.
        offset: u64,
    },
    /// The disk refuses an operation.
    #[error("{disk}: {operation} failed at octet {offset}")]
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

/// Octets, and what they are in a unit for people.
fn sized(octets: u64) -> String {
    let (unit, name) = if octets >= 1 << 30 {
        (1 << 30, "GiB")
    } else {
        (1 << 20, "MiB")
    };
    let tenths = u128::from(octets) * 10 / unit;
    format!("{octets} octets ({}.{} {name})", tenths / 10, tenths % 10)
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
            "/dev/vdb has 1073741824 octets (1.0 GiB)",
            "needs 2147483648 octets (2.0 GiB)",
            "larger disk",
        ];
        for part in parts {
            assert!(text.contains(part), "{part:?} is missing in: {text}");
        }
        assert!(error.is_hopeless() && !error.is_retryable());
        assert_eq!(sized(20_971_520), "20971520 octets (20.0 MiB)");
    }
}
