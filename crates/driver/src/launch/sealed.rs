//! A program in sealed memory: nobody can change it any more, whatever becomes of its file.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::path::Path;

use nix::fcntl::{self, FcntlArg, OFlag, SealFlag};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::stat::Mode;
use sha2::{Digest as _, Sha256};

use super::error::LaunchError;

const CHUNK: usize = 256 * 1024;

/// A program to be executed; one that is pinned is copied and compared. The descriptor is inherited, because the interpreter of
/// a script opens it.
pub(super) fn open(program: &Path, pinned: Option<&str>) -> Result<OwnedFd, LaunchError> {
    let failed = |error| LaunchError::Program(program.to_owned(), error);
    let Some(pinned) = pinned else {
        let flags = OFlag::O_RDONLY;
        return fcntl::open(program, flags, Mode::empty()).map_err(|error| failed(error.into()));
    };
    let (copy, found) = copied(program).map_err(failed)?;
    if found != pinned {
        return Err(LaunchError::Digest {
            program: program.to_owned(),
            found,
            pinned: pinned.to_owned(),
        });
    }
    Ok(copy)
}

/// The copy and its digest.
fn copied(program: &Path) -> io::Result<(OwnedFd, String)> {
    let mut file = File::open(program)?;
    let mut copy = File::from(memfd_create("driver", MFdFlags::MFD_ALLOW_SEALING)?);
    let mut hasher = Sha256::new();
    let mut chunk = vec![0; CHUNK];
    loop {
        let read = file.read(&mut chunk)?;
        let Some(bytes) = chunk.get(..read).filter(|bytes| !bytes.is_empty()) else {
            break;
        };
        hasher.update(bytes);
        copy.write_all(bytes)?;
    }
    let seals =
        SealFlag::F_SEAL_SEAL | SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW | SealFlag::F_SEAL_WRITE;
    fcntl::fcntl(&copy, FcntlArg::F_ADD_SEALS(seals))?;
    let digest = hasher.finalize();
    Ok((
        copy.into(),
        digest.iter().map(|byte| format!("{byte:02x}")).collect(),
    ))
}
