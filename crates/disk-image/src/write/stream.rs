//! Decoding, writing and reading back side by side.
//!
//! The caller's thread reads the served file and cuts it; workers decode what can be decoded out of order, and look for
//! zeros; one thread writes, one reads back what was flushed. The buffers are counted: who finds none free waits, so a
//! slow disk holds up the network and no thread piles up memory.

use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, ScopedJoinHandle};

use resources::Digest;
use sha2::{Digest as _, Sha256};
use zstd::bulk::Decompressor;

use super::block::{AlignedBuffer, BLOCK, Filled, Trace};
use super::disk::{check_size, failed, sync};
use super::expected::Expected;
use super::gate::Gate;
use super::pool::Pool;
use super::read_back;
use crate::decode::{FrameGroup, Next};
use crate::identities::Substitutions;
use crate::target::Target;
use crate::{Error, ImageReader, StreamTotals};

/// No more workers than this: together they are faster than disks are, and each needs up to 8 MiB.
const MOST_WORKERS: usize = 4;
/// Buffers beside those that workers fill: one is written, one waits for that.
const SPARE: usize = 2;
/// Pieces that wait while all workers are busy. Fewer than there are spare buffers, so that pieces that are decoded
/// already never hold all the buffers that those before them need.
const WAITING: usize = 1;

/// What was written behind the head, and read back.
pub(super) struct Streamed {
    pub(super) totals: StreamTotals,
    pub(super) raw_size: u64,
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

/// A part of the image, and the byte of the raw disk where it begins.
enum Piece {
    Frames(FrameGroup, u64),
    /// A buffer with so many bytes.
    Decoded(AlignedBuffer, usize, u64),
}

/// What the threads share.
struct Line<'a> {
    target: &'a dyn Target,
    gate: &'a dyn Gate,
    substitutions: &'a Substitutions,
    head: u64,
    declared: Option<u64>,
    pool: Pool,
}

/// Writes everything behind the head, reads it back, and checks size and digest of the whole. With so many processors to
/// decode with.
pub(super) fn write_body(
    body: Body<'_>,
    target: &dyn Target,
    gate: &dyn Gate,
    processors: usize,
) -> Result<Streamed, Error> {
    let workers = processors.clamp(1, MOST_WORKERS);
    let line = Line {
        target,
        gate,
        substitutions: body.substitutions,
        head: body.head.len() as u64,
        declared: body.declared,
        pool: Pool::new(workers + SPARE),
    };
    let (to_workers, pieces) = sync_channel::<Piece>(WAITING);
    // Neither holds more than the pool has buffers, or a few words for each block.
    let (to_writer, filled) = channel::<Filled>();
    let (to_verifier, traces) = channel::<Trace>();
    let pieces = Arc::new(Mutex::new(pieces));
    thread::scope(|scope| {
        let line = &line;
        let verifier = scope.spawn(move || line.pool.guarded(|| line.read_back(&traces)));
        let writer = scope.spawn(move || {
            let result = line.pool.guarded(|| line.write(&filled, &to_verifier));
            drop((filled, to_verifier));
            result
        });
        let workers: Vec<_> = (0..workers)
            .map(|_| {
                let (pieces, to_writer) = (Arc::clone(&pieces), to_writer.clone());
                scope.spawn(move || {
                    let result = line.pool.guarded(|| line.work(&pieces, &to_writer));
                    drop((pieces, to_writer));
                    result
                })
            })
            .collect();
        drop((pieces, to_writer));
        let streamed = line.pool.guarded(|| line.feed(body, to_workers));
        // Who fails stops the others, who then have no error of their own. If two fail at the same time, the disk's
        // error is told before that of the image.
        let decoded = workers.into_iter().map(joined).fold(Ok(()), Result::and);
        joined(writer).and(joined(verifier)).and(decoded).and(streamed)
    })
}

fn joined(thread: ScopedJoinHandle<'_, Result<(), Error>>) -> Result<(), Error> {
    thread
        .join()
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// What the feeding thread says when another one failed, whose error is told instead.
fn stopped() -> Error {
    Error::Stopped {
        reason: "another part of the write failed".to_owned(),
    }
}

impl Line<'_> {
    /// Reads the served file to its end.
    fn feed(&self, body: Body<'_>, to_workers: SyncSender<Piece>) -> Result<Streamed, Error> {
        let Body {
            mut image,
            head,
            expected,
            ..
        } = body;
        // The digest of the served file proves the raw disk; hashing both would cost twice, and the raw disk in order.
        let mut raw_hash = (expected.digest.is_none() && expected.raw_digest.is_some()).then(Sha256::new);
        if let Some(hash) = &mut raw_hash {
            hash.update(head);
        }
        let mut raw_size = self.head;
        loop {
            let next = match &raw_hash {
                Some(_) => Next::InOrder(BLOCK),
                None => image.next()?,
            };
            let piece = match next {
                Next::Group(group, offset) => {
                    raw_size = offset + group.raw_length as u64;
                    Piece::Frames(group, offset)
                }
                Next::InOrder(most) => {
                    let mut buffer = self.pool.take().ok_or_else(stopped)?;
                    let length = image.read(buffer.bytes_mut(most.min(BLOCK)))?;
                    if length == 0 {
                        break;
                    }
                    if let Some(hash) = &mut raw_hash {
                        hash.update(buffer.bytes(length));
                    }
                    let offset = raw_size;
                    raw_size += length as u64;
                    Piece::Decoded(buffer, length, offset)
                }
            };
            check_size(self.target, raw_size)?;
            to_workers.send(piece).map_err(|_| stopped())?;
        }
        drop(to_workers);
        let totals = image.finish()?;
        check_outcome(expected, &totals, raw_size, raw_hash)?;
        self.substitutions.check_end(raw_size)?;
        Ok(Streamed { totals, raw_size })
    }

    /// Makes blocks of pieces.
    fn work(&self, pieces: &Mutex<Receiver<Piece>>, to_writer: &Sender<Filled>) -> Result<(), Error> {
        let mut decoder = Decompressor::new().map_err(|source| Error::Source { at: 0, source })?;
        let next = || pieces.lock().unwrap_or_else(PoisonError::into_inner).recv();
        while let Ok(piece) = next() {
            let (mut buffer, length, offset) = match piece {
                Piece::Decoded(buffer, length, offset) => (buffer, length, offset),
                Piece::Frames(group, offset) => {
                    let Some(mut buffer) = self.pool.take() else {
                        break;
                    };
                    let length = group.raw_length;
                    group
                        .decode(&mut decoder, buffer.bytes_mut(length))
                        .map_err(|source| Error::Source { at: offset, source })?;
                    (buffer, length, offset)
                }
            };
            self.substitutions.apply(buffer.bytes_mut(length), offset)?;
            if to_writer
                .send(Filled::new(buffer, length, offset, self.target.size()))
                .is_err()
            {
                break;
            }
        }
        Ok(())
    }

    fn write(&self, filled: &Receiver<Filled>, to_verifier: &Sender<Trace>) -> Result<(), Error> {
        let mut done = self.head;
        while let Ok(block) = filled.recv() {
            if self.pool.is_broken() {
                break;
            }
            self.gate.admit().map_err(|reason| Error::Stopped { reason })?;
            let bytes = block.buffer.bytes(block.trace.length);
            for stretch in &block.stretches {
                let offset = block.trace.offset + stretch.range.start as u64;
                let data = bytes.get(stretch.range.clone()).unwrap_or_default();
                if stretch.zero {
                    self.target.zero(offset, data.len() as u64).map_err(failed(
                        self.target,
                        "zeroing",
                        offset,
                    ))?;
                } else {
                    self.target
                        .write_at(data, offset)
                        .map_err(failed(self.target, "writing", offset))?;
                }
            }
            done += block.length as u64;
            self.gate.progress("writing", done, self.declared);
            self.pool.give(block.buffer);
            if to_verifier.send(block.trace).is_err() {
                break;
            }
        }
        Ok(())
    }

    fn read_back(&self, traces: &Receiver<Trace>) -> Result<(), Error> {
        let mut verified = self.head;
        let mut buffer = AlignedBuffer::new(BLOCK);
        let mut batches = read_back::Batches::new(traces);
        while let Some(batch) = batches.next() {
            sync(self.target)?;
            for trace in &batch.traces {
                if self.pool.is_broken() {
                    return Ok(());
                }
                read_back::check(self.target, trace, &mut buffer)?;
                verified += trace.length as u64;
                if batch.last {
                    let done = self.declared.map_or(verified, |all| verified.min(all));
                    self.gate.progress("reading back", done, self.declared);
                }
            }
        }
        Ok(())
    }
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

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Cursor;

    use super::*;
    use crate::{DiskTarget, Ungated};

    /// Frames of which some are quick to decode and some are not, so that they get ready out of order.
    fn raw() -> Vec<u8> {
        let mut raw = vec![0; 6 * BLOCK - 5000];
        for block in [0, 2, 3, 5] {
            for (at, byte) in raw.iter_mut().enumerate().skip(block * BLOCK).take(BLOCK / 2) {
                *byte = (at.wrapping_mul(2_654_435_761) >> 11) as u8;
            }
        }
        raw
    }

    #[test]
    fn any_number_of_processors_writes_the_same_disk() {
        let raw = raw();
        let file: Vec<u8> = raw
            .chunks(BLOCK)
            .flat_map(|piece| zstd::bulk::compress(piece, 1).unwrap())
            .collect();
        for processors in [0, 1, 2, 64] {
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path().join("disk");
            File::create(&path).unwrap().set_len(8 * BLOCK as u64).unwrap();
            let mut image = ImageReader::open(Cursor::new(file.clone())).unwrap();
            let mut head = vec![0; 1 << 20];
            image.read(&mut head).unwrap();
            let body = Body {
                image,
                head: &head,
                declared: None,
                expected: &Expected::default(),
                substitutions: &Substitutions::default(),
            };
            let target = DiskTarget::open(&path).unwrap();
            let streamed = write_body(body, &target, &Ungated, processors).unwrap();
            assert_eq!(streamed.raw_size, raw.len() as u64);
            assert_eq!(streamed.totals.size, file.len() as u64);
            let found = std::fs::read(&path).unwrap();
            assert!(
                found[head.len()..raw.len()] == raw[head.len()..],
                "{processors} processors"
            );
        }
    }
}
