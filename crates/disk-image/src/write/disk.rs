//! What every step of a write asks of the disk under it, with errors that name the disk.

use std::io;

use crate::Error;
use crate::target::Target;

/// Refuses a disk that is smaller than the image.
pub(super) fn check_size(target: &dyn Target, image_size: u64) -> Result<(), Error> {
    if image_size <= target.size() {
        return Ok(());
    }
    Err(Error::DiskTooSmall {
        disk: target.path().to_owned(),
        disk_size: target.size(),
        image_size,
    })
}

/// The first `length` bytes, or all of a smaller disk.
pub(crate) fn head(target: &dyn Target, length: usize) -> Result<Vec<u8>, Error> {
    let mut head = vec![0; length.min(usize::try_from(target.size()).unwrap_or(length))];
    target
        .read_at(&mut head, 0)
        .map_err(failed(target, "reading", 0))?;
    Ok(head)
}

/// Waits until everything written is on the medium.
pub(crate) fn sync(target: &dyn Target) -> Result<(), Error> {
    target.sync().map_err(failed(target, "flushing", 0))
}

/// Turns what a disk says into an error that names it.
pub(crate) fn failed(
    target: &dyn Target,
    operation: &'static str,
    offset: u64,
) -> impl FnOnce(io::Error) -> Error {
    let disk = target.path().to_owned();
    move |source| Error::Disk {
        disk,
        operation,
        offset,
        source,
    }
}
