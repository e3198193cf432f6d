//! The site's keys in a file of their own.

use std::fs::{self, OpenOptions};
use std::io::{self, BufReader, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use super::archive::sync_folder_of;
use super::error::{BackupError, damaged, file};

/// Bytes that a key file may have.
const MOST_BYTES: u64 = 1024 * 1024;

/// Writes every key file into a new archive that nobody else can read. An archive that is there is not replaced: it may be
/// the only copy of older keys.
pub(super) fn write(keys: &Path, target: &Path) -> Result<(), BackupError> {
    let out = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(target);
    let out = out.map_err(file("make", target))?;
    let written = append(keys, out);
    if let Err(error) = written {
        let _ = fs::remove_file(target);
        return Err(file("copy keys to", target)(error));
    }
    sync_folder_of(target)
}

fn append(keys: &Path, out: fs::File) -> io::Result<()> {
    let mut archive = tar::Builder::new(out);
    for entry in fs::read_dir(keys)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        // A draft of a key that a crash has left.
        if !entry.file_type()?.is_file() || name.starts_with('.') {
            continue;
        }
        let content = fs::read(entry.path())?;
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o600);
        archive.append_data(&mut header, &name, content.as_slice())?;
    }
    let mut out = archive.into_inner()?;
    out.flush()?;
    out.sync_all()
}

/// The key files of an archive, by name.
pub(super) fn read(path: &Path) -> Result<Vec<(String, Vec<u8>)>, BackupError> {
    let content = fs::File::open(path).map_err(file("read", path))?;
    let mut archive = tar::Archive::new(BufReader::new(content));
    let mut found = Vec::new();
    for entry in archive.entries().map_err(damaged(path))? {
        let mut entry = entry.map_err(damaged(path))?;
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        if name.contains('/') || name.starts_with('.') || entry.size() > MOST_BYTES {
            return Err(damaged(path)(format!("{name} is no key file")));
        }
        let mut key = Vec::new();
        io::copy(&mut entry, &mut key).map_err(damaged(path))?;
        found.push((name, key));
    }
    if found.is_empty() {
        return Err(damaged(path)("there is no key in it"));
    }
    Ok(found)
}

/// Whether the key files can be put into the folder: those that are there are the same.
pub(super) fn check(keys: &[(String, Vec<u8>)], folder: &Path, from: &Path) -> Result<(), BackupError> {
    for (name, key) in keys {
        let path = folder.join(name);
        match fs::read(&path) {
            Ok(there) if there == *key => {}
            Ok(_) => {
                return Err(BackupError::KeysThere {
                    path,
                    from: from.to_owned(),
                });
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(file("read", &path)(error)),
        }
    }
    Ok(())
}

/// Puts the key files that are missing into the folder.
pub(super) fn install(keys: &[(String, Vec<u8>)], folder: &Path) -> Result<(), BackupError> {
    for (name, key) in keys {
        let path = folder.join(name);
        let out = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path);
        let mut out = match out {
            Ok(out) => out,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
            Err(error) => return Err(file("make", &path)(error)),
        };
        let written = out.write_all(key).and_then(|()| out.sync_all());
        written.map_err(file("write", &path))?;
        sync_folder_of(&path)?;
    }
    Ok(())
}
