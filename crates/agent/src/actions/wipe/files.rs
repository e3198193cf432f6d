//! Overwrites what the files of a mounted file system hold, in the places where it lies.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::libc;
use nix::unistd::{Whence, lseek, syncfs};

use super::super::ActionContext;
use crate::Error;
use crate::system::make_mutable;

/// Written at once.
const PIECE: usize = 1 << 20;

/// What was overwritten.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Overwritten {
    pub(super) files: u64,
    pub(super) bytes: u64,
}

/// Fills every file below `root` with zeros, as long as it is: holes stay holes, links are not followed. All of it is on the
/// disk when this returns well.
pub(super) fn overwrite(context: &ActionContext, root: &Path) -> Result<Overwritten, Error> {
    let zeros = vec![0; PIECE];
    let mut done = Overwritten::default();
    let mut directories = vec![root.to_owned()];
    while let Some(directory) = directories.pop() {
        let entries = fs::read_dir(&directory).map_err(Error::file(&directory, "listing"))?;
        for entry in entries {
            let entry = entry.map_err(Error::file(&directory, "listing"))?;
            let path = entry.path();
            let kind = entry.file_type().map_err(Error::file(&path, "examining"))?;
            if kind.is_dir() {
                directories.push(path);
            } else if kind.is_file() {
                done.bytes += fill(context, path, &zeros)?;
                done.files += 1;
                context.board.set_progress("overwriting files", None);
            }
        }
    }
    let root_directory = File::open(root).map_err(Error::file(root, "opening"))?;
    syncfs(&root_directory)
        .map_err(io::Error::from)
        .map_err(Error::file(root, "flushing"))?;
    Ok(done)
}

/// Overwrites one file; gives back the bytes of it.
fn fill(context: &ActionContext, path: PathBuf, zeros: &[u8]) -> Result<u64, Error> {
    let file = open(&path).map_err(Error::file(&path, "opening"))?;
    let length = file.metadata().map_err(Error::file(&path, "examining"))?.len();
    let (mut at, mut written) = (0, 0);
    while let Some((start, end)) = data(&file, at, length).map_err(Error::file(&path, "examining"))? {
        at = start;
        while at < end {
            context.admit()?;
            let step = usize::try_from(end - at).unwrap_or(PIECE).min(PIECE);
            let piece = zeros.get(..step).unwrap_or(zeros);
            file.write_all_at(piece, at)
                .map_err(Error::file(&path, "overwriting"))?;
            at += step as u64;
            written += step as u64;
        }
    }
    Ok(written)
}

fn open(path: &Path) -> io::Result<File> {
    let options = |write| {
        let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
        OpenOptions::new()
            .read(true)
            .write(write)
            .custom_flags(flags)
            .open(path)
    };
    match options(true) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            make_mutable(&options(false)?)?;
            options(true)
        }
        other => other,
    }
}

/// The next stretch of a file that is no hole, from `at` on.
fn data(file: &File, at: u64, length: u64) -> io::Result<Option<(u64, u64)>> {
    if at >= length {
        return Ok(None);
    }
    let seek = |at: u64, whence| {
        let at = i64::try_from(at).map_err(io::Error::other)?;
        match lseek(file, at, whence) {
            Ok(found) => u64::try_from(found).map(Some).map_err(io::Error::other),
            // No data from there on.
            Err(Errno::ENXIO) => Ok(None),
            Err(error) => Err(error.into()),
        }
    };
    let Some(start) = seek(at, Whence::SeekData)? else {
        return Ok(None);
    };
    let end = seek(start, Whence::SeekHole)?.unwrap_or(length);
    Ok(Some((start, end)))
}
