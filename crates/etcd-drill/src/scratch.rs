//! The scratch folder of a drill: room, for this user alone, gone with the drill.

use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg, OFlag};
use nix::sys::statfs::{TMPFS_MAGIC, statfs};
use nix::sys::statvfs::statvfs;
use nix::unistd::geteuid;
use tempfile::TempDir;

use crate::Error;

/// Beginning of the names of folders of drills.
const PREFIX: &str = "gantry-etcd-drill-";
/// Bytes that etcd takes beside its data: two files of its log, and what it writes at its start.
const BESIDE: u64 = 160 << 20;
/// Tries to remove a folder to which a program that is ending still writes.
const TRIES: u32 = 20;

/// A folder, and the lock that keeps other drills of this user out of the one above it.
#[derive(Debug)]
pub(crate) struct Scratch {
    folder: PathBuf,
    _lock: Flock<File>,
}

/// Bytes that a drill of a snapshot of `size` bytes takes: the snapshot, the data that are made of it, and the log.
pub(crate) const fn needed(size: u64) -> u64 {
    size.saturating_mul(2).saturating_add(BESIDE)
}

impl Scratch {
    /// A folder in the one `above`, with room for so many bytes and so much memory for programs. Removes what drills that
    /// were killed have left.
    pub(crate) fn make(above: &Path, room: u64, memory: u64) -> Result<Self, Error> {
        let lock = locked(above)?;
        clean(above)?;
        check_room(above, room, memory)?;
        let made = tempfile::Builder::new()
            .prefix(PREFIX)
            .permissions(Permissions::from_mode(0o700))
            .tempdir_in(above);
        let folder = made
            .map(TempDir::keep)
            .map_err(failed("make a folder in", above))?;
        Ok(Self { folder, _lock: lock })
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// A file for this user alone, with this content.
    pub(crate) fn write(&self, name: &str, content: &str) -> Result<PathBuf, Error> {
        let path = self.path(name);
        pki::write_private(&path, content.as_bytes()).map_err(failed("write", &path))?;
        Ok(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        for _ in 0..TRIES {
            match std::fs::remove_dir_all(&self.folder) {
                Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => {}
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    let folder = self.folder.display();
                    tracing::warn!(%folder, %error, "the folder of a drill stays until the next one");
                    return;
                }
                _ => return,
            }
        }
    }
}

/// Removes what drills that were killed have left, unless one is under way.
pub(crate) fn remove_leftovers(above: &Path) -> Result<(), Error> {
    match locked(above) {
        Ok(_lock) => clean(above),
        Err(Error::Busy { .. }) => Ok(()),
        Err(error) => Err(error),
    }
}

pub(crate) fn failed(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error::Scratch { what, path, source }
}

/// The folder itself is made when it is missing: it holds nothing that outlives a drill.
fn locked(above: &Path) -> Result<Flock<File>, Error> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(above);
    made.map_err(failed("make", above))?;
    let path = above.join(format!("{PREFIX}{}.lock", geteuid()));
    // The folder may be one that everybody writes to.
    let opened = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(OFlag::O_NOFOLLOW.bits())
        .open(&path);
    let file = opened.map_err(failed("open", &path))?;
    Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|_| Error::Busy {
        folder: above.to_owned(),
    })
}

fn clean(above: &Path) -> Result<(), Error> {
    let entries = std::fs::read_dir(above).map_err(failed("list", above))?;
    for entry in entries {
        let entry = entry.map_err(failed("list", above))?;
        let is_named = entry.file_name().to_string_lossy().starts_with(PREFIX);
        let metadata = std::fs::symlink_metadata(entry.path());
        let is_own = metadata.is_ok_and(|data| data.is_dir() && data.uid() == geteuid().as_raw());
        if is_named && is_own {
            let path = entry.path();
            std::fs::remove_dir_all(&path).map_err(failed("remove what an earlier drill left in", &path))?;
            tracing::info!(folder = %path.display(), "removed what a drill that was killed has left");
        }
    }
    Ok(())
}

fn check_room(above: &Path, room: u64, memory: u64) -> Result<(), Error> {
    let look = || Ok::<_, io::Error>((statvfs(above)?, statfs(above)?.filesystem_type()));
    let (size, kind) = look().map_err(failed("look at the file system of", above))?;
    let free = size.blocks_available().saturating_mul(size.fragment_size());
    if free < room {
        return Err(Error::NoRoom {
            folder: above.to_owned(),
            needed: room,
            free,
        });
    }
    let of_files = if kind == TMPFS_MAGIC { room } else { 0 };
    let needed = memory.saturating_add(of_files);
    match available_memory() {
        Some(free) if free < needed => Err(Error::NoMemory {
            folder: above.to_owned(),
            needed,
            free,
        }),
        _ => Ok(()),
    }
}

/// Bytes of memory that programs can have (proc_meminfo(5)).
fn available_memory() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kib: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kib.saturating_mul(1024))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folders(above: &Path) -> usize {
        let entries = std::fs::read_dir(above).unwrap();
        entries
            .filter(|entry| entry.as_ref().unwrap().path().is_dir())
            .count()
    }

    #[test]
    fn a_folder_goes_with_its_drill_and_one_that_was_left_with_the_next() {
        let above = tempfile::tempdir().unwrap();
        let (above, left) = (above.path(), above.path().join(format!("{PREFIX}left")));
        std::fs::create_dir_all(left.join("data")).unwrap();
        std::fs::create_dir(above.join("of-somebody-else")).unwrap();
        let scratch = Scratch::make(above, 1, 1).unwrap();
        assert!(!left.exists());
        assert_eq!(folders(above), 2);
        let file = scratch.write("secret", "x").unwrap();
        assert_eq!(file.metadata().unwrap().mode() & 0o777, 0o600);
        assert_eq!(scratch.folder.metadata().unwrap().mode() & 0o777, 0o700);
        drop(scratch);
        assert_eq!(folders(above), 1);

        std::fs::create_dir(&left).unwrap();
        remove_leftovers(above).unwrap();
        assert_eq!(folders(above), 1);
    }

    #[test]
    fn there_is_one_drill_at_a_time() {
        let above = tempfile::tempdir().unwrap();
        let first = Scratch::make(above.path(), 1, 1).unwrap();
        let second = Scratch::make(above.path(), 1, 1).unwrap_err();
        assert!(matches!(second, Error::Busy { .. }), "{second}");
        remove_leftovers(above.path()).unwrap();
        assert!(first.folder.exists(), "that of a drill under way stays");
        drop(first);
        Scratch::make(above.path(), 1, 1).unwrap();
    }

    #[test]
    fn too_little_room_is_seen_before_anything_is_written() {
        let above = tempfile::tempdir().unwrap();
        let refused = Scratch::make(above.path(), u64::MAX, 0).unwrap_err();
        let text = refused.to_string();
        assert!(matches!(refused, Error::NoRoom { .. }), "{text}");
        assert!(
            text.contains("MiB free") && text.contains("etcdDrillFolder"),
            "{text}"
        );
        let refused = Scratch::make(above.path(), 0, u64::MAX).unwrap_err();
        assert!(matches!(refused, Error::NoMemory { .. }), "{refused}");
        assert_eq!(folders(above.path()), 0);
        assert_eq!(needed(1 << 20), 162 << 20);
        assert_eq!(needed(u64::MAX), u64::MAX);
    }
}
