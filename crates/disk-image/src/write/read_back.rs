//! Reads from the disk what was written and compares it with what was decoded.
//!
//! Here the opponent is a failing disk, cable or controller, not a person (the digest of the served file is checked
//! before), so a fast 64-bit sum of each block does.

use xxhash_rust::xxh64::xxh64;

use super::stream::{AlignedBuffer, BLOCK, Streamed, is_zero};
use super::{Gate, failed};
use crate::Error;
use crate::target::Target;

pub(super) fn body(target: &dyn Target, streamed: &Streamed, gate: &dyn Gate) -> Result<(), Error> {
    let mut buffer = AlignedBuffer::new(BLOCK);
    for block in &streamed.blocks {
        let bytes = buffer.bytes_mut(block.length);
        target
            .read_at(bytes, block.offset)
            .map_err(failed(target, "reading back", block.offset))?;
        let right = match block.sum {
            None => is_zero(bytes),
            Some(sum) => xxh64(bytes, 0) == sum,
        };
        if !right {
            return Err(Error::ReadBack {
                disk: target.path().to_owned(),
                offset: block.offset,
            });
        }
        let done = (block.offset + block.length as u64).min(streamed.raw_size);
        gate.progress("reading back", done, Some(streamed.raw_size));
    }
    Ok(())
}
