//! A file as the body of a response, which a plain connection sends by `sendfile(2)`.
//!
//! The body is the memory of a mapping of the file, so hyper and whatever stands before it treat it as any other bytes.
//! A connection that finds such memory in a write lets the kernel send the same part of the file instead: nothing is
//! copied, and nobody reads the mapping. The file stays the one that was opened when another is renamed over its name.
//!
//! A file that is cut in place while it is sent ends its connections. Code that reads the bytes of the body itself would be
//! stopped by SIGBUS then, so such bodies are for plain connections and for files that are replaced, never rewritten.
#![allow(unsafe_code)]

use std::fs::{File, Metadata};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use memmap2::Mmap;
use tokio::net::TcpStream;

/// Bytes that are read from the disk at once.
const READ: usize = 2 << 20;
const SCRATCH: usize = 64 << 10;

/// An open file. Put it into the extensions of a response whose body is made of its [`Self::bytes`].
#[derive(Debug)]
pub struct ServedFile {
    file: File,
    metadata: Metadata,
    map: Mmap,
}

/// The mapping as the owner of bytes.
struct Mapped(Arc<ServedFile>);

impl AsRef<[u8]> for Mapped {
    fn as_ref(&self) -> &[u8] {
        &self.0.map
    }
}

impl ServedFile {
    /// Opens a file. It may wait for the disk.
    ///
    /// # Errors
    /// What the system says; also if it is something else than a file.
    pub fn open(path: &Path) -> io::Result<Arc<Self>> {
        let file = File::open(path)?;
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
        }
        // SAFETY: the mapping is read-only and the file behind it is replaced, never rewritten (module doc).
        let map = unsafe { Mmap::map(&file) }?;
        Ok(Arc::new(Self { file, metadata, map }))
    }

    /// Size and times as they were when it was opened.
    #[must_use]
    pub const fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// All its content.
    #[must_use]
    pub fn bytes(self: &Arc<Self>) -> Bytes {
        Bytes::from_owner(Mapped(self.clone()))
    }

    /// Where these bytes are in the file, if they are memory of its mapping.
    pub(crate) fn offset_of(&self, part: &[u8]) -> Option<u64> {
        let map = self.map.as_ptr_range();
        let part = part.as_ptr_range();
        let inside = map.start <= part.start && part.end <= map.end && part.start < part.end;
        let offset = part.start.addr().checked_sub(map.start.addr())?;
        u64::try_from(offset).ok().filter(|_| inside)
    }

    /// Whether a byte can be sent without waiting for the disk.
    pub(crate) fn is_cached(&self, offset: u64) -> bool {
        let Ok(offset) = libc::off_t::try_from(offset) else {
            return true;
        };
        let mut byte = 0_u8;
        let part = libc::iovec {
            iov_base: (&raw mut byte).cast(),
            iov_len: 1,
        };
        // SAFETY: one byte of the stack, which outlives the call; the descriptor is open.
        let read = unsafe {
            libc::preadv2(
                self.file.as_raw_fd(),
                &raw const part,
                1,
                offset,
                libc::RWF_NOWAIT,
            )
        };
        // A file system that cannot say is taken for one in memory.
        read >= 0 || io::Error::last_os_error().kind() != io::ErrorKind::WouldBlock
    }

    /// Has a part read from the disk, so that it can be sent without waiting. Returns where that part ends.
    pub(crate) fn read_ahead(&self, offset: u64) -> u64 {
        let mut scratch = vec![0; SCRATCH];
        let mut at = offset;
        let end = offset.saturating_add(u64::try_from(READ).unwrap_or(0));
        while at < end {
            match self.file.read_at(&mut scratch, at) {
                Ok(0) => break,
                Ok(count) => at = at.saturating_add(u64::try_from(count).unwrap_or(0)),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // Sending meets the same error and says so.
                Err(_) => break,
            }
        }
        end
    }

    /// Sends a part as far as the kernel takes it now.
    pub(crate) fn send(&self, stream: &TcpStream, offset: u64, length: usize) -> io::Result<usize> {
        let mut offset = libc::off_t::try_from(offset).map_err(io::Error::other)?;
        match nix::sys::sendfile::sendfile(stream, &self.file, Some(&mut offset), length)? {
            0 => Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "a file was cut while it was sent",
            )),
            sent => Ok(sent),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_of_a_file_is_found_in_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        std::fs::write(&path, "0123456789").unwrap();
        let file = ServedFile::open(&path).unwrap();
        let bytes = file.bytes();
        assert_eq!(file.offset_of(&bytes.slice(3..5)), Some(3));
        assert_eq!(file.offset_of(&bytes), Some(0));
        assert_eq!(file.offset_of(&bytes[10..]), None, "nothing");
        assert_eq!(file.offset_of(b"3456"), None, "equal bytes elsewhere");
        assert!(file.is_cached(0) && file.is_cached(9));
        assert!(ServedFile::open(dir.path()).is_err());

        std::fs::write(&path, "").unwrap();
        assert_eq!(ServedFile::open(&path).unwrap().bytes(), "");
    }
}
