//! An archive of a root file system that becomes an image. It is read twice: to compare its digest, and to hand it over.

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use driver::Fault;
use futures::stream::try_unfold;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Frame;
use sha2::{Digest as _, Sha256};
use tokio::fs::File;
use tokio::io::AsyncReadExt as _;

use super::jobs::Job;
use crate::daemon::{Daemon, Outgoing};
use crate::marks::IMAGE_SHA256;

const CHUNK: usize = 256 * 1024;

/// An import.
#[derive(Debug)]
pub(super) struct Import {
    pub(super) daemon: Daemon,
    pub(super) archive: PathBuf,
    pub(super) repository: String,
    pub(super) tag: String,
    /// Of the archive.
    pub(super) sha256: String,
}

impl Import {
    pub(super) async fn run(self, job: &Arc<Job>) -> Result<(), Fault> {
        let unreadable = |error: io::Error| {
            let text = format!(
                "{}: {error}; the driver reads what `readable` of its entry in the file of drivers names",
                self.archive.display()
            );
            Fault::invalid("/source/archive", text)
        };
        let length = tokio::fs::metadata(&self.archive)
            .await
            .map_err(unreadable)?
            .len();
        job.set((0, length));
        let found = self.digest().await.map_err(unreadable)?;
        self.compare(&found)?;
        let file = File::open(&self.archive).await.map_err(unreadable)?;
        let hasher = Arc::new(Mutex::new(Sha256::new()));
        let body = handed_over(file, hasher.clone(), job.clone(), length);
        let changes = [
            "CMD [\"/sbin/init\"]".to_owned(),
            format!("LABEL {IMAGE_SHA256}={}", self.sha256),
        ];
        self.daemon
            .import((&self.repository, &self.tag), &changes, body)
            .await?;
        let hasher = hasher.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let compared = self.compare(&hex::encode(hasher.finalize()));
        if compared.is_err() {
            // The file was written to meanwhile: the image is of neither.
            let name = format!("{}:{}", self.repository, self.tag);
            self.daemon.remove_image(&name).await?;
        }
        compared
    }

    async fn digest(&self) -> io::Result<String> {
        let mut file = File::open(&self.archive).await?;
        let mut hasher = Sha256::new();
        let mut chunk = vec![0; CHUNK];
        loop {
            let read = file.read(&mut chunk).await?;
            let Some(bytes) = chunk.get(..read).filter(|bytes| !bytes.is_empty()) else {
                return Ok(hex::encode(hasher.finalize()));
            };
            hasher.update(bytes);
        }
    }

    fn compare(&self, found: &str) -> Result<(), Fault> {
        if found == self.sha256 {
            return Ok(());
        }
        let text = format!(
            "{} has the digest {found}, not {}",
            self.archive.display(),
            self.sha256
        );
        Err(Fault::invalid("/sha256", text))
    }
}

/// The file as the body of a request.
fn handed_over(file: File, hasher: Arc<Mutex<Sha256>>, job: Arc<Job>, length: u64) -> Outgoing {
    let chunks = try_unfold((file, 0_u64), move |(mut file, done)| {
        let (hasher, job) = (hasher.clone(), job.clone());
        async move {
            let mut chunk = vec![0; CHUNK];
            let read = file.read(&mut chunk).await?;
            if read == 0 {
                return io::Result::Ok(None);
            }
            chunk.truncate(read);
            hasher
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .update(&chunk);
            let done = done.saturating_add(read as u64);
            job.set((done, length));
            Ok(Some((Frame::data(Bytes::from(chunk)), (file, done))))
        }
    });
    StreamBody::new(chunks).boxed_unsync()
}
