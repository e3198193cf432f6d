//! The parts of a disk: its partitions, or the whole disk where it has none.

use std::fmt;
use std::fs::File;
use std::ops::Range;
use std::path::{Path, PathBuf};

use agent_protocol::environment::DEST_DISK;
use disk_image::{HEAD, Target, partitions};

use super::ActionContext;
use crate::Error;
use crate::inventory::signature;

/// A partition, or a disk without any.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) number: Option<u32>,
    /// Bytes of the disk.
    pub(super) range: Range<u64>,
    pub(super) holds: Holds,
}

/// What lies on a part.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Holds {
    /// Zeros where it begins and where it ends: it was never used, or an earlier run has cleared it.
    Nothing,
    /// A file system of this type that the kernel mounts and writes in place.
    Files(&'static str),
    /// Something whose keys can't be told from the rest.
    Other(&'static str),
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.number {
            Some(number) => write!(f, "partition {number}"),
            None => f.write_str("the disk"),
        }
    }
}

impl Part {
    /// The device of the part of the disk that `DEST_DISK` names.
    pub(super) fn device(&self, context: &ActionContext, disk: &Path) -> Result<PathBuf, Error> {
        match self.number {
            Some(number) => context.partition(DEST_DISK, number),
            None => Ok(disk.to_owned()),
        }
    }
}

/// The parts of an open disk.
pub(super) fn parts(device: &Path, target: &dyn Target) -> Result<Vec<Part>, Error> {
    let file = File::open(device).map_err(Error::file(device, "opening"))?;
    let size = target.size();
    let piece = |at: u64| {
        let length = (size - at.min(size)).min(HEAD as u64);
        let mut bytes = vec![0; usize::try_from(length).unwrap_or(HEAD)];
        target
            .read_at(&mut bytes, at)
            .map(|()| bytes)
            .map_err(Error::file(device, "reading"))
    };
    let mut found: Vec<_> = partitions(&piece(0)?)
        .into_iter()
        .map(|partition| (Some(partition.number), partition.range))
        .collect();
    if found.is_empty() {
        found.push((None, 0..size));
    }
    let mut parts = Vec::new();
    for (number, range) in found {
        let range = range.start.min(size)..range.end.min(size);
        let length = range.end.saturating_sub(range.start);
        if length == 0 {
            continue;
        }
        let mut ends = piece(range.start)?;
        ends.truncate(usize::try_from(length).unwrap_or(HEAD));
        let tail = range.end - length.min(HEAD as u64);
        ends.extend(
            piece(tail)?
                .into_iter()
                .take(usize::try_from(range.end - tail).unwrap_or(HEAD)),
        );
        let holds = match signature(&file, range.start, length) {
            Some(found) => found
                .file_system()
                .map_or(Holds::Other(found.name()), Holds::Files),
            None if ends.iter().all(|byte| *byte == 0) => Holds::Nothing,
            None => Holds::Other("nothing known"),
        };
        parts.push(Part { number, range, holds });
    }
    Ok(parts)
}
