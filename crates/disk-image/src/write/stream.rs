//! Decoding and writing side by side: one thread decodes and hashes, one writes, with a few buffers between them.

use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;

use resources::Digest;
use sha2::{Digest as _, Sha256};
use xxhash_rust::xxh64::xxh64;

use super::{Expected, Gate, check_size, failed};
use crate::identities::Substitutions;
use crate::target::{ALIGNMENT, Target};
use crate::{Error, ImageReader, StreamTotals};

/// Length of a block: what is decoded, written and read back at once.
pub(super) const BLOCK: usize = 4 << 20;
/// Zeros shorter than this are written like data.
const HOLE: usize = 64 << 10;
/// Blocks on the way between the two threads.
const DEPTH: usize = 4;

/// What was written behind the head.
pub(super) struct Streamed {
    pub(super) totals: StreamTotals,
    pub(super) raw_size: u64,
    pub(super) blocks: Vec<Block>,
}

/// One block as it must be read back.
pub(super) struct Block {
    pub(super) offset: u64,
    pub(super) length: usize,
    /// `None`: zeros.
    pub(super) sum: Option<u64>,
}

/// Memory that a disk can read and write without a copy.
pub(super) struct AlignedBuffer {
    memory: Vec<u8>,
    start: usize,
}

impl AlignedBuffer {
    pub(super) fn new(length: usize) -> Self {
        let memory = vec![0; length + ALIGNMENT];
        let start = memory.as_ptr().align_offset(ALIGNMENT).min(ALIGNMENT);
        Self { memory, start }
    }

    /// The first `length` bytes.
    pub(super) fn bytes_mut(&mut self, length: usize) -> &mut [u8] {
        self.memory
            .get_mut(self.start..self.start + length)
            .unwrap_or_default()
    }

    pub(super) fn bytes(&self, length: usize) -> &[u8] {
        self.memory
            .get(self.start..self.start + length)
            .unwrap_or_default()
    }
}

struct Filled {
    buffer: AlignedBuffer,
    offset: u64,
    length: usize,
}

/// An image whose head has been read.
pub(super) struct Body<'a> {
    pub(super) image: ImageReader,
    pub(super) head: &'a [u8],
    /// Size of the raw disk, as far as it is known.
    pub(super) declared: Option<u64>,
    pub(super) expected: &'a Expected,
    pub(super) substitutions: &'a Substitutions,
}

/// Writes everything behind the head, and checks size and digest of the whole.
pub(super) fn write_body(body: Body<'_>, target: &dyn Target, gate: &dyn Gate) -> Result<Streamed, Error> {
    let Body {
        mut image,
        head,
        declared,
        expected,
        substitutions,
    } = body;
    // The digest of the served file proves the raw disk; hashing both would cost twice.
    let mut raw_hash = (expected.digest.is_none() && expected.raw_digest.is_some()).then(Sha256::new);
    if let Some(hash) = &mut raw_hash {
        hash.update(head);
    }
    let (to_writer, filled) = sync_channel::<Filled>(DEPTH);
    let (to_reader, empty) = sync_channel::<AlignedBuffer>(DEPTH + 2);
    for _ in 0..DEPTH + 1 {
        // The channel has room for all of them.
        let _ = to_reader.send(AlignedBuffer::new(BLOCK));
    }
    let mut raw_size = head.len() as u64;
    let blocks = thread::scope(|scope| {
        let writer = scope.spawn(move || {
            let result = write_blocks(
                &filled,
                &|buffer| drop(to_reader.send(buffer)),
                target,
                gate,
                declared,
            );
            drop(filled);
            result
        });
        let decoded = (|| {
            // A closed channel means that the writer has failed; its error comes from `join`.
            while let Ok(mut buffer) = empty.recv() {
                let length = image.read(buffer.bytes_mut(BLOCK))?;
                if let Some(hash) = &mut raw_hash {
                    hash.update(buffer.bytes(length));
                }
                let offset = raw_size;
                substitutions.apply(buffer.bytes_mut(length), offset)?;
                raw_size += length as u64;
                check_size(target, raw_size)?;
                let sent = length == 0
                    || to_writer
                        .send(Filled {
                            buffer,
                            offset,
                            length,
                        })
                        .is_ok();
                if length < BLOCK || !sent {
                    break;
                }
            }
            Ok::<(), Error>(())
        })();
        drop(to_writer);
        let written = match writer.join() {
            Ok(result) => result,
            Err(panic) => std::panic::resume_unwind(panic),
        };
        let blocks = written?;
        decoded.map(|()| blocks)
    })?;
    let totals = image.finish()?;
    check_outcome(expected, &totals, raw_size, raw_hash)?;
    substitutions.check_end(raw_size)?;
    Ok(Streamed {
        totals,
        raw_size,
        blocks,
    })
}

fn check_outcome(
    expected: &Expected,
    totals: &StreamTotals,
    raw_size: u64,
    raw_hash: Option<Sha256>,
) -> Result<(), Error> {
    if let Some(digest) = expected.digest.filter(|digest| *digest != totals.digest) {
        return Err(Error::WrongDigest {
            expected: digest,
            found: totals.digest,
        });
    }
    if let Some(size) = expected.raw_size.filter(|size| *size != raw_size) {
        return Err(Error::WrongSize {
            expected: size,
            found: raw_size,
        });
    }
    if let (Some(hash), Some(expected)) = (raw_hash, expected.raw_digest) {
        let found = Digest::new(hash.finalize().into());
        if found != expected {
            return Err(Error::WrongDigest { expected, found });
        }
    }
    Ok(())
}

fn write_blocks(
    filled: &Receiver<Filled>,
    give_back: &dyn Fn(AlignedBuffer),
    target: &dyn Target,
    gate: &dyn Gate,
    total: Option<u64>,
) -> Result<Vec<Block>, Error> {
    let mut blocks = Vec::new();
    while let Ok(mut block) = filled.recv() {
        gate.admit().map_err(|reason| Error::Stopped { reason })?;
        let end = block.offset + block.length as u64;
        let padded = padded(block.length, block.offset, target.size());
        block
            .buffer
            .bytes_mut(padded)
            .get_mut(block.length..)
            .unwrap_or_default()
            .fill(0);
        let bytes = block.buffer.bytes(padded);
        let mut zero = true;
        for stretch in stretches(bytes) {
            let offset = block.offset + stretch.start as u64;
            let length = stretch.bytes.len() as u64;
            if stretch.zero {
                target
                    .zero(offset, length)
                    .map_err(failed(target, "zeroing", offset))?;
            } else {
                zero = false;
                target
                    .write_at(stretch.bytes, offset)
                    .map_err(failed(target, "writing", offset))?;
            }
        }
        blocks.push(Block {
            offset: block.offset,
            length: padded,
            sum: (!zero).then(|| xxh64(bytes, 0)),
        });
        gate.progress("writing", end, total);
        give_back(block.buffer);
    }
    Ok(blocks)
}

/// The length up to which the last block is filled with zeros, so that it can go around the page cache.
fn padded(length: usize, offset: u64, disk: u64) -> usize {
    let wanted = length.next_multiple_of(ALIGNMENT).min(BLOCK);
    if offset + wanted as u64 <= disk {
        wanted
    } else {
        length
    }
}

struct Stretch<'a> {
    start: usize,
    bytes: &'a [u8],
    zero: bool,
}

/// Cuts a block into runs of data and runs of zeros.
fn stretches(bytes: &[u8]) -> Vec<Stretch<'_>> {
    let mut runs: Vec<(usize, usize, bool)> = Vec::new();
    for (index, piece) in bytes.chunks(HOLE).enumerate() {
        let zero = is_zero(piece);
        let start = index * HOLE;
        match runs.last_mut() {
            Some((_, end, kind)) if *kind == zero => *end = start + piece.len(),
            _ => runs.push((start, start + piece.len(), zero)),
        }
    }
    runs.into_iter()
        .map(|(start, end, zero)| Stretch {
            start,
            bytes: bytes.get(start..end).unwrap_or_default(),
            zero,
        })
        .collect()
}

/// Joins 128 bytes before it looks: the compiler makes vector code of that, also where vectors are emulated.
pub(super) fn is_zero(bytes: &[u8]) -> bool {
    let (pieces, rest) = bytes.as_chunks::<128>();
    let joined = |piece: &[u8; 128]| {
        piece
            .as_chunks::<8>()
            .0
            .iter()
            .fold(0, |all, word| all | u64::from_ne_bytes(*word))
    };
    pieces.iter().all(|piece| joined(piece) == 0) && rest.iter().all(|byte| *byte == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_byte_anywhere_is_found() {
        for length in [0, 1, 127, 128, 129, 1000] {
            let mut bytes = vec![0; length];
            assert!(is_zero(&bytes));
            for at in 0..length {
                bytes[at] = 1;
                assert!(!is_zero(&bytes), "{at} of {length}");
                bytes[at] = 0;
            }
        }
    }

    #[test]
    fn runs_of_data_and_zeros_cover_a_block() {
        let mut bytes = vec![0; 5 * HOLE + 100];
        bytes[HOLE + 5] = 1;
        bytes[2 * HOLE] = 1;
        *bytes.last_mut().unwrap() = 1;
        let found: Vec<_> = stretches(&bytes)
            .iter()
            .map(|run| (run.start, run.bytes.len(), run.zero))
            .collect();
        assert_eq!(
            found,
            [
                (0, HOLE, true),
                (HOLE, 2 * HOLE, false),
                (3 * HOLE, 2 * HOLE, true),
                (5 * HOLE, 100, false)
            ]
        );
    }
}
