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
    /// The image does not fit.
    #[error("disk too small: {disk} has {disk_size} octets, the image needs {image_size}")]
    DiskTooSmall {
        /// Disk.
        disk: PathBuf,
        /// Its size.
        disk_size: u64,
        /// Size of the raw image, as far as it is known.
        image_size: u64,
    },
    /// The served file is not the wanted one.
    #[error("wrong digest: the image is {found}, expected {expected}")]
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

impl Error {
    /// Whether the same try later can succeed: the network broke or the caller stopped it.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        matches!(self, Self::Source { .. } | Self::Stopped { .. })
    }
}
