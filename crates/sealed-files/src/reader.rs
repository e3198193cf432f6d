//! Reading a file.

use std::fmt;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures::stream::{self, BoxStream, Stream, StreamExt as _};
use resources::Digest;
use sha2::{Digest as _, Sha256};
use tokio::fs::File;
use tokio::io::AsyncReadExt as _;

use crate::format::{Frames, HEADER, Identity};
use crate::name::Name;
use crate::{Damage, Error, Sealer};

/// What a file holds, in order. A file that is damaged ends with an error before its last byte was given.
pub struct Reader {
    size: u64,
    chunks: BoxStream<'static, Result<Bytes, Error>>,
}

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader")
            .field("size", &self.size)
            .finish_non_exhaustive()
    }
}

impl Reader {
    pub(crate) async fn open(
        path: PathBuf,
        mut file: File,
        name: Name,
        digest: Digest,
        sealer: Arc<dyn Sealer>,
    ) -> Result<Self, Error> {
        let damaged = |what| Error::Damaged {
            path: path.clone(),
            what,
        };
        let metadata = file.metadata().await.map_err(Error::file("look at", &path))?;
        let frames = Frames::of(metadata.len(), &*sealer).ok_or_else(|| damaged(Damage::Cut))?;
        let mut header = [0; HEADER];
        let read = file.read_exact(&mut header).await;
        read.map_err(Error::file("read", &path))?;
        let identity = Identity::read(name, &header).ok_or_else(|| damaged(Damage::Header))?;
        let opening = Opening {
            path,
            file,
            identity,
            digest,
            sealer,
            frames,
            index: 0,
            hasher: Sha256::new(),
        };
        let chunks = stream::try_unfold(opening, async |mut opening| {
            let chunk = opening.next().await?;
            Ok(chunk.map(|chunk| (chunk, opening)))
        });
        Ok(Self {
            size: frames.size,
            chunks: chunks.boxed(),
        })
    }

    /// Bytes of all that it holds.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }
}

impl Stream for Reader {
    type Item = Result<Bytes, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.chunks.poll_next_unpin(cx)
    }
}

/// A file that is read, frame by frame.
struct Opening {
    path: PathBuf,
    file: File,
    identity: Identity,
    digest: Digest,
    sealer: Arc<dyn Sealer>,
    frames: Frames,
    index: u64,
    hasher: Sha256,
}

impl Opening {
    async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        if self.index == self.frames.count {
            return Ok(None);
        }
        let last = self.index + 1 == self.frames.count;
        let mut frame = vec![0; if last { self.frames.last } else { self.frames.full }];
        let read = self.file.read_exact(&mut frame).await;
        read.map_err(Error::file("read", &self.path))?;
        let context = self.identity.context(self.index, last);
        let chunk = self.sealer.open(&frame, &context);
        let chunk = chunk.map_err(|_| self.damaged(Damage::Chunk(self.index)))?;
        self.hasher.update(&chunk);
        self.index += 1;
        if last {
            let found = Digest::new(self.hasher.finalize_reset().into());
            if found != self.digest {
                return Err(self.damaged(Damage::Content(found)));
            }
        }
        Ok(Some(Bytes::from(chunk)))
    }

    fn damaged(&self, what: Damage) -> Error {
        Error::Damaged {
            path: self.path.clone(),
            what,
        }
    }
}
