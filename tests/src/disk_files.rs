//! The files of a rack's disks, as the host sees them.

use std::path::PathBuf;

/// One for each disk; the same as long as nothing was written.
pub(crate) fn fingerprints(disks: &[PathBuf]) -> anyhow::Result<Vec<String>> {
    Ok(disks
        .iter()
        .map(|disk| lab::disk_fingerprint(disk))
        .collect::<Result<_, _>>()?)
}
