//! The files as a gzipped tar archive.

use std::io;

use flate2::Compression;
use flate2::write::GzEncoder;
use jiff::Timestamp;

/// Packs files below `folder`.
pub(super) fn pack(folder: &str, files: &[(String, String)], now: Timestamp) -> io::Result<Vec<u8>> {
    let mut archive = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::default()));
    for (name, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o600);
        header.set_mtime(u64::try_from(now.as_second()).unwrap_or_default());
        archive.append_data(&mut header, format!("{folder}/{name}"), content.as_bytes())?;
    }
    archive.into_inner()?.finish()
}
