//! Compresses a raw disk: a zstd frame per chunk, so it can be decoded and verified chunk by chunk, and the
//! manifest that says what each chunk must be. Chunks of zeros are in the file (an ordinary `zstd -d` gives the
//! disk) but not in the manifest, where uncovered means zero.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use resources::{Compression, Digest, ImageChunk, ImageManifest};
use sha2::{Digest as _, Sha256};

/// Bytes of a chunk.
pub(crate) const CHUNK: u64 = 4 << 20;
/// zstd level: beyond it, nodes save less time in the download than the builder spends.
const LEVEL: i32 = 9;
/// Chunks compressed at a time.
const BATCH: usize = 8;

/// Compresses `raw` into `out`; `percent` hears how far it is. Of the manifest only name, sizes, digests and
/// chunks are filled.
pub(crate) fn compress(
    name: &str,
    raw: &Path,
    out: &Path,
    cancel: &AtomicBool,
    percent: &dyn Fn(u8),
) -> io::Result<ImageManifest> {
    let mut raw_file = File::open(raw)?;
    let raw_size = raw_file.metadata()?.len();
    let mut out_file = File::create(out)?;
    let (mut raw_hash, mut hash) = (Sha256::new(), Sha256::new());
    let (mut offset, mut size) = (0, 0);
    let mut chunks = Vec::new();
    while offset < raw_size {
        if cancel.load(Ordering::Relaxed) {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let batch = read_batch(&mut raw_file)?;
        let frames = compress_batch(&batch)?;
        for (chunk, (digest, frame)) in batch.iter().zip(frames) {
            raw_hash.update(chunk);
            hash.update(&frame);
            out_file.write_all(&frame)?;
            size += frame.len() as u64;
            let length = chunk.len() as u64;
            if let Some(digest) = digest {
                chunks.push(ImageChunk {
                    offset,
                    length,
                    digest,
                });
            }
            offset += length;
        }
        percent(u8::try_from(offset * 100 / raw_size.max(1)).unwrap_or(100));
    }
    out_file.sync_all()?;
    Ok(ImageManifest {
        name: name.to_owned(),
        compression: Compression::Zstd,
        raw_size,
        raw_digest: Digest::new(raw_hash.finalize().into()),
        size,
        digest: Digest::new(hash.finalize().into()),
        root_partition: None,
        esp_partition: None,
        os_family: None,
        kubernetes_version: None,
        cni: None,
        guid_references: None,
        chunks,
    })
}

/// Every byte of the file at which `text` begins.
pub(crate) fn places(file: &Path, text: &str) -> io::Result<Vec<u64>> {
    let finder = memchr::memmem::Finder::new(text);
    let mut file = File::open(file)?;
    let mut found = Vec::new();
    let (mut start, mut piece) = (0, Vec::new());
    loop {
        file.seek(SeekFrom::Start(start))?;
        piece.clear();
        // Pieces overlap by what a text across their border needs.
        let overlap = text.len().saturating_sub(1) as u64;
        let length = (&mut file).take(CHUNK + overlap).read_to_end(&mut piece)? as u64;
        found.extend(finder.find_iter(&piece).map(|at| start + at as u64));
        if length < CHUNK + overlap {
            return Ok(found);
        }
        start += CHUNK;
    }
}

fn read_batch(file: &mut File) -> io::Result<Vec<Vec<u8>>> {
    let mut batch = Vec::new();
    while batch.len() < BATCH {
        let mut chunk = Vec::new();
        if file.take(CHUNK).read_to_end(&mut chunk)? == 0 {
            break;
        }
        batch.push(chunk);
    }
    Ok(batch)
}

type Frame = (Option<Digest>, Vec<u8>);

fn compress_batch(batch: &[Vec<u8>]) -> io::Result<Vec<Frame>> {
    thread::scope(|scope| {
        let workers: Vec<_> = batch
            .iter()
            .map(|chunk| scope.spawn(move || compress_chunk(chunk)))
            .collect();
        workers
            .into_iter()
            .map(|worker| {
                worker
                    .join()
                    .map_err(|_| io::Error::other("a compressor panicked"))?
            })
            .collect()
    })
}

fn compress_chunk(chunk: &[u8]) -> io::Result<Frame> {
    let empty = chunk.iter().all(|&octet| octet == 0);
    let digest = (!empty).then(|| Digest::new(Sha256::digest(chunk).into()));
    Ok((digest, zstd::bulk::compress(chunk, LEVEL)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_found_at_every_place() {
        let folder = tempfile::tempdir().unwrap();
        let raw = folder.path().join("raw");
        let chunk = usize::try_from(CHUNK).unwrap();
        let expected = [
            0,
            700,
            chunk - 3,
            2 * chunk - 5,
            2 * chunk,
            3 * chunk - 100,
            3 * chunk - 5,
        ];
        let mut disk = vec![b'.'; 3 * chunk];
        for at in &expected {
            disk[*at..at + 5].copy_from_slice(b"0d3c5");
        }
        std::fs::write(&raw, &disk).unwrap();
        let found = places(&raw, "0d3c5").unwrap();
        assert_eq!(found, expected.iter().map(|at| *at as u64).collect::<Vec<_>>());
        assert!(places(&raw, "0d3c6").unwrap().is_empty());
    }

    #[test]
    fn the_file_is_the_disk_and_the_chunks_describe_it() {
        let folder = tempfile::tempdir().unwrap();
        let (raw, out) = (folder.path().join("raw"), folder.path().join("raw.zst"));
        let mut disk = vec![0u8; 13 << 20];
        disk[..5].copy_from_slice(b"first");
        disk[(12 << 20) + 7] = 1;
        std::fs::write(&raw, &disk).unwrap();
        let seen = std::sync::Mutex::new(0);
        let manifest = compress("node", &raw, &out, &AtomicBool::new(false), &|percent| {
            *seen.lock().unwrap() = percent
        })
        .unwrap();

        let file = std::fs::read(&out).unwrap();
        assert_eq!(zstd::stream::decode_all(file.as_slice()).unwrap(), disk);
        assert_eq!(*seen.lock().unwrap(), 100);
        assert_eq!(manifest.raw_size, 13 << 20);
        assert_eq!(manifest.size, file.len() as u64);
        assert_eq!(manifest.digest, Digest::new(Sha256::digest(&file).into()));
        assert_eq!(manifest.raw_digest, Digest::new(Sha256::digest(&disk).into()));
        let places: Vec<(u64, u64)> = manifest
            .chunks
            .iter()
            .map(|chunk| (chunk.offset, chunk.length))
            .collect();
        assert_eq!(places, [(0, CHUNK), (12 << 20, 1 << 20)], "zeros are not covered");
        let last = &disk[12 << 20..];
        assert_eq!(
            manifest.chunks[1].digest,
            Digest::new(Sha256::digest(last).into())
        );
    }
}
