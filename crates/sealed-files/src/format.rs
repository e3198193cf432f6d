//! How a file is laid out. Pure.
//!
//! A header of 32 bytes (16 of [`MAGIC`], 16 of the file's random id), then frames: a chunk of [`CHUNK`] plain bytes each,
//! sealed; the last one is shorter or as long. There is at least one, which may be empty.

use crate::Sealer;
use crate::name::Name;

/// Plain bytes of every chunk but the last.
pub(crate) const CHUNK: usize = 1 << 20;
/// First bytes of each file, with the version of this format.
const MAGIC: &[u8; 16] = b"gantry-sealed-1\n";
/// Bytes before the first frame.
pub(crate) const HEADER: usize = 32;

/// What ties the chunks of one file together.
#[derive(Debug, Clone)]
pub(crate) struct Identity {
    name: Name,
    id: [u8; 16],
}

impl Identity {
    pub(crate) fn new(name: Name) -> Self {
        let id = rand::random();
        Self { name, id }
    }

    pub(crate) fn header(&self) -> [u8; HEADER] {
        let mut header = [0; HEADER];
        let (magic, id) = header.split_at_mut(MAGIC.len());
        magic.copy_from_slice(MAGIC);
        id.copy_from_slice(&self.id);
        header
    }

    /// None when the header is not of this format.
    pub(crate) fn read(name: Name, header: &[u8; HEADER]) -> Option<Self> {
        let id = header.strip_prefix(MAGIC.as_slice())?.try_into().ok()?;
        Some(Self { name, id })
    }

    /// What a chunk is sealed for.
    pub(crate) fn context(&self, index: u64, last: bool) -> String {
        let end = if last { "last" } else { "more" };
        format!(
            "sealed-files/{}/{}/{index}/{end}",
            self.name.as_str(),
            hex::encode(self.id)
        )
    }
}

/// The frames of a file, by its length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Frames {
    pub(crate) count: u64,
    /// Bytes of each frame but the last.
    pub(crate) full: usize,
    /// Bytes of the last.
    pub(crate) last: usize,
    /// Plain bytes of all.
    pub(crate) size: u64,
}

impl Frames {
    /// None when no file of this format has that length.
    pub(crate) fn of(length: u64, sealer: &dyn Sealer) -> Option<Self> {
        let overhead = sealer.overhead();
        let full = CHUNK + overhead;
        let body = length.checked_sub(HEADER as u64)?;
        let count = body.div_ceil(full as u64);
        let before = count.checked_sub(1)?;
        let last = usize::try_from(body - before * full as u64).ok()?;
        let size = before * CHUNK as u64 + last.checked_sub(overhead)? as u64;
        // An empty chunk stands only where there is no other.
        (last > overhead || count == 1).then_some(Self {
            count,
            full,
            last,
            size,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SealError;

    #[derive(Debug)]
    struct Overhead;

    impl Sealer for Overhead {
        fn overhead(&self) -> usize {
            28
        }

        fn seal(&self, _: &[u8], _: &str) -> Result<Vec<u8>, SealError> {
            Err(SealError)
        }

        fn open(&self, _: &[u8], _: &str) -> Result<Vec<u8>, SealError> {
            Err(SealError)
        }
    }

    #[test]
    fn the_length_of_a_file_is_that_of_what_it_holds() {
        let (header, chunk) = (HEADER as u64, CHUNK as u64);
        for (length, expected) in [
            (0, None),
            (header, None),
            (header + 27, None),
            (header + 28, Some((1, 0))),
            (header + 28 + 1, Some((1, 1))),
            (header + 28 + chunk, Some((1, chunk))),
            (header + 28 + chunk + 1, None),
            (header + 28 + chunk + 28, None),
            (header + 28 + chunk + 29, Some((2, chunk + 1))),
            (header + 2 * (28 + chunk), Some((2, 2 * chunk))),
        ] {
            let found = Frames::of(length, &Overhead).map(|frames| (frames.count, frames.size));
            assert_eq!(found, expected, "{length}");
        }
    }

    #[test]
    fn a_header_is_read_as_it_was_written() {
        let name = || Name::new("a/b").unwrap();
        let identity = Identity::new(name());
        let mut header = identity.header();
        let read = Identity::read(name(), &header).unwrap();
        assert_eq!(read.context(3, true), identity.context(3, true));
        header[0] ^= 1;
        assert!(Identity::read(name(), &header).is_none());
    }
}
