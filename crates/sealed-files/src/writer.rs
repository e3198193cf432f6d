//! Writing a file: chunks are sealed as they fill, and the file gets its name when it is complete.

use std::future::poll_fn;
use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use resources::Digest;
use sha2::{Digest as _, Sha256};
use tokio::fs::{self, File};
use tokio::io::{AsyncWrite, AsyncWriteExt as _};

use crate::format::{CHUNK, Identity};
use crate::stored::{Stored, UNFINISHED, sync_folder};
use crate::{Error, Sealer};

/// A file that is being written. Dropped, it leaves nothing.
#[derive(Debug)]
pub struct Writer {
    file: File,
    draft: Draft,
    identity: Identity,
    sealer: Arc<dyn Sealer>,
    /// Plain bytes of the chunk that fills. A full one waits for the byte after it: it may be the last.
    chunk: Vec<u8>,
    index: u64,
    /// What is not yet in the file.
    pending: Pending,
    hasher: Sha256,
    size: u64,
}

/// The file until it has its name; removed with this value.
#[derive(Debug)]
struct Draft(PathBuf);

impl Drop for Draft {
    fn drop(&mut self) {
        // Once it has its name, there is nothing here any more.
        let _ = std::fs::remove_file(&self.0);
    }
}

#[derive(Debug)]
struct Pending {
    bytes: Vec<u8>,
    written: usize,
}

impl Pending {
    fn new(bytes: Vec<u8>) -> Self {
        Self { bytes, written: 0 }
    }
}

impl Writer {
    pub(crate) async fn create(
        folder: PathBuf,
        identity: Identity,
        sealer: Arc<dyn Sealer>,
    ) -> Result<Self, Error> {
        let name = format!("{UNFINISHED}{}", hex::encode(rand::random::<[u8; 16]>()));
        let draft = Draft(folder.join(name));
        let mut options = fs::OpenOptions::new();
        options.write(true).create_new(true).mode(0o600);
        let file = options.open(&draft.0).await;
        Ok(Self {
            file: file.map_err(Error::file("make", &draft.0))?,
            draft,
            pending: Pending::new(identity.header().to_vec()),
            identity,
            sealer,
            chunk: Vec::with_capacity(CHUNK),
            index: 0,
            hasher: Sha256::new(),
            size: 0,
        })
    }

    /// Gives the file its name, durably. The same content may be there already; it is replaced by itself.
    ///
    /// # Errors
    /// When the file system refuses; then nothing of the file is left.
    pub async fn finish(mut self) -> Result<Stored, Error> {
        let path = self.draft.0.clone();
        let written = poll_fn(|cx| self.poll_pending(cx)).await;
        written.map_err(Error::file("write", &path))?;
        self.seal(true)?;
        let written = poll_fn(|cx| self.poll_pending(cx)).await;
        written.map_err(Error::file("write", &path))?;
        self.file.flush().await.map_err(Error::file("write", &path))?;
        self.file.sync_all().await.map_err(Error::file("sync", &path))?;
        let sha256 = Digest::new(self.hasher.finalize().into());
        let folder = path.parent().unwrap_or(Path::new("."));
        let complete = folder.join(sha256.hex());
        let renamed = fs::rename(&path, &complete).await;
        renamed.map_err(Error::file("rename", &path))?;
        sync_folder(folder).await?;
        Ok(Stored {
            sha256,
            size: self.size,
        })
    }

    /// Seals the chunk; what was pending is written by now.
    fn seal(&mut self, last: bool) -> Result<(), Error> {
        let context = self.identity.context(self.index, last);
        let sealed = self.sealer.seal(&self.chunk, &context);
        let sealed = sealed.map_err(|_| Error::Seal {
            path: self.draft.0.clone(),
        })?;
        self.pending = Pending::new(sealed);
        self.chunk.clear();
        self.index += 1;
        Ok(())
    }

    fn poll_pending(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            let rest = self.pending.bytes.get(self.pending.written..).unwrap_or_default();
            if rest.is_empty() {
                return Poll::Ready(Ok(()));
            }
            let written = ready!(Pin::new(&mut self.file).poll_write(cx, rest));
            match written? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                count => self.pending.written += count,
            }
        }
    }

    /// For those who know this as an [`AsyncWrite`] only: an error that names the file.
    fn named<T>(&self, result: io::Result<T>) -> io::Result<T> {
        result.map_err(|source| Error::file("write", &self.draft.0)(source).into())
    }
}

/// What is written is in the file only after [`Writer::finish`]: the chunk that fills is not sealed by a flush.
impl AsyncWrite for Writer {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        if buf.is_empty() {
            return Poll::Ready(Ok(0));
        }
        let pending = ready!(self.poll_pending(cx));
        self.named(pending)?;
        if self.chunk.len() == CHUNK {
            // It is written by the calls that follow.
            self.seal(false)?;
        }
        let taken = &buf[..buf.len().min(CHUNK - self.chunk.len())];
        self.chunk.extend_from_slice(taken);
        self.hasher.update(taken);
        self.size += taken.len() as u64;
        Poll::Ready(Ok(taken.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let pending = ready!(self.poll_pending(cx));
        self.named(pending)?;
        let flushed = ready!(Pin::new(&mut self.file).poll_flush(cx));
        Poll::Ready(self.named(flushed))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_flush(cx)
    }
}
