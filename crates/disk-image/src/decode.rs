//! From the served file to the raw disk, as a stream, with size and digest of the served file counted on the way.

mod frames;

use std::io::{self, Read};
use std::sync::{Arc, Mutex, PoisonError};

use lzma_rust2::XzReader;
use resources::{Compression, Digest};
use sha2::{Digest as _, Sha256};
use zstd::bulk::Decompressor;

use self::frames::{Cut, Frames};
use crate::Error;
use crate::format::{PROBE, detect};

pub(crate) use self::frames::{FrameGroup, GROUP};

/// KiB that decoding xz may take: `xz -9` needs 65 MiB.
const XZ_MEMORY: u32 = 128 << 10;

/// Size and digest of the served file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamTotals {
    /// Bytes.
    pub size: u64,
    /// Digest.
    pub digest: Digest,
}

/// Reads the raw disk out of a served file.
pub struct ImageReader {
    raw: Raw,
    compression: Compression,
    tally: Arc<Mutex<Tally>>,
    decoded: u64,
}

/// Where the raw disk comes from.
enum Raw {
    /// Bytes in order.
    Stream(Box<dyn Read + Send>),
    /// zstd frames.
    Frames {
        frames: Frames,
        /// A decoded group of them, of which some was read.
        decoded: Vec<u8>,
        read: usize,
    },
}

/// What [`ImageReader::next`] finds.
pub(crate) enum Next {
    /// Frames that can be decoded elsewhere, and the byte of the raw disk where they belong.
    Group(FrameGroup, u64),
    /// At most so many bytes for [`ImageReader::read`].
    InOrder(usize),
}

impl std::fmt::Debug for ImageReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ImageReader")
            .field("compression", &self.compression)
            .field("decoded", &self.decoded)
            .finish_non_exhaustive()
    }
}

#[derive(Default)]
struct Tally {
    size: u64,
    hash: Sha256,
}

/// Counts and hashes what passes.
struct Tallied<R> {
    source: R,
    tally: Arc<Mutex<Tally>>,
}

impl<R: Read> Read for Tallied<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.source.read(buffer)?;
        let mut tally = self.tally.lock().unwrap_or_else(PoisonError::into_inner);
        tally.size += length as u64;
        tally.hash.update(buffer.get(..length).unwrap_or_default());
        Ok(length)
    }
}

impl ImageReader {
    /// Looks at the first bytes of `source` and sets up its decoder.
    ///
    /// # Errors
    /// When the source can't be read, is empty or of a format that is not taken.
    pub fn open(source: impl Read + Send + 'static) -> Result<Self, Error> {
        let tally = Arc::new(Mutex::new(Tally::default()));
        let mut source = Tallied {
            source,
            tally: Arc::clone(&tally),
        };
        let mut head = vec![0; PROBE];
        let length = fill(&mut source, &mut head).map_err(|source| Error::Source { at: 0, source })?;
        head.truncate(length);
        let compression = detect(&head)?;
        let whole = io::Cursor::new(head).chain(source);
        let buffered = |whole| io::BufReader::with_capacity(256 * 1024, whole);
        let raw = match compression {
            Compression::Raw => Raw::Stream(Box::new(buffered(whole))),
            Compression::Gzip => Raw::Stream(Box::new(flate2::bufread::MultiGzDecoder::new(buffered(whole)))),
            Compression::Xz => Raw::Stream(Box::new(XzReader::new_mem_limit(
                buffered(whole),
                true,
                XZ_MEMORY,
            ))),
            Compression::Zstd => Raw::Frames {
                frames: Frames::new(Box::new(whole)),
                decoded: Vec::new(),
                read: 0,
            },
        };
        Ok(Self {
            raw,
            compression,
            tally,
            decoded: 0,
        })
    }

    /// How the served file is compressed.
    #[must_use]
    pub const fn compression(&self) -> Compression {
        self.compression
    }

    /// Bytes of the served file read so far.
    #[must_use]
    pub fn consumed(&self) -> u64 {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner).size
    }

    /// Fills `buffer` with the next bytes of the raw disk; fewer only at its end.
    ///
    /// # Errors
    /// When the source breaks or is damaged; a file that stops in the middle is damaged.
    pub fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Error> {
        let length = fill(&mut self.raw, buffer).map_err(|source| Error::Source {
            at: self.decoded,
            source,
        })?;
        self.decoded += length as u64;
        Ok(length)
    }

    /// What to do for the next bytes of the raw disk.
    ///
    /// # Errors
    /// When the source breaks.
    pub(crate) fn next(&mut self) -> Result<Next, Error> {
        let at = self.decoded;
        let group = self.raw.group().map_err(|source| Error::Source { at, source })?;
        Ok(match (group, &self.raw) {
            (Some(group), _) => {
                self.decoded += group.raw_length as u64;
                Next::Group(group, at)
            }
            (None, Raw::Frames { decoded, read, .. }) => Next::InOrder(decoded.len() - read),
            (None, Raw::Stream(_)) => Next::InOrder(usize::MAX),
        })
    }

    /// Size and digest of the whole served file; call it when [`ImageReader::read`] has come to the end.
    ///
    /// # Errors
    /// When bytes behind the end of the raw disk can't be read.
    pub fn finish(mut self) -> Result<StreamTotals, Error> {
        io::copy(&mut self.raw, &mut io::sink()).map_err(|source| Error::Source {
            at: self.decoded,
            source,
        })?;
        let tally = std::mem::take(&mut *self.tally.lock().unwrap_or_else(PoisonError::into_inner));
        Ok(StreamTotals {
            size: tally.size,
            digest: Digest::new(tally.hash.finalize().into()),
        })
    }
}

impl Raw {
    /// The next group of frames. `None` when bytes of the last one are unread, at the end, and when the rest of the file
    /// must be decoded in order.
    fn group(&mut self) -> io::Result<Option<FrameGroup>> {
        let Self::Frames {
            frames,
            decoded,
            read,
        } = self
        else {
            return Ok(None);
        };
        if *read < decoded.len() {
            return Ok(None);
        }
        (*decoded, *read) = (Vec::new(), 0);
        match frames.next()? {
            Cut::Group(group) => Ok(Some(group)),
            Cut::End => Ok(None),
            Cut::Irregular => {
                let ended = Frames::new(Box::new(io::empty()));
                let rest = std::mem::replace(frames, ended).into_rest();
                let buffered = io::BufReader::with_capacity(256 * 1024, rest);
                let mut decoder = zstd::stream::read::Decoder::with_buffer(buffered)?;
                // `zstd --long` up to 2 GiB of window would need as much memory here; 128 MiB is what `zstd -d` takes.
                decoder.window_log_max(27)?;
                *self = Self::Stream(Box::new(decoder));
                Ok(None)
            }
        }
    }
}

impl Read for Raw {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if let Some(group) = self.group()? {
            let mut decoder = Decompressor::new()?;
            if let Some(place) = buffer.get_mut(..group.raw_length) {
                group.decode(&mut decoder, place)?;
                return Ok(group.raw_length);
            }
            let mut raw = vec![0; group.raw_length];
            group.decode(&mut decoder, &mut raw)?;
            if let Self::Frames { decoded, .. } = self {
                *decoded = raw;
            }
        }
        match self {
            Self::Stream(stream) => stream.read(buffer),
            Self::Frames { decoded, read, .. } => {
                let length = decoded.get(*read..).unwrap_or_default().read(buffer)?;
                *read += length;
                Ok(length)
            }
        }
    }
}

fn fill(source: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut length = 0;
    while let Some(rest) = buffer.get_mut(length..).filter(|rest| !rest.is_empty()) {
        match source.read(rest) {
            Ok(0) => break,
            Ok(more) => length += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(length)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn gzip(data: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(data).unwrap();
        encoder.finish().unwrap()
    }

    fn xz(data: &[u8]) -> Vec<u8> {
        let options = lzma_rust2::XzOptions::with_preset(1);
        let mut encoder = lzma_rust2::XzWriter::new(Vec::new(), options).unwrap();
        encoder.write_all(data).unwrap();
        encoder.finish().unwrap()
    }

    fn read_all(file: Vec<u8>) -> Result<(Vec<u8>, StreamTotals), Error> {
        let mut reader = ImageReader::open(io::Cursor::new(file))?;
        let mut raw = Vec::new();
        let mut buffer = vec![0; 1000];
        loop {
            let length = reader.read(&mut buffer)?;
            raw.extend_from_slice(&buffer[..length]);
            if length < buffer.len() {
                return Ok((raw, reader.finish()?));
            }
        }
    }

    fn data() -> Vec<u8> {
        (0..200_000_u32).flat_map(|n| (n % 977).to_le_bytes()).collect()
    }

    #[test]
    fn every_format_gives_the_same_disk() {
        let mut two_frames = zstd::encode_all(&data()[..400_000], 3).unwrap();
        two_frames.extend(zstd::encode_all(&data()[400_000..], 3).unwrap());
        let mut two_members = gzip(&data()[..400_000]);
        two_members.extend(gzip(&data()[400_000..]));
        let mut two_streams = xz(&data()[..400_000]);
        two_streams.extend(xz(&data()[400_000..]));
        for file in [
            data(),
            gzip(&data()),
            zstd::encode_all(&data()[..], 3).unwrap(),
            xz(&data()),
            two_frames,
            two_members,
            two_streams,
        ] {
            let expected = StreamTotals {
                size: file.len() as u64,
                digest: Digest::new(Sha256::digest(&file).into()),
            };
            assert_eq!(read_all(file).unwrap(), (data(), expected));
        }
    }

    #[test]
    fn a_cut_file_is_an_error() {
        for mut file in [
            gzip(&data()),
            xz(&data()),
            zstd::encode_all(&data()[..], 3).unwrap(),
        ] {
            file.truncate(file.len() - 5);
            let error = read_all(file).unwrap_err();
            assert!(error.is_retryable(), "{error}");
        }
    }
}
