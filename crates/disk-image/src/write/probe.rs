//! Whether a disk holds the image already. Needed after a restart between the end of a write and its report.

use resources::Digest;
use sha2::{Digest as _, Sha256};

use super::disk::failed;
use super::expected::Expected;
use super::gate::Gate;
use super::window::holds;
use crate::Error;
use crate::gpt::Relocated;
use crate::identities::Substitutions;
use crate::target::Target;

const STEP: usize = 4 << 20;

/// What is known of the image before it is read.
pub(super) struct ImageSide<'a> {
    /// Its first bytes.
    pub(super) head: &'a [u8],
    pub(super) expected: &'a Expected,
    pub(super) substitutions: &'a Substitutions,
}

/// Size of the raw disk if every byte of it is right. The cheap question comes first: is the head, which is written
/// last, in place? What has no digest from a trusted place can't be found right.
pub(super) fn already_there(
    target: &dyn Target,
    image: &ImageSide<'_>,
    placed: &Relocated,
    gate: &dyn Gate,
) -> Result<Option<u64>, Error> {
    let (Some(raw_digest), Some(raw_size)) = (image.expected.raw_digest, image.expected.raw_size) else {
        return Ok(None);
    };
    if !holds(target, &placed.head, 0)? || !holds(target, &placed.backup, placed.backup_at)? {
        return Ok(None);
    }
    if raw_size > placed.backup_at {
        // The disk's own second table lies over the image's last sectors; a write is the simpler proof.
        return Ok(None);
    }
    let mut hash = Sha256::new();
    hash.update(image.head);
    let mut at = image.head.len() as u64;
    let mut buffer = super::block::AlignedBuffer::new(STEP);
    while at < raw_size {
        gate.admit().map_err(|reason| Error::Stopped { reason })?;
        let length = usize::try_from(raw_size - at).unwrap_or(STEP).min(STEP);
        let piece = buffer.bytes_mut(length);
        target.read_at(piece, at).map_err(failed(target, "reading", at))?;
        if !image.substitutions.undo(piece, at) {
            return Ok(None);
        }
        hash.update(piece);
        at += length as u64;
        gate.progress("checking what is there", at, Some(raw_size));
    }
    Ok((Digest::new(hash.finalize().into()) == raw_digest).then_some(raw_size))
}
