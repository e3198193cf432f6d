//! A digest of both ends of a disk: there lie partition tables and their copies, and what LVM, md and ZFS know of their members.
//! That a disk still has the digest that it had shows that nobody has partitioned it or made a volume of it.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use resources::Digest;
use sha2::{Digest as _, Sha256};

/// Bytes at either end.
const END: u64 = 1 << 20;

/// SHA-256 of the first and the last MiB of a device of `size` bytes, or of all of it where that is less; `None` when they can't
/// be read.
pub(super) fn ends_digest(device: &Path, size: u64) -> Option<Digest> {
    let file = File::open(device).ok()?;
    let mut hash = Sha256::new();
    let first = size.min(END);
    for (from, length) in [(0, first), (size.saturating_sub(END).max(first), END)] {
        let length = length.min(size.saturating_sub(from));
        let mut bytes = vec![0; usize::try_from(length).ok()?];
        file.read_exact_at(&mut bytes, from).ok()?;
        hash.update(&bytes);
    }
    Some(Digest::new(hash.finalize().into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn disk(size: u64, changed: Option<u64>) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(size).unwrap();
        if let Some(at) = changed {
            file.as_file().write_all_at(&[1], at).unwrap();
        }
        file
    }

    #[test]
    fn a_change_at_either_end_shows() {
        for size in [1, MIB - 1, MIB, MIB + 1, 2 * MIB, 2 * MIB + 1, 5 * MIB] {
            let digest = |changed| ends_digest(disk(size, changed).path(), size).unwrap();
            let before = digest(None);
            assert_eq!(digest(None), before);
            for at in [
                0,
                size.min(MIB) - 1,
                size.saturating_sub(MIB).min(size - 1),
                size - 1,
            ] {
                assert_ne!(digest(Some(at)), before, "byte {at} of {size}");
            }
        }
        let middle = ends_digest(disk(5 * MIB, Some(2 * MIB)).path(), 5 * MIB);
        assert_eq!(
            middle,
            ends_digest(disk(5 * MIB, None).path(), 5 * MIB),
            "no claim is made for the middle"
        );
    }

    #[test]
    fn nothing_is_said_of_what_cannot_be_read() {
        assert_eq!(ends_digest(Path::new("/nonexistent"), MIB), None);
        assert_eq!(ends_digest(disk(MIB, None).path(), 2 * MIB), None);
    }
}
