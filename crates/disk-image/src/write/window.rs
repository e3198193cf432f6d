//! A small piece of a disk, read and written around the page cache: what is read back is what the medium holds.
//!
//! The head of a disk and its second partition table begin and end where they must, not where direct access may. A
//! window is the aligned stretch around such a piece.

use std::ops::Range;

use super::block::AlignedBuffer;
use super::disk::{failed, sync};
use crate::Error;
use crate::target::{ALIGNMENT, Target};

/// What a disk holds in an aligned stretch.
struct Window {
    buffer: AlignedBuffer,
    start: u64,
    length: usize,
    /// The piece in it.
    piece: Range<usize>,
}

impl Window {
    fn read(target: &dyn Target, offset: u64, length: usize) -> Result<Self, Error> {
        let alignment = ALIGNMENT as u64;
        let start = offset - offset % alignment;
        let end = (offset + length as u64)
            .next_multiple_of(alignment)
            .min(target.size());
        let skipped = usize::try_from(offset - start).unwrap_or(0);
        let mut window = Self {
            length: usize::try_from(end.saturating_sub(start)).unwrap_or(usize::MAX),
            buffer: AlignedBuffer::new((skipped + length).next_multiple_of(ALIGNMENT)),
            start,
            piece: skipped..skipped + length,
        };
        target
            .read_at(window.buffer.bytes_mut(window.length), start)
            .map_err(failed(target, "reading", offset))?;
        Ok(window)
    }

    fn all(&self) -> &[u8] {
        self.buffer.bytes(self.length)
    }
}

/// Whether the medium holds `data` at `offset`.
pub(super) fn holds(target: &dyn Target, data: &[u8], offset: u64) -> Result<bool, Error> {
    let window = Window::read(target, offset, data.len())?;
    Ok(window.all().get(window.piece.clone()) == Some(data))
}

/// Writes `data`, flushes, and reads it back from the medium.
pub(super) fn put(target: &dyn Target, data: &[u8], offset: u64) -> Result<(), Error> {
    let mut window = Window::read(target, offset, data.len())?;
    let piece = window.piece.clone();
    if let Some(place) = window.buffer.bytes_mut(window.length).get_mut(piece) {
        place.copy_from_slice(data);
    }
    target.write_at(window.all(), window.start).map_err(failed(
        target,
        "writing the partition table",
        offset,
    ))?;
    sync(target)?;
    let found = Window::read(target, offset, data.len())?;
    if found.all() == window.all() && found.all().get(found.piece.clone()) == Some(data) {
        return Ok(());
    }
    Err(Error::ReadBack {
        disk: target.path().to_owned(),
        offset,
    })
}
