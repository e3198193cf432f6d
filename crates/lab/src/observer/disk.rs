//! What is on a disk, read from its file: blank or not, a digest of a range, a fingerprint of everything.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::Path;

use nix::errno::Errno;
use nix::unistd::{Whence, lseek};
use sha2::{Digest as _, Sha256};

use crate::Error;

const BLOCK: u64 = 1024 * 1024;

/// Whether every byte of the disk is zero. Quick for sparse files: holes are not read.
pub fn is_blank(path: &Path) -> Result<bool, Error> {
    let mut blank = true;
    each_block(path, |_, block| {
        blank = block.iter().all(|byte| *byte == 0);
        blank
    })
    .map_err(Error::file("reading", path))?;
    Ok(blank)
}

/// A digest of all blocks that are not zero and of where they are: equal for equal contents, however sparse the file.
pub fn disk_fingerprint(path: &Path) -> Result<String, Error> {
    let mut hash = Sha256::new();
    each_block(path, |offset, block| {
        if block.iter().any(|byte| *byte != 0) {
            hash.update(offset.to_le_bytes());
            hash.update(block);
        }
        true
    })
    .map_err(Error::file("reading", path))?;
    Ok(hex::encode(hash.finalize()))
}

/// SHA-256 of the first `length` bytes, to compare with an image's digest.
pub fn range_digest(path: &Path, length: u64) -> Result<String, Error> {
    let digest = || -> io::Result<String> {
        let mut hash = Sha256::new();
        let mut part = File::open(path)?.take(length);
        let mut buffer = vec![0u8; usize::try_from(BLOCK).unwrap_or(1 << 20)];
        loop {
            match part.read(&mut buffer)? {
                0 => return Ok(hex::encode(hash.finalize())),
                count => hash.update(buffer.get(..count).unwrap_or_default()),
            }
        }
    };
    digest().map_err(Error::file("reading", path))
}

/// Calls `visit` with the aligned blocks that may hold data until it returns false.
fn each_block(path: &Path, mut visit: impl FnMut(u64, &[u8]) -> bool) -> io::Result<()> {
    let mut file = File::open(path)?;
    let mut at = 0u64;
    while let Some(data) = next_data(&file, at)? {
        at = data / BLOCK * BLOCK;
        file.seek(SeekFrom::Start(at))?;
        let mut block = Vec::new();
        let count = (&file).take(BLOCK).read_to_end(&mut block)?;
        if count == 0 || !visit(at, &block) {
            break;
        }
        at = at.saturating_add(BLOCK);
    }
    Ok(())
}

/// Where data begins at or after an offset.
fn next_data(file: &File, from: u64) -> io::Result<Option<u64>> {
    let offset = i64::try_from(from).map_err(io::Error::other)?;
    match lseek(file, offset, Whence::SeekData) {
        Ok(found) => Ok(u64::try_from(found).ok()),
        // Nothing but a hole up to the end.
        Err(Errno::ENXIO) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::FileExt as _;

    #[test]
    fn blank_until_written() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("disk");
        let file = File::create(&path).unwrap();
        file.set_len(64 << 20).unwrap();
        assert!(is_blank(&path).unwrap());
        let empty = disk_fingerprint(&path).unwrap();
        file.write_all_at(&[0; 4096], 5 << 20).unwrap();
        assert!(is_blank(&path).unwrap());
        assert_eq!(disk_fingerprint(&path).unwrap(), empty);
        file.write_all_at(&[1], (33 << 20) + 7).unwrap();
        assert!(!is_blank(&path).unwrap());
        let one = disk_fingerprint(&path).unwrap();
        assert_ne!(one, empty);
        file.write_all_at(&[0], (33 << 20) + 7).unwrap();
        file.write_all_at(&[1], (34 << 20) + 7).unwrap();
        assert_ne!(disk_fingerprint(&path).unwrap(), one);
    }

    #[test]
    fn digests_of_a_range() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("disk");
        std::fs::write(&path, b"abcdef").unwrap();
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(range_digest(&path, 3).unwrap(), abc);
    }
}
