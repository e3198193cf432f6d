//! Taking a system off a disk, so that nothing starts it, mounts it or assembles it again.
//!
//! Two ways. A disk that can make itself read as zeros does so, all of it ([`zero_whole`]). On any other disk [`wipe`]
//! overwrites the stretches that its caller names, then clears the start and the end of the disk and of each partition:
//! partition tables, boot code and the signatures of file systems, md, LVM, ZFS and Ceph. What else lies in its partitions
//! stays, so the caller has overwritten before what must not be read again.
//!
//! The partition table goes last: cut off anywhere, the next run still finds the partitions.

use std::ops::Range;

use crate::target::{ALIGNMENT, Target};
use crate::write::{AlignedBuffer, failed, head, is_zero, sync};
use crate::{Error, Gate, HEAD, signatures};

/// Zeroed between two looks at the gate.
const STEP: u64 = 64 << 20;
/// Read back at once.
const PIECE: usize = 1 << 20;

/// The right to destroy what a disk holds. Whoever makes one vouches that this disk is the one that was pinned for it.
#[derive(Debug)]
pub struct WipeAuthorized(());

impl WipeAuthorized {
    /// To be made where the identity of the opened disk has been checked, and nowhere else.
    #[must_use]
    pub const fn of_pinned_disk() -> Self {
        Self(())
    }
}

/// How a disk is to be wiped.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WipeJob {
    /// Stretches of which no byte may stay, in bytes of the disk.
    pub overwrite: Vec<Range<u64>>,
}

/// What was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wiped {
    /// Bytes that were overwritten.
    pub overwritten: u64,
    /// Whether the disk was asked to give up everything else, which it may do later, or not at all.
    pub discarded: bool,
}

/// Has the disk itself make every byte read as zeros, and looks at the places where signatures stand. `false`: it can't, and
/// holds what it held, or zeros in part.
///
/// # Errors
/// When the gate closes, or the disk does not read as zeros afterwards.
pub fn zero_whole(target: &dyn Target, _: &WipeAuthorized, gate: &dyn Gate) -> Result<bool, Error> {
    let head = head(target, HEAD)?;
    for step in steps(&(0..target.size())) {
        admit(gate)?;
        if target.zero_by_itself(step.start, step.end - step.start).is_err() {
            return Ok(false);
        }
        gate.progress("the disk zeroes itself", step.end, Some(target.size()));
    }
    sync(target)?;
    for stretch in signatures::stretches(target.size(), &head) {
        must_be_zero(target, &stretch)?;
    }
    reread(target)?;
    Ok(true)
}

/// Overwrites what the job names and clears every signature; each cleared place is read back from the medium.
///
/// # Errors
/// When the gate closes, the disk refuses, or it does not read as zeros afterwards. The partition table is in place then,
/// unless it was what the disk refused to clear.
pub fn wipe(target: &dyn Target, job: &WipeJob, _: &WipeAuthorized, gate: &dyn Gate) -> Result<Wiped, Error> {
    let head = head(target, HEAD)?;
    let size = target.size();
    let within = |range: &Range<u64>| range.start.min(size)..range.end.min(size);
    let overwrite: Vec<_> = job.overwrite.iter().map(within).collect();
    let total: u64 = overwrite
        .iter()
        .map(|range| range.end.saturating_sub(range.start))
        .sum();
    let mut done = 0;
    for step in overwrite.iter().flat_map(steps) {
        admit(gate)?;
        zero(target, &step, "overwriting")?;
        done += step.end - step.start;
        gate.progress("overwriting", done, Some(total));
    }
    sync(target)?;
    admit(gate)?;
    // What it reads as is not known, so the signatures are cleared after it.
    let discarded = target.discard(0, size).is_ok();
    let (ends, inner): (Vec<_>, Vec<_>) = signatures::stretches(size, &head)
        .into_iter()
        .partition(|stretch| stretch.start == 0 || stretch.end == size);
    for part in [inner, ends.into_iter().rev().collect()] {
        for stretch in part {
            admit(gate)?;
            zero(target, &stretch, "clearing signatures")?;
            sync(target)?;
            must_be_zero(target, &stretch)?;
        }
    }
    reread(target)?;
    Ok(Wiped {
        overwritten: total,
        discarded,
    })
}

fn steps(range: &Range<u64>) -> impl Iterator<Item = Range<u64>> + use<> {
    let end = range.end;
    let mut at = range.start;
    std::iter::from_fn(move || {
        let start = at;
        at = start.saturating_add(STEP).min(end);
        (start < end).then_some(start..at)
    })
}

fn admit(gate: &dyn Gate) -> Result<(), Error> {
    gate.admit().map_err(|reason| Error::Stopped { reason })
}

fn zero(target: &dyn Target, range: &Range<u64>, operation: &'static str) -> Result<(), Error> {
    target
        .zero(range.start, range.end - range.start)
        .map_err(failed(target, operation, range.start))
}

/// Reads a stretch from the medium.
fn must_be_zero(target: &dyn Target, stretch: &Range<u64>) -> Result<(), Error> {
    let mut buffer = AlignedBuffer::new(PIECE.next_multiple_of(ALIGNMENT));
    let mut at = stretch.start;
    while at < stretch.end {
        let length = usize::try_from(stretch.end - at).unwrap_or(PIECE).min(PIECE);
        let piece = buffer.bytes_mut(length);
        target.read_at(piece, at).map_err(failed(target, "reading", at))?;
        if !is_zero(piece) {
            return Err(Error::ReadBack {
                disk: target.path().to_owned(),
                offset: at,
            });
        }
        at += length as u64;
    }
    Ok(())
}

fn reread(target: &dyn Target) -> Result<(), Error> {
    target
        .reread_partitions()
        .map_err(failed(target, "making the kernel forget the partitions", 0))
}
