//! The files of a chart from its `.tgz`, under limits.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Component, Path};

use flate2::read::GzDecoder;
use tar::Archive;

use crate::error::Error;

/// Bytes of one file.
const FILE: usize = 5 * 1024 * 1024;
/// Bytes of all files.
const ALL: usize = 20 * 1024 * 1024;
/// Files.
const FILES: usize = 4_000;

/// Files by their path below the chart's folder.
pub(crate) fn files(archive: &[u8]) -> Result<BTreeMap<String, Vec<u8>>, Error> {
    let broken = |error: std::io::Error| Error::Archive {
        message: format!("{error}; a chart is a .tgz as `helm package` makes it"),
    };
    let limit = |what, limit| Error::Limit {
        chart: "in the archive".to_owned(),
        what,
        limit,
    };
    let mut found = BTreeMap::new();
    let mut total = 0_usize;
    // One more byte than is allowed: reading it shows that there is too much.
    let unpacked = GzDecoder::new(archive).take(2 * ALL as u64);
    let mut tar = Archive::new(unpacked);
    for entry in tar.entries().map_err(broken)? {
        let mut entry = entry.map_err(broken)?;
        if !entry.header().entry_type().is_file() {
            continue;
        }
        let path = inner_path(&entry.path().map_err(broken)?)?;
        let mut bytes = Vec::new();
        let read = entry.by_ref().take(FILE as u64 + 1).read_to_end(&mut bytes);
        let read = read.map_err(broken)?;
        total = total.saturating_add(read);
        if read > FILE {
            return Err(limit("a file", FILE));
        }
        if total > ALL {
            return Err(limit("the sum of the files", ALL));
        }
        if found.len() >= FILES {
            return Err(limit("the number of files", FILES));
        }
        found.insert(path, bytes);
    }
    Ok(found)
}

/// A path without the chart's folder.
fn inner_path(path: &Path) -> Result<String, Error> {
    let wrong = || Error::Archive {
        message: format!(
            "the archive has a file {}, which is outside of the chart's folder",
            path.display()
        ),
    };
    let mut parts = Vec::new();
    for part in path.components() {
        match part {
            Component::Normal(part) => parts.push(part.to_str().ok_or_else(wrong)?),
            Component::CurDir => {}
            _ => return Err(wrong()),
        }
    }
    match parts.split_first() {
        Some((_, inner)) if !inner.is_empty() => Ok(inner.join("/")),
        _ => Err(wrong()),
    }
}
