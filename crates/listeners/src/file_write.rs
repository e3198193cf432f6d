//! A write that reaches memory of a file: what of it is in the file, and how the kernel sends that.

use std::io::{self, IoSlice};
use std::sync::Arc;

use socket2::SockRef;
use tokio::net::TcpStream;

use crate::served_file::ServedFile;

#[derive(Debug)]
pub(crate) struct FileWrite<'a> {
    file: &'a Arc<ServedFile>,
    /// What comes before it.
    before: &'a [IoSlice<'a>],
    offset: u64,
    length: usize,
}

impl<'a> FileWrite<'a> {
    /// The first such part, as far as `most` bytes.
    pub(crate) fn new(file: &'a Arc<ServedFile>, write: &'a [IoSlice<'a>], most: usize) -> Option<Self> {
        let mut all = write.iter().enumerate();
        let (at, offset, length) =
            all.find_map(|(at, part)| Some((at, file.offset_of(part)?, part.len().min(most))))?;
        Some(Self {
            file,
            before: write.get(..at)?,
            offset,
            length,
        })
    }

    /// Whether a head comes before it.
    pub(crate) const fn is_begin(&self) -> bool {
        !self.before.is_empty()
    }

    /// Where it ends in its file.
    pub(crate) fn end(&self) -> u64 {
        let length = u64::try_from(self.length).unwrap_or(u64::MAX);
        self.offset.saturating_add(length)
    }

    /// Whether sending it would not wait for the disk, as far as its ends show: the disk is read in larger pieces. What
    /// comes before `known` is in memory.
    pub(crate) fn is_cached(&self, known: u64) -> bool {
        let begin = known >= self.offset || self.file.is_cached(self.offset);
        begin && self.file.is_cached(self.end().saturating_sub(1))
    }

    /// Has it read from the disk, with what follows it. The work gives the end of what was read.
    pub(crate) fn read_ahead(&self) -> impl FnOnce() -> u64 + Send + use<> {
        let (file, offset) = (self.file.clone(), self.offset);
        move || file.read_ahead(offset)
    }

    /// Sends what comes before it and then the part, as far as the kernel takes it now.
    pub(crate) fn send(&self, stream: &TcpStream) -> io::Result<usize> {
        let before = self
            .before
            .iter()
            .fold(0_usize, |sum, part| sum.saturating_add(part.len()));
        let mut sent = 0;
        if before > 0 {
            // The head leaves in one segment with the begin of the file.
            let flags = libc::MSG_MORE | libc::MSG_NOSIGNAL;
            sent = SockRef::from(stream).send_vectored_with_flags(self.before, flags)?;
            if sent < before {
                return Ok(sent);
            }
        }
        match self.file.send(stream, self.offset, self.length) {
            Ok(more) => Ok(sent.saturating_add(more)),
            // The next write meets the error again.
            Err(_) if sent > 0 => Ok(sent),
            Err(error) => Err(error),
        }
    }
}
