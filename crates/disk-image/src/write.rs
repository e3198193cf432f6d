//! The write: head checked, everything behind the head streamed and read back behind the writer, the head put in place
//! last.

mod block;
mod disk;
mod expected;
mod gate;
mod pool;
mod probe;
mod read_back;
mod stream;
mod window;

use resources::gantry::Firmware;

pub(crate) use block::{AlignedBuffer, is_zero};
pub(crate) use disk::{failed, head, sync};
pub use expected::Expected;
pub use gate::{Gate, Ungated};

use crate::boot_loader::{BootLoader, boot_loader, partitions_end};
use crate::gpt::{self, Relocated, SECTOR};
use crate::identities::{Identities, Substitutions};
use crate::target::{ALIGNMENT, Target};
use crate::{Error, ImageReader, StreamTotals, signatures};
use disk::check_size;

/// The part of a disk that is written last.
pub const HEAD: usize = 1 << 20;

/// How an image is to be written.
#[derive(Debug, Clone, Copy)]
pub struct WriteJob<'a> {
    /// What must come out.
    pub expected: Expected,
    /// GUIDs of disk and partitions.
    pub identities: Identities<'a>,
    /// Firmware that has to start the image; `None`: any.
    pub firmware: Option<Firmware>,
}

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// Nothing was written: the disk held the image already, every byte was read and is right.
    pub already: bool,
    /// The served file; `None` when the disk was right already.
    pub totals: Option<StreamTotals>,
    /// Bytes of the raw disk.
    pub raw_size: u64,
    /// Unique GUID of the EFI system partition on the disk.
    pub esp_guid: Option<String>,
}

/// Writes the image to the disk, unless the disk holds it already. On an error the disk's first MiB is empty or what it
/// was: checks of image and sizes come before the first write.
///
/// # Errors
/// See [`Error`].
pub fn install(
    mut image: ImageReader,
    target: &dyn Target,
    job: &WriteJob<'_>,
    gate: &dyn Gate,
) -> Result<Written, Error> {
    let mut head = vec![0; HEAD];
    let length = image.read(&mut head)?;
    head.truncate(length);
    check_sectors(&head, target)?;
    check_boot_loader(boot_loader(&head), job.firmware)?;
    let declared = declared_size(&head, job.expected.raw_size);
    check_size(target, declared.unwrap_or(length as u64))?;
    let substitutions = Substitutions::new(gpt::parse(&head).as_ref(), job.identities)?;
    let mut placed = gpt::relocate(&head, target.size(), job.identities.seed())?;
    substitutions.apply(&mut placed.head, 0)?;
    let image_side = probe::ImageSide {
        head: &head,
        expected: &job.expected,
        substitutions: &substitutions,
    };
    if let Some(raw_size) = probe::already_there(target, &image_side, &placed, gate)? {
        return Ok(Written {
            already: true,
            totals: None,
            raw_size,
            esp_guid: placed.esp_guid,
        });
    }
    gate.admit().map_err(|reason| Error::Stopped { reason })?;
    clear(target)?;
    let body = stream::Body {
        image,
        head: &head,
        declared,
        expected: &job.expected,
        substitutions: &substitutions,
    };
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let streamed = stream::write_body(body, target, gate, processors)?;
    gate.admit().map_err(|reason| Error::Stopped { reason })?;
    commit_head(target, &placed)?;
    Ok(Written {
        already: false,
        totals: Some(streamed.totals),
        raw_size: streamed.raw_size,
        esp_guid: placed.esp_guid,
    })
}

/// Refuses a disk whose sectors are not those that the image's partition table and file systems count in.
fn check_sectors(head: &[u8], target: &dyn Target) -> Result<(), Error> {
    if gpt::is_for_large_sectors(head) {
        return Err(Error::LargeSectorImage);
    }
    if u64::from(target.sector_size()) == SECTOR {
        return Ok(());
    }
    Err(Error::SectorSize {
        disk: target.path().to_owned(),
        sector: target.sector_size(),
    })
}

/// Refuses what the machine could never start, before it overwrites what it could.
fn check_boot_loader(found: BootLoader, firmware: Option<Firmware>) -> Result<(), Error> {
    match firmware {
        _ if !found.any() => Err(Error::NoBootLoader),
        Some(Firmware::Bios) if !found.bios => Err(Error::OtherFirmware {
            machine: "BIOS",
            lacks: "boot code in its first sector",
        }),
        Some(Firmware::Uefi) if !found.uefi => Err(Error::OtherFirmware {
            machine: "UEFI",
            lacks: "EFI system partition",
        }),
        _ => Ok(()),
    }
}

/// Size of the raw disk if it is told, else up to the end of the image's last partition.
fn declared_size(head: &[u8], told: Option<u64>) -> Option<u64> {
    told.or_else(|| partitions_end(head))
}

fn clear(target: &dyn Target) -> Result<(), Error> {
    let old = head(target, HEAD)?;
    for stretch in signatures::stretches(target.size(), &old) {
        target
            .zero(stretch.start, stretch.end - stretch.start)
            .map_err(failed(target, "clearing old signatures", stretch.start))?;
    }
    sync(target)
}

/// Second copy of the table first, then the head from behind: its first 4 KiB, with boot code and the header of the
/// table, say that everything else is there, and are small enough not to be cut in the middle.
fn commit_head(target: &dyn Target, placed: &Relocated) -> Result<(), Error> {
    let (first, rest) = placed.head.split_at(placed.head.len().min(ALIGNMENT));
    let pieces = [
        (&*placed.backup, placed.backup_at),
        (rest, ALIGNMENT as u64),
        (first, 0),
    ];
    for (data, offset) in pieces {
        if data.is_empty() {
            continue;
        }
        window::put(target, data, offset)?;
    }
    target
        .reread_partitions()
        .map_err(failed(target, "making the kernel see the new partitions", 0))
}
