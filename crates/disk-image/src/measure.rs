//! What an image is: sizes, digests, partitions and chunks, found by decoding all of it once.

use std::{panic, thread};

use resources::{Digest, ImageChunk, ImageManifest};
use sha2::{Digest as _, Sha256};

use crate::boot_loader::boot_loader;
use crate::write::HEAD;
use crate::{Error, ImageReader, gpt};

/// Length of a chunk of the manifest.
pub const CHUNK: usize = 4 << 20;

/// Reads the whole image and describes it. `progress` gets the octets of the served file read so far.
///
/// # Errors
/// When the image can't be decoded or firmware can't start it.
pub fn measure(
    mut reader: ImageReader,
    name: &str,
    progress: &mut dyn FnMut(u64),
) -> Result<ImageManifest, Error> {
    let compression = reader.compression();
    let mut whole = Sha256::new();
    let mut chunks = Vec::new();
    let mut raw_size = 0;
    let mut table = None;
    let mut buffer = vec![0; CHUNK];
    loop {
        let length = reader.read(&mut buffer)?;
        let chunk = buffer.get(..length).unwrap_or_default();
        if raw_size == 0 {
            if chunk.is_empty() {
                return Err(Error::Empty);
            }
            let head = chunk.get(..HEAD).unwrap_or(chunk);
            if !boot_loader(head).any() {
                return Err(Error::NoBootLoader);
            }
            table = gpt::parse(head);
        }
        // Two digests of the same octets: the longest part of the work, done side by side.
        let digest = thread::scope(|scope| {
            let own = scope.spawn(|| {
                let full = chunk.iter().any(|octet| *octet != 0);
                full.then(|| Digest::new(Sha256::digest(chunk).into()))
            });
            whole.update(chunk);
            own.join().unwrap_or_else(|cause| panic::resume_unwind(cause))
        });
        if let Some(digest) = digest {
            chunks.push(ImageChunk {
                offset: raw_size,
                length: length as u64,
                digest,
            });
        }
        raw_size += length as u64;
        progress(reader.consumed());
        if length < CHUNK {
            break;
        }
    }
    let totals = reader.finish()?;
    Ok(ImageManifest {
        name: name.to_owned(),
        compression,
        raw_size,
        raw_digest: Digest::new(whole.finalize().into()),
        size: totals.size,
        digest: totals.digest,
        root_partition: table
            .as_ref()
            .and_then(|table| table.root())
            .map(|partition| partition.number),
        esp_partition: table
            .as_ref()
            .and_then(|table| table.esp())
            .map(|partition| partition.number),
        os_family: None,
        kubernetes_version: None,
        cni: None,
        chunks,
    })
}
