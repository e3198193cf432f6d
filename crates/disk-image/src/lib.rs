//! Disk images, from the served file to the bytes on a disk.
//!
//! Owns the formats (raw, gzip, zstd; told apart by content, never by name), measuring an image ([`measure`]), the two
//! facts that matter inside one (can firmware start it, where is its partition table), and the write: sparse, verified
//! by reading back, with the partition table moved to the disk's size and given new identities ([`install`]). Also the way
//! back: a disk of which nothing finds a system any more ([`wipe`]).
//! Refuses formats that refer to other files or need a converter (qcow2, vmdk, ...), knows no network and no API.
//!
//! Invariant: the first MiB of a disk is written last, after everything behind it was read back and found right. So a
//! disk whose first MiB is in place is a finished one, and a write that was cut off can never boot.

mod block_ioctl;
mod boot_loader;
mod decode;
mod error;
mod format;
pub mod gpt;
mod identities;
mod label;
mod measure;
#[cfg(test)]
mod mutations;
mod partitions;
mod signatures;
mod target;
mod wipe;
mod write;

pub use boot_loader::{BootLoader, boot_loader};
pub use decode::{ImageReader, StreamTotals};
pub use error::Error;
pub use format::detect;
pub use identities::Identities;
pub use label::file_system_label;
pub use measure::{CHUNK, confirm, measure};
pub use partitions::{PartitionRange, partitions};
pub use target::{DiskTarget, Target};
pub use wipe::{WipeAuthorized, WipeJob, Wiped, wipe, zero_whole};
pub use write::{Expected, Gate, HEAD, Ungated, WriteJob, Written, install};
