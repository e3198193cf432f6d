//! The identities of a written disk: the image's own GUIDs, or new ones, with every reference in the image rewritten.
//!
//! A reference is text of fixed length in a file of the image, so it is replaced while the image streams by. No file
//! system is mounted for it, what is read back is what was meant to be written, and a finished disk can be recognised by
//! putting the image's own text back before hashing.

use std::ops::Range;

use resources::GuidReference;

use crate::Error;
use crate::gpt::{Table, guid_text};

/// Which GUIDs disk and partitions get.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Identities<'a> {
    /// The image's own: something in it may refer to them.
    Keep,
    /// New ones.
    Renew {
        /// The same seed gives the same GUIDs, so a repeated write changes nothing.
        seed: &'a [u8],
        /// Every place in the image that refers to a partition.
        references: &'a [GuidReference],
    },
}

impl<'a> Identities<'a> {
    pub(crate) const fn seed(self) -> Option<&'a [u8]> {
        match self {
            Self::Keep => None,
            Self::Renew { seed, .. } => Some(seed),
        }
    }
}

/// Length of a GUID as text.
const TEXT: usize = 36;

/// One reference with what stands there in the image and what stands there on the disk.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Substitution {
    reference: GuidReference,
    image: [u8; TEXT],
    disk: [u8; TEXT],
}

/// What is replaced on the way from the image to the disk.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Substitutions(Vec<Substitution>);

impl Substitutions {
    /// # Errors
    /// When a reference is to a partition that the table does not have.
    pub(crate) fn new(table: Option<&Table>, identities: Identities<'_>) -> Result<Self, Error> {
        let Identities::Renew { seed, references } = identities else {
            return Ok(Self::default());
        };
        let substitution = |reference: &GuidReference| {
            let (image, disk) = table?.renewed(reference.partition, seed)?;
            Some(Substitution {
                reference: *reference,
                image: guid_text(&image).into_bytes().try_into().ok()?,
                disk: guid_text(&disk).into_bytes().try_into().ok()?,
            })
        };
        references
            .iter()
            .map(|reference| substitution(reference).ok_or_else(|| wrong(*reference)))
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// Replaces what lies in `block`, whose first byte is byte `at` of the raw disk.
    ///
    /// # Errors
    /// When something else stands where the image must have a GUID.
    pub(crate) fn apply(&self, block: &mut [u8], at: u64) -> Result<(), Error> {
        self.0
            .iter()
            .find(|substitution| !replace(block, at, substitution, &substitution.image, &substitution.disk))
            .map_or(Ok(()), |substitution| Err(wrong(substitution.reference)))
    }

    /// Puts back what the image has. False when the block is not what [`Substitutions::apply`] gives.
    pub(crate) fn undo(&self, block: &mut [u8], at: u64) -> bool {
        self.0
            .iter()
            .all(|substitution| replace(block, at, substitution, &substitution.disk, &substitution.image))
    }

    /// # Errors
    /// When a reference lies beyond the end of the image.
    pub(crate) fn check_end(&self, raw_size: u64) -> Result<(), Error> {
        let beyond = |substitution: &&Substitution| {
            substitution.reference.offset.saturating_add(TEXT as u64) > raw_size
        };
        self.0
            .iter()
            .find(beyond)
            .map_or(Ok(()), |substitution| Err(wrong(substitution.reference)))
    }
}

const fn wrong(reference: GuidReference) -> Error {
    Error::GuidReference {
        partition: reference.partition,
        offset: reference.offset,
    }
}

/// Replaces the part of a reference that lies in the block. False when another text than `from` stands there.
fn replace(
    block: &mut [u8],
    at: u64,
    substitution: &Substitution,
    from: &[u8; TEXT],
    to: &[u8; TEXT],
) -> bool {
    let Some((in_block, in_text)) = overlap(at, block.len(), substitution.reference.offset) else {
        return true;
    };
    let (Some(place), Some(from), Some(to)) = (
        block.get_mut(in_block),
        from.get(in_text.clone()),
        to.get(in_text),
    ) else {
        return false;
    };
    if place != from {
        return false;
    }
    place.copy_from_slice(to);
    true
}

/// Where a text at `offset` and a block at `at` meet, as a range of each.
fn overlap(at: u64, length: usize, offset: u64) -> Option<(Range<usize>, Range<usize>)> {
    let start = at.max(offset);
    let end = at
        .saturating_add(length as u64)
        .min(offset.saturating_add(TEXT as u64));
    let within = |base: u64| {
        let from = usize::try_from(start.checked_sub(base)?).ok()?;
        let to = usize::try_from(end.checked_sub(base)?).ok()?;
        (from < to).then_some(from..to)
    };
    Some((within(at)?, within(offset)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn substitutions(offset: u64) -> Substitutions {
        Substitutions(vec![Substitution {
            reference: GuidReference { partition: 2, offset },
            image: [b'i'; TEXT],
            disk: [b'd'; TEXT],
        }])
    }

    #[test]
    fn a_reference_is_replaced_wherever_the_blocks_are_cut() {
        let mut image = vec![b'.'; 300];
        image[100..100 + TEXT].fill(b'i');
        let mut disk = vec![b'.'; 300];
        disk[100..100 + TEXT].fill(b'd');
        for length in 1..300 {
            let mut blocks = image.clone();
            for (index, block) in blocks.chunks_mut(length).enumerate() {
                substitutions(100).apply(block, (index * length) as u64).unwrap();
            }
            assert_eq!(blocks, disk, "blocks of {length}");
            for (index, block) in blocks.chunks_mut(length).enumerate() {
                assert!(substitutions(100).undo(block, (index * length) as u64));
            }
            assert_eq!(blocks, image, "blocks of {length}");
        }
    }

    #[test]
    fn another_text_is_an_error_and_leaves_the_block_alone() {
        let mut block = vec![b'i'; 300];
        block[120] = b'x';
        let before = block.clone();
        let error = substitutions(100).apply(&mut block, 0).unwrap_err().to_string();
        assert!(
            error.contains("partition 2") && error.contains("byte 100"),
            "{error}"
        );
        assert!(!substitutions(100).undo(&mut block, 0));
        assert_eq!(block, before);
    }

    #[test]
    fn a_reference_must_lie_inside_the_image() {
        assert!(substitutions(100).check_end(136).is_ok());
        assert!(substitutions(100).check_end(135).is_err());
    }
}
