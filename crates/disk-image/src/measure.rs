//! What an image is: sizes, digests, partitions and chunks, found by decoding all of it once, or taken from the
//! manifest that its maker has published.

use std::io::{self, Read};
use std::{panic, thread};

use resources::{Digest, ImageChunk, ImageManifest};
use sha2::{Digest as _, Sha256};

use crate::boot_loader::{boot_loader, partitions_end};
use crate::partitions::root_of_mbr;
use crate::write::HEAD;
use crate::{Error, ImageReader, gpt};

/// Length of a chunk of the manifest.
pub const CHUNK: usize = 4 << 20;

/// Takes over what the image's maker has published, for the price of one digest: of the served file. Whoever finds
/// it to be the published one has the image that was measured when the manifest was made. The head is looked at too,
/// so that an image that can't start is refused here and a size that can't hold its partitions is corrected.
///
/// `reader` and `file` are two views of the same served file, both at its beginning.
///
/// # Errors
/// When the file can't be read, its head can't be decoded, or firmware can't start it.
pub fn confirm(
    mut reader: ImageReader,
    mut file: impl Read,
    published: &ImageManifest,
    progress: &mut dyn FnMut(u64),
) -> Result<ImageManifest, Error> {
    let mut buffer = vec![0; CHUNK];
    let length = reader.read(buffer.get_mut(..HEAD).unwrap_or_default())?;
    let head = buffer.get(..length).unwrap_or_default();
    let (root, esp) = partition_numbers(examined(head)?.as_ref(), head);
    let least = partitions_end(head).unwrap_or(length as u64);
    let compression = reader.compression();
    drop(reader);
    let (mut hash, mut size) = (Sha256::new(), 0);
    loop {
        let length = match file.read(&mut buffer) {
            Ok(0) => break,
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(source) => return Err(Error::Source { at: size, source }),
        };
        hash.update(buffer.get(..length).unwrap_or_default());
        size += length as u64;
        progress(size);
    }
    Ok(ImageManifest {
        compression,
        raw_size: published.raw_size.max(least),
        size,
        digest: Digest::new(hash.finalize().into()),
        root_partition: published.root_partition.or(root),
        esp_partition: published.esp_partition.or(esp),
        ..published.clone()
    })
}

/// Reads the whole image and describes it. `progress` gets the bytes of the served file read so far.
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
    let mut numbers = (None, None);
    let mut buffer = vec![0; CHUNK];
    loop {
        let length = reader.read(&mut buffer)?;
        let chunk = buffer.get(..length).unwrap_or_default();
        if raw_size == 0 {
            let head = chunk.get(..HEAD).unwrap_or(chunk);
            numbers = partition_numbers(examined(head)?.as_ref(), head);
        }
        // Two digests of the same bytes: the longest part of the work, done side by side.
        let digest = thread::scope(|scope| {
            let own = scope.spawn(|| {
                let full = chunk.iter().any(|byte| *byte != 0);
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
    let (root_partition, esp_partition) = numbers;
    Ok(ImageManifest {
        name: name.to_owned(),
        compression,
        raw_size,
        raw_digest: Digest::new(whole.finalize().into()),
        size: totals.size,
        digest: totals.digest,
        root_partition,
        esp_partition,
        os_family: None,
        kubernetes_version: None,
        cni: None,
        guid_references: None,
        chunks,
    })
}

/// The partition table of an image that firmware can start.
fn examined(head: &[u8]) -> Result<Option<gpt::Table>, Error> {
    if head.is_empty() {
        return Err(Error::Empty);
    }
    if gpt::is_for_large_sectors(head) {
        return Err(Error::LargeSectorImage);
    }
    if !boot_loader(head).any() {
        return Err(Error::NoBootLoader);
    }
    Ok(gpt::parse(head))
}

/// Numbers of the partitions with the root file system and for EFI. `head` has a master boot record where there is no table.
fn partition_numbers(table: Option<&gpt::Table>, head: &[u8]) -> (Option<u32>, Option<u32>) {
    let number = |partition: &gpt::Partition| partition.number;
    match table {
        Some(table) => (table.root().map(number), table.esp().map(number)),
        None => (root_of_mbr(head), None),
    }
}
