//! A block: what is decoded, written and read back at once.

use std::ops::Range;

use xxhash_rust::xxh3::xxh3_64;

use crate::decode::GROUP;
use crate::target::ALIGNMENT;

/// Length of a block.
pub(super) const BLOCK: usize = GROUP;
/// Zeros shorter than this are written like data.
const HOLE: usize = 64 << 10;

/// Memory that a disk can read and write without a copy.
pub(crate) struct AlignedBuffer {
    memory: Vec<u8>,
    start: usize,
}

impl AlignedBuffer {
    pub(crate) fn new(length: usize) -> Self {
        let memory = vec![0; length + ALIGNMENT];
        let start = memory.as_ptr().align_offset(ALIGNMENT).min(ALIGNMENT);
        Self { memory, start }
    }

    /// The first `length` bytes.
    pub(crate) fn bytes_mut(&mut self, length: usize) -> &mut [u8] {
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

/// A block that is ready to be written.
pub(super) struct Filled {
    pub(super) buffer: AlignedBuffer,
    /// Bytes of the image in it.
    pub(super) length: usize,
    pub(super) stretches: Vec<Stretch>,
    pub(super) trace: Trace,
}

impl Filled {
    /// `buffer` holds `length` bytes of the image, which belong at `offset` of a disk of `disk` bytes.
    pub(super) fn new(mut buffer: AlignedBuffer, length: usize, offset: u64, disk: u64) -> Self {
        let padded = padded(length, offset, disk);
        buffer
            .bytes_mut(padded)
            .get_mut(length..)
            .unwrap_or_default()
            .fill(0);
        let bytes = buffer.bytes(padded);
        let stretches = stretches(bytes);
        let zero = stretches.iter().all(|stretch| stretch.zero);
        let trace = Trace {
            offset,
            length: padded,
            sum: (!zero).then(|| xxh3_64(bytes)),
        };
        Self {
            buffer,
            length,
            stretches,
            trace,
        }
    }
}

/// What has to be found again on the disk where a block was written.
///
/// Here the opponent is a failing disk, cable or controller, not a person (the digest of the served file is checked
/// too), so a fast 64-bit sum does.
pub(super) struct Trace {
    pub(super) offset: u64,
    pub(super) length: usize,
    /// `None`: zeros.
    sum: Option<u64>,
}

impl Trace {
    /// Whether these are the bytes of the block.
    pub(super) fn is_of(&self, bytes: &[u8]) -> bool {
        match self.sum {
            None => is_zero(bytes),
            Some(sum) => xxh3_64(bytes) == sum,
        }
    }
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

/// A part of a block.
pub(super) struct Stretch {
    pub(super) range: Range<usize>,
    /// Nothing but zeros.
    pub(super) zero: bool,
}

/// Cuts a block into runs of data and runs of zeros.
fn stretches(bytes: &[u8]) -> Vec<Stretch> {
    let mut runs: Vec<Stretch> = Vec::new();
    for (index, piece) in bytes.chunks(HOLE).enumerate() {
        let zero = is_zero(piece);
        let start = index * HOLE;
        let end = start + piece.len();
        match runs.last_mut() {
            Some(run) if run.zero == zero => run.range.end = end,
            _ => runs.push(Stretch {
                range: start..end,
                zero,
            }),
        }
    }
    runs
}

/// Joins 128 bytes before it looks: the compiler makes vector code of that, also where vectors are emulated.
pub(crate) fn is_zero(bytes: &[u8]) -> bool {
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
            .map(|run| (run.range.start, run.range.len(), run.zero))
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
