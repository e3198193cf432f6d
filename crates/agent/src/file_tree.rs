//! Files in a mounted file system that is not ours: no path and no symbolic link in it leads out of it.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nix::fcntl::{OFlag, OpenHow, ResolveFlag, open, openat, openat2, renameat};
use nix::sys::stat::{Mode, mkdirat};
use nix::unistd::{Gid, Uid, UnlinkatFlags, fchown, unlinkat};

use crate::Error;

/// A directory as the root of everything below it.
#[derive(Debug)]
pub struct FileTree {
    root: OwnedFd,
    path: PathBuf,
}

/// A file to be put in place.
#[derive(Debug, Clone, Copy)]
pub struct NewFile<'a> {
    /// Absolute path below the root.
    pub path: &'a str,
    /// What it holds.
    pub contents: &'a [u8],
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Mode of the file.
    pub mode: u32,
    /// Mode of directories that have to be made.
    pub directory_mode: u32,
}

/// What [`FileTree::place`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Placed {
    /// The file was written.
    Written,
    /// It was there just so.
    AlreadyThere,
}

const DIRECTORY: OFlag = OFlag::O_RDONLY.union(OFlag::O_DIRECTORY).union(OFlag::O_CLOEXEC);

impl FileTree {
    /// Opens the root.
    ///
    /// # Errors
    /// When it is no directory.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let root = open(path, DIRECTORY, Mode::empty())
            .map_err(io::Error::from)
            .map_err(Error::file(path, "opening"))?;
        Ok(Self {
            root,
            path: path.to_owned(),
        })
    }

    /// Opens a file for reading; symbolic links count as below the root.
    ///
    /// # Errors
    /// When it is not there or the path is malformed.
    pub fn read(&self, path: &str) -> Result<File, Error> {
        let relative = components(path)?.join("/");
        let how = how(OFlag::O_RDONLY | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK);
        openat2(&self.root, relative.as_str(), how)
            .map(File::from)
            .map_err(io::Error::from)
            .map_err(Error::file(self.path.join(relative), "opening"))
    }

    /// Whether there is a file or directory; symbolic links count as below the root.
    ///
    /// # Errors
    /// When the path is malformed or can't be looked at.
    pub fn has(&self, path: &str) -> Result<bool, Error> {
        let relative = components(path)?.join("/");
        match openat2(
            &self.root,
            relative.as_str(),
            how(OFlag::O_PATH | OFlag::O_CLOEXEC),
        ) {
            Ok(_) => Ok(true),
            Err(nix::errno::Errno::ENOENT | nix::errno::Errno::ENOTDIR) => Ok(false),
            Err(error) => Err(Error::file(self.path.join(relative), "looking for it")(
                error.into(),
            )),
        }
    }

    /// Puts a file in place: a new one beside it, flushed, then renamed over it. A file with this content, owner and
    /// mode stays untouched.
    ///
    /// # Errors
    /// When the path is malformed or the file system refuses.
    pub fn place(&self, file: &NewFile<'_>) -> Result<Placed, Error> {
        let parts = components(file.path)?;
        let wrong = || Error::Path {
            path: file.path.to_owned(),
        };
        let (name, directories) = parts.split_last().ok_or_else(wrong)?;
        let shown = self.path.join(parts.join("/"));
        let parent = self.directory(directories, file.uid, file.gid, file.directory_mode)?;
        if already_there(&parent, name, file).map_err(Error::file(&shown, "examining"))? {
            return Ok(Placed::AlreadyThere);
        }
        let temporary = format!(".gantry-{name}");
        let write = || -> io::Result<()> {
            match unlinkat(&parent, temporary.as_str(), UnlinkatFlags::NoRemoveDir) {
                Ok(()) | Err(nix::errno::Errno::ENOENT) => {}
                Err(error) => return Err(error.into()),
            }
            let flags =
                OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
            let mut out = File::from(openat(
                &parent,
                temporary.as_str(),
                flags,
                Mode::S_IRUSR | Mode::S_IWUSR,
            )?);
            out.write_all(file.contents)?;
            fchown(&out, Some(Uid::from_raw(file.uid)), Some(Gid::from_raw(file.gid)))?;
            out.set_permissions(std::fs::Permissions::from_mode(file.mode & 0o7777))?;
            out.sync_all()?;
            renameat(&parent, temporary.as_str(), &parent, *name)?;
            nix::unistd::fsync(&parent)?;
            Ok(())
        };
        write().map_err(Error::file(&shown, "writing"))?;
        Ok(Placed::Written)
    }

    /// Makes a directory and what is missing above it, owned by root. One that is there stays as it is.
    ///
    /// # Errors
    /// When the path is malformed or the file system refuses.
    pub fn make_directory(&self, path: &str, mode: u32) -> Result<(), Error> {
        self.directory(&components(path)?, 0, 0, mode).map(|_| ())
    }

    /// Opens the directory, making what is missing.
    fn directory(&self, parts: &[&str], uid: u32, gid: u32, mode: u32) -> Result<OwnedFd, Error> {
        let mut current = self
            .root
            .try_clone()
            .map_err(Error::file(&self.path, "opening"))?;
        let mut so_far = String::new();
        for part in parts {
            if !so_far.is_empty() {
                so_far.push('/');
            }
            so_far.push_str(part);
            let mut opened = openat2(&self.root, so_far.as_str(), how(DIRECTORY));
            if matches!(opened, Err(nix::errno::Errno::ENOENT)) {
                let make = || -> io::Result<()> {
                    let mode = Mode::from_bits_truncate(mode & 0o7777);
                    mkdirat(&current, *part, mode)?;
                    let made = openat2(&self.root, so_far.as_str(), how(DIRECTORY))?;
                    // The umask may have taken bits away.
                    nix::sys::stat::fchmod(&made, mode)?;
                    fchown(&made, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))?;
                    Ok(())
                };
                make().map_err(Error::file(self.path.join(&so_far), "making the directory"))?;
                opened = openat2(&self.root, so_far.as_str(), how(DIRECTORY));
            }
            current = opened
                .map_err(io::Error::from)
                .map_err(Error::file(self.path.join(&so_far), "opening the directory"))?;
        }
        Ok(current)
    }
}

fn how(flags: OFlag) -> OpenHow {
    OpenHow::new()
        .flags(flags)
        .resolve(ResolveFlag::RESOLVE_IN_ROOT | ResolveFlag::RESOLVE_NO_MAGICLINKS)
}

fn already_there(parent: impl AsFd, name: &str, file: &NewFile<'_>) -> io::Result<bool> {
    let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
    let mut found = match openat(parent, name, flags, Mode::empty()) {
        Ok(found) => File::from(found),
        // ELOOP: a symbolic link; it is replaced.
        Err(nix::errno::Errno::ENOENT | nix::errno::Errno::ELOOP) => return Ok(false),
        Err(error) => return Err(error.into()),
    };
    let metadata = found.metadata()?;
    if metadata.is_dir() {
        return Err(io::Error::from(io::ErrorKind::IsADirectory));
    }
    let same = metadata.is_file()
        && metadata.len() == file.contents.len() as u64
        && metadata.uid() == file.uid
        && metadata.gid() == file.gid
        && metadata.mode() & 0o7777 == file.mode & 0o7777;
    if !same {
        return Ok(false);
    }
    let mut contents = Vec::new();
    found.read_to_end(&mut contents)?;
    Ok(contents == file.contents)
}

/// The parts of an absolute path. `..` is refused rather than resolved: nobody writes it with a good reason.
fn components(path: &str) -> Result<Vec<&str>, Error> {
    let wrong = || Error::Path {
        path: path.to_owned(),
    };
    let relative = path.strip_prefix('/').ok_or_else(wrong)?;
    let parts: Vec<&str> = relative
        .split('/')
        .filter(|part| !matches!(*part, "" | "."))
        .collect();
    let refused = |part: &&str| *part == ".." || part.contains('\0');
    if parts.is_empty() || path.ends_with('/') || parts.iter().any(refused) {
        return Err(wrong());
    }
    Ok(parts)
}
