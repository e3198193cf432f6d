//! A disk that an installer has left: the image, and files in its root file system.
//!
//! The image is written by the same code as the agent's; the files by debugfs, so that nothing is mounted.

use std::fs::{File, Permissions};
use std::io::{Read, Write as _};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, ensure};
use disk_image::{DiskTarget, Expected, HEAD, Identities, ImageReader, Ungated, WriteJob, gpt};
use resources::ImageManifest;

use crate::command::done;

const DEBUGFS: &str = "/usr/sbin/debugfs";

/// One file in the root file system.
pub(crate) struct NewFile {
    pub(crate) path: String,
    pub(crate) mode: u32,
    pub(crate) contents: Vec<u8>,
}

/// Writes the image to the disk's file, with identities that come from `id`.
pub(crate) fn write_image(
    image: &Path,
    manifest: &ImageManifest,
    disk: &Path,
    id: &str,
) -> anyhow::Result<()> {
    let references = manifest
        .guid_references
        .as_deref()
        .context("the node image does not list its GUID references")?;
    let job = WriteJob {
        expected: Expected {
            digest: Some(manifest.digest),
            raw_digest: Some(manifest.raw_digest),
            raw_size: Some(manifest.raw_size),
        },
        identities: Identities::Renew {
            seed: id.as_bytes(),
            references,
        },
        firmware: None,
    };
    let reader = ImageReader::open(File::open(image)?)?;
    disk_image::install(reader, &DiskTarget::open(disk)?, &job, &Ungated)
        .map(drop)
        .with_context(|| disk.display().to_string())
}

/// Puts files into the root file system of a disk; directories are made.
pub(crate) fn put(disk: &Path, files: &[NewFile]) -> anyhow::Result<()> {
    let system = root(disk)?;
    let folder = tempfile::tempdir()?;
    let mut script = File::create(folder.path().join("script"))?;
    for (number, file) in files.iter().enumerate() {
        let source = folder.path().join(number.to_string());
        std::fs::write(&source, &file.contents)?;
        std::fs::set_permissions(&source, Permissions::from_mode(file.mode))?;
        for (at, _) in file.path.match_indices('/').skip(1) {
            writeln!(script, "mkdir {}", &file.path[..at])?;
        }
        writeln!(script, "rm {0}\nwrite {1} {0}", file.path, source.display())?;
    }
    // A directory that is there and a file that is not are no failures; what counts is read back.
    done(
        Command::new(DEBUGFS)
            .args(["-w", "-f"])
            .arg(folder.path().join("script"))
            .arg(&system),
    )?;
    for file in files {
        ensure!(
            read(disk, &file.path)?.as_bytes() == file.contents,
            "{} was not written to {system}",
            file.path
        );
    }
    Ok(())
}

/// A file of the root file system.
pub(crate) fn read(disk: &Path, path: &str) -> anyhow::Result<String> {
    done(Command::new(DEBUGFS).args(["-R", &format!("cat {path}"), &root(disk)?]))
}

/// The root file system of a disk, as e2fsprogs name it.
fn root(disk: &Path) -> anyhow::Result<String> {
    let mut head = vec![0; HEAD];
    File::open(disk)?.read_exact(&mut head)?;
    let table = gpt::parse(&head).context("the disk has no partition table")?;
    let root = table.root().context("the disk has no root file system")?;
    Ok(format!("{}?offset={}", disk.display(), root.first * gpt::SECTOR))
}
