//! Cuts a zstd file into groups of frames that can be decoded without each other (RFC 8878, 3.1).
//!
//! Frames are independent, so several decoders can work on one file if the size of what each frame holds is known before
//! it is decoded. [`Frames`] takes that from the headers of the frames and finds their ends by the headers of their
//! blocks. It only finds borders: whether a frame is right is the decoder's question. Whatever it does not know how to
//! cut is [`Cut::Irregular`], and then one decoder has to read the rest of the file in order.
#![deny(clippy::arithmetic_side_effects, clippy::indexing_slicing)]

use std::io::{self, Read};

use zstd::bulk::Decompressor;
use zstd::zstd_safe;

/// The most that the frames of a group hold, decoded.
pub(crate) const GROUP: usize = 4 << 20;
/// The most that a group takes in the file: what does not get smaller by compression, with a little for headers.
const LARGEST: usize = GROUP + (GROUP >> 6);
/// Groups have to begin at multiples of this in the raw disk, so that a disk can take them without a copy.
const ALIGNMENT: usize = 4096;
/// Bytes read at a time.
const STEP: usize = 128 << 10;
/// The longest header of a frame.
const HEADER: usize = 18;

/// Frames that follow each other.
pub(crate) struct FrameGroup {
    bytes: Vec<u8>,
    frames: Vec<Frame>,
    /// Bytes that the frames hold.
    pub(crate) raw_length: usize,
    /// Byte of the file at which the first one begins.
    at: u64,
}

/// Lengths of one frame.
struct Frame {
    compressed: usize,
    raw: usize,
}

impl FrameGroup {
    /// Decodes all of them into the first [`FrameGroup::raw_length`] bytes of `raw`.
    ///
    /// # Errors
    /// When a frame is damaged; the message names it by its place in the file.
    pub(crate) fn decode(&self, decoder: &mut Decompressor<'_>, raw: &mut [u8]) -> io::Result<()> {
        let (mut bytes, mut raw) = (&*self.bytes, raw);
        let mut at = self.at;
        for frame in &self.frames {
            let damaged = |reason: &str| {
                let message = format!("the zstd frame at byte {at} of the file is damaged: {reason}");
                io::Error::new(io::ErrorKind::InvalidData, message)
            };
            let (Some((this, next)), Some((place, rest))) = (
                bytes.split_at_checked(frame.compressed),
                std::mem::take(&mut raw).split_at_mut_checked(frame.raw),
            ) else {
                return Err(damaged("it is cut off"));
            };
            match decoder.decompress_to_buffer(this, place) {
                Ok(length) if length == frame.raw => {}
                Ok(length) => {
                    let reason = format!("it holds {length} bytes and tells {}", frame.raw);
                    return Err(damaged(&reason));
                }
                Err(error) => return Err(damaged(&error.to_string())),
            }
            at = at.saturating_add(frame.compressed as u64);
            (bytes, raw) = (next, rest);
        }
        Ok(())
    }
}

/// What comes next in a file.
pub(super) enum Cut {
    /// Frames to decode on their own.
    Group(FrameGroup),
    /// Something to decode in order, to the end of the file; [`Frames::into_rest`] has its bytes.
    Irregular,
    /// Nothing.
    End,
}

/// The rest of a zstd file.
pub(super) struct Frames {
    source: Box<dyn Read + Send>,
    /// Read and not yet part of a group.
    bytes: Vec<u8>,
    /// Byte of the file at which they begin.
    at: u64,
    ended: bool,
}

impl Frames {
    /// `source` is at the beginning of the file.
    pub(super) fn new(source: Box<dyn Read + Send>) -> Self {
        Self {
            source,
            bytes: Vec::new(),
            at: 0,
            ended: false,
        }
    }

    /// # Errors
    /// When the source can't be read.
    pub(super) fn next(&mut self) -> io::Result<Cut> {
        let mut frames = Vec::new();
        let (mut length, mut raw_length) = (0_usize, 0_usize);
        while raw_length < GROUP && self.has(length.saturating_add(1))? {
            let Some((raw, header)) = self.header(length)? else {
                return Ok(Cut::Irregular);
            };
            let more = raw_length.saturating_add(raw);
            if more > GROUP {
                // Only whole blocks of a disk can be written without the next group.
                if raw_length == 0 || !raw_length.is_multiple_of(ALIGNMENT) {
                    return Ok(Cut::Irregular);
                }
                break;
            }
            let Some(end) = self.end(length, header)? else {
                return Ok(Cut::Irregular);
            };
            frames.push(Frame {
                compressed: end.saturating_sub(length),
                raw,
            });
            (length, raw_length) = (end, more);
        }
        if raw_length == 0 {
            return Ok(if length == 0 { Cut::End } else { Cut::Irregular });
        }
        let mut rest = Vec::with_capacity(length.saturating_add(STEP));
        rest.extend_from_slice(self.bytes.get(length..).unwrap_or_default());
        self.bytes.truncate(length);
        let group = FrameGroup {
            bytes: std::mem::replace(&mut self.bytes, rest),
            frames,
            raw_length,
            at: self.at,
        };
        self.at = self.at.saturating_add(length as u64);
        Ok(Cut::Group(group))
    }

    /// Everything that is in no group.
    pub(super) fn into_rest(self) -> impl Read + Send {
        io::Cursor::new(self.bytes).chain(self.source)
    }

    /// Reads until there are so many bytes. False when the file ends before.
    fn has(&mut self, wanted: usize) -> io::Result<bool> {
        while self.bytes.len() < wanted && !self.ended {
            let filled = self.bytes.len();
            self.bytes.resize(filled.saturating_add(STEP), 0);
            let read = self.source.read(self.bytes.get_mut(filled..).unwrap_or_default());
            let length = read.as_ref().copied().unwrap_or(0);
            self.bytes.truncate(filled.saturating_add(length));
            match read {
                Ok(0) => self.ended = true,
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(self.bytes.len() >= wanted)
    }

    /// How much the frame that begins at `start` holds, and where its first block begins. `None` when it does not tell.
    fn header(&mut self, start: usize) -> io::Result<Option<(usize, usize)>> {
        // At the end of the file there may be less than the longest header.
        self.has(start.saturating_add(HEADER))?;
        let header = self.bytes.get(start..).unwrap_or_default();
        let [0x28, 0xb5, 0x2f, 0xfd, descriptor, ..] = *header else {
            return Ok(None);
        };
        let Ok(Some(raw)) = zstd_safe::get_frame_content_size(header) else {
            return Ok(None);
        };
        let single_segment = descriptor & 0x20 != 0;
        let size_field = match descriptor >> 6 {
            0 => usize::from(single_segment),
            1 => 2,
            2 => 4,
            _ => 8,
        };
        let window = usize::from(!single_segment);
        let dictionary = match descriptor & 3 {
            3 => 4,
            other => usize::from(other),
        };
        let fields = [start, 5, window, dictionary, size_field];
        let blocks = fields.into_iter().fold(0_usize, usize::saturating_add);
        Ok(usize::try_from(raw).ok().map(|raw| (raw, blocks)))
    }

    /// Where the frame that begins at `start` ends, found by the headers of its blocks, the first of which is at `block`.
    fn end(&mut self, start: usize, mut block: usize) -> io::Result<Option<usize>> {
        let has_checksum = self
            .bytes
            .get(start.saturating_add(4))
            .is_some_and(|descriptor| descriptor & 4 != 0);
        loop {
            let content = block.saturating_add(3);
            if content > LARGEST || !self.has(content)? {
                return Ok(None);
            }
            let Some(&[low, middle, high]) = self.bytes.get(block..content) else {
                return Ok(None);
            };
            let header = u32::from_le_bytes([low, middle, high, 0]);
            let length = match header >> 1 & 3 {
                0 | 2 => usize::try_from(header >> 3).unwrap_or(usize::MAX),
                1 => 1,
                _ => return Ok(None),
            };
            block = content.saturating_add(length);
            if header & 1 == 0 {
                continue;
            }
            let end = block.saturating_add(if has_checksum { 4 } else { 0 });
            return Ok((end <= LARGEST && self.has(end)?).then_some(end));
        }
    }
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, clippy::indexing_slicing)]
mod tests {
    use super::*;

    fn frames(file: &[u8]) -> Frames {
        Frames::new(Box::new(io::Cursor::new(file.to_vec())))
    }

    /// Raw lengths of the groups in front of what has to be decoded in order, and whether there is such a rest.
    fn cut(file: &[u8]) -> (Vec<usize>, bool) {
        let mut frames = frames(file);
        let mut lengths = Vec::new();
        loop {
            match frames.next().unwrap() {
                Cut::Group(group) => {
                    assert!(group.bytes.len() <= LARGEST);
                    lengths.push(group.raw_length);
                }
                Cut::Irregular => return (lengths, true),
                Cut::End => return (lengths, false),
            }
        }
    }

    fn noise(length: usize) -> Vec<u8> {
        let mut state = 1_u32;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        };
        (0..length).map(|_| next()).collect()
    }

    fn frame(raw: &[u8]) -> Vec<u8> {
        zstd::bulk::compress(raw, 1).unwrap()
    }

    #[test]
    fn groups_are_whole_frames_up_to_their_limit() {
        let (small, large) = (frame(&noise(1 << 20)), frame(&[7; GROUP]));
        assert_eq!(cut(&[&*large, &large].concat()), (vec![GROUP, GROUP], false));
        assert_eq!(cut(&small.repeat(9)), (vec![GROUP, GROUP, 1 << 20], false));
        assert_eq!(
            cut(&[small.repeat(3), large].concat()),
            (vec![3 << 20, GROUP], false)
        );
        assert_eq!(
            cut(&frame(&noise(GROUP))),
            (vec![GROUP], false),
            "not made smaller"
        );
        assert_eq!(
            cut(&frame(&noise(777))),
            (vec![777], false),
            "the last one has any length"
        );
        assert_eq!(cut(&[]), (vec![], false));
    }

    #[test]
    fn what_can_not_be_cut_is_left_to_one_decoder() {
        let good = frame(&[7; GROUP]);
        let unknown_size = zstd::stream::encode_all(&noise(5000)[..], 1).unwrap();
        let odd = frame(&noise(777));
        let mut reserved_block = frame(&noise(5000));
        let at = reserved_block.len() - 5000 - 3;
        reserved_block[at] |= 6;
        let skippable = [&[0x50, 0x2a, 0x4d, 0x18, 1, 0, 0, 0, 9][..], &good].concat();
        let cases = [
            ("a size that is not told", unknown_size),
            ("a frame above the limit", frame(&vec![7; GROUP + 1])),
            (
                "a group that ends inside a block of the disk",
                [&*odd, &good].concat(),
            ),
            ("a skippable frame", skippable),
            ("an empty frame", frame(&[])),
            ("a reserved block", reserved_block),
            ("no frame", b"0123456789".to_vec()),
            ("a cut frame", good[..good.len() - 1].to_vec()),
            ("a cut header", good[..5].to_vec()),
        ];
        for (name, bad) in cases {
            assert_eq!(cut(&bad), (vec![], true), "{name}");
            assert_eq!(
                cut(&[&*good, &bad].concat()),
                (vec![GROUP], true),
                "{name} after a good one"
            );
            let mut rest = Vec::new();
            let mut cutter = frames(&[&*good, &bad].concat());
            while let Cut::Group(_) = cutter.next().unwrap() {}
            cutter.into_rest().read_to_end(&mut rest).unwrap();
            assert_eq!(rest, bad, "{name}: nothing is lost");
        }
    }

    #[test]
    fn blocks_without_end_do_not_fill_the_memory() {
        // A frame that tells 4 MiB and goes on with empty raw blocks.
        let mut file = frame(&[7; GROUP])[..9].to_vec();
        file.resize(3 * LARGEST, 0);
        let mut cutter = frames(&file);
        assert!(matches!(cutter.next().unwrap(), Cut::Irregular));
        assert!(cutter.bytes.len() <= LARGEST + STEP);
    }

    #[test]
    fn a_damaged_frame_is_named() {
        let mut compressor = zstd::bulk::Compressor::new(1).unwrap();
        compressor.include_checksum(true).unwrap();
        let mut checked = |n: usize| compressor.compress(&noise((1 << 20) - 4096 * n)).unwrap();
        let parts: Vec<_> = (0..4).map(&mut checked).collect();
        let mut file = parts.concat();
        let bad = parts[0].len() + parts[1].len();
        file[bad + parts[2].len() - 1] ^= 1;
        let Cut::Group(group) = frames(&file).next().unwrap() else {
            panic!("no group");
        };
        let mut decoder = Decompressor::new().unwrap();
        let error = group.decode(&mut decoder, &mut vec![0; GROUP]).unwrap_err();
        assert!(error.to_string().contains(&format!("byte {bad} of")), "{error}");
    }

    #[test]
    fn any_change_of_a_byte_is_cut_or_refused() {
        let file = frame(&noise(3000)).repeat(2);
        let mut decoder = Decompressor::new().unwrap();
        let mut raw = vec![0; GROUP];
        for at in 0..40 {
            for bit in 0..8 {
                let mut changed = file.clone();
                changed[at] ^= 1 << bit;
                let mut cutter = frames(&changed);
                while let Cut::Group(group) = cutter.next().unwrap() {
                    assert!(group.raw_length <= GROUP && group.bytes.len() <= LARGEST);
                    let _ = group.decode(&mut decoder, &mut raw);
                }
            }
        }
    }
}
