//! Reads from the disk what was written and compares it with what was decoded.
//!
//! It is read behind the writer, in batches: each is flushed before it is read, so that it comes from the medium and not
//! from a cache, and one flush does for many blocks.

use std::sync::mpsc::Receiver;

use super::block::{AlignedBuffer, Trace};
use super::disk::failed;
use crate::Error;
use crate::target::Target;

/// Bytes of a batch, if it is not the last one: so many that a spinning disk moves its heads seldom.
const BATCH: usize = 64 << 20;

/// Blocks that were written.
pub(super) struct Batch {
    pub(super) traces: Vec<Trace>,
    /// Nothing comes after them.
    pub(super) last: bool,
}

/// Collects written blocks.
pub(super) struct Batches<'a> {
    traces: &'a Receiver<Trace>,
    ended: bool,
}

impl<'a> Batches<'a> {
    pub(super) const fn new(traces: &'a Receiver<Trace>) -> Self {
        Self { traces, ended: false }
    }

    /// Waits until there is a batch. The last one may be empty.
    pub(super) fn next(&mut self) -> Option<Batch> {
        if self.ended {
            return None;
        }
        let mut traces = Vec::new();
        let mut length = 0;
        while length < BATCH {
            let Ok(trace) = self.traces.recv() else {
                self.ended = true;
                break;
            };
            length += trace.length;
            traces.push(trace);
        }
        Some(Batch {
            traces,
            last: self.ended,
        })
    }
}

/// Finds out whether the disk holds a block.
pub(super) fn check(target: &dyn Target, trace: &Trace, buffer: &mut AlignedBuffer) -> Result<(), Error> {
    let bytes = buffer.bytes_mut(trace.length);
    target
        .read_at(bytes, trace.offset)
        .map_err(failed(target, "reading back", trace.offset))?;
    if trace.is_of(bytes) {
        return Ok(());
    }
    Err(Error::ReadBack {
        disk: target.path().to_owned(),
        offset: trace.offset,
    })
}
