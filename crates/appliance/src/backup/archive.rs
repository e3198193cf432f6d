//! The file of a backup: a tar archive whose first entry, the manifest, says what the others are.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Component, Path, PathBuf};

use jiff::Timestamp;
use resources::Digest;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::error::{BackupError, damaged, file};

/// Name of the first entry.
const MANIFEST: &str = "manifest.json";
/// The one format that there is.
const FORMAT: u32 = 1;
/// Bytes that a manifest may have.
const MOST_BYTES: u64 = 64 * 1024 * 1024;
/// Bytes that are read at once.
const CHUNK: usize = 256 * 1024;

/// What a backup says of itself.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// Version of the format of the file.
    format: u32,
    /// Version of the program that made it.
    pub gantry: String,
    /// Name of the site.
    pub site: String,
    /// When the databases were copied.
    pub made_at: Timestamp,
    /// A known text, sealed with the site's key, hexadecimal: tells whether a key is the right one.
    pub(super) key_check: String,
    /// The files by name.
    pub(super) files: BTreeMap<String, Entry>,
}

/// A file of a backup.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Entry {
    size: u64,
    sha256: Digest,
}

impl Manifest {
    pub(super) fn new(site: String, made_at: Timestamp, key_check: String) -> Self {
        Self {
            format: FORMAT,
            gantry: env!("CARGO_PKG_VERSION").to_owned(),
            site,
            made_at,
            key_check,
            files: BTreeMap::new(),
        }
    }

    /// Bytes of all files.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.files.values().map(|entry| entry.size).sum()
    }
}

/// Writes the files below `folder` into a new archive at `target`, which is whole or not there. Nobody else can read it.
pub(super) fn write(folder: &Path, mut manifest: Manifest, target: &Path) -> Result<Manifest, BackupError> {
    for name in names(folder, Path::new(""))? {
        let entry = measure(&folder.join(&name))?;
        manifest.files.insert(name, entry);
    }
    let partial = target.with_extension("partial");
    match fs::remove_file(&partial) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(file("replace", &partial)(error));
        }
        _ => {}
    }
    let out = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&partial);
    let out = out.map_err(file("make", &partial))?;
    let written = append(out, folder, &manifest).map_err(file("write", &partial));
    let kept = written.and_then(|()| fs::rename(&partial, target).map_err(file("make", target)));
    if let Err(error) = kept {
        let _ = fs::remove_file(&partial);
        return Err(error);
    }
    sync_folder_of(target)?;
    Ok(manifest)
}

fn append(out: File, folder: &Path, manifest: &Manifest) -> io::Result<()> {
    let mut archive = tar::Builder::new(BufWriter::new(out));
    let text = serde_json::to_vec_pretty(manifest)?;
    let mut header = header(text.len() as u64);
    archive.append_data(&mut header, MANIFEST, text.as_slice())?;
    for (name, entry) in &manifest.files {
        let content = BufReader::new(File::open(folder.join(name))?);
        let mut header = self::header(entry.size);
        archive.append_data(&mut header, name, content)?;
    }
    let mut out = archive.into_inner()?;
    out.flush()?;
    out.get_ref().sync_all()
}

fn header(size: u64) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_size(size);
    header.set_mode(0o600);
    header
}

/// What the archive says of itself.
pub(super) fn manifest(path: &Path) -> Result<Manifest, BackupError> {
    let mut archive = open(path)?;
    let mut entries = archive.entries().map_err(damaged(path))?;
    first(path, &mut entries)
}

fn open(path: &Path) -> Result<tar::Archive<BufReader<File>>, BackupError> {
    let content = File::open(path).map_err(file("read", path))?;
    Ok(tar::Archive::new(BufReader::new(content)))
}

/// The manifest, which is the first of the entries.
fn first<R: Read>(path: &Path, entries: &mut tar::Entries<'_, R>) -> Result<Manifest, BackupError> {
    let first = entries.next().transpose().map_err(damaged(path))?;
    let first = first.filter(|entry| entry.path_bytes().as_ref() == MANIFEST.as_bytes());
    let first = first.ok_or_else(|| damaged(path)(format!("it does not begin with {MANIFEST}")))?;
    let manifest: Manifest = serde_json::from_reader(first.take(MOST_BYTES))
        .map_err(|error| damaged(path)(format!("{MANIFEST}: {error}")))?;
    if manifest.format != FORMAT {
        return Err(damaged(path)(format!(
            "it has format {}, and this version of Gantry knows {FORMAT}",
            manifest.format
        )));
    }
    Ok(manifest)
}

/// Unpacks the archive into a new folder. What is not as the manifest says is an error.
pub(super) fn unpack(path: &Path, folder: &Path) -> Result<Manifest, BackupError> {
    let mut archive = open(path)?;
    let mut entries = archive.entries().map_err(damaged(path))?;
    let manifest = first(path, &mut entries)?;
    let mut missing = manifest.files.clone();
    for entry in entries {
        let mut entry = entry.map_err(damaged(path))?;
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let known = missing.remove(&name).filter(|_| is_plain(&name));
        let known =
            known.ok_or_else(|| damaged(path)(format!("its manifest has no {name}, or has it once")))?;
        let target = folder.join(&name);
        let found = copy(&mut entry, &target).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => damaged(path)(format!("{name} is cut off")),
            _ => file("write", &target)(error),
        })?;
        if (found.size, found.sha256) != (known.size, known.sha256) {
            return Err(damaged(path)(format!("{name} is not what its manifest says")));
        }
    }
    match missing.keys().next() {
        Some(name) => Err(damaged(path)(format!("{name} is missing"))),
        None => Ok(manifest),
    }
}

/// Whether a name stays below the folder that it is unpacked into.
fn is_plain(name: &str) -> bool {
    let mut parts = Path::new(name).components();
    !name.is_empty() && parts.all(|part| matches!(part, Component::Normal(_)))
}

fn copy(content: &mut impl Read, target: &Path) -> io::Result<Entry> {
    if let Some(folder) = target.parent() {
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    }
    let mut out = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(target)?;
    let entry = hash(content, |bytes| out.write_all(bytes))?;
    out.sync_all()?;
    Ok(entry)
}

fn measure(path: &Path) -> Result<Entry, BackupError> {
    let measured = File::open(path).and_then(|mut content| hash(&mut content, |_| Ok(())));
    measured.map_err(file("read", path))
}

/// Size and SHA-256 of all that is read, which is handed on.
fn hash(content: &mut impl Read, mut each: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<Entry> {
    let (mut buffer, mut hasher, mut size) = (vec![0; CHUNK], Sha256::new(), 0);
    loop {
        let count = match content.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        let bytes = buffer.get(..count).unwrap_or_default();
        hasher.update(bytes);
        each(bytes)?;
        size += count as u64;
    }
    Ok(Entry {
        size,
        sha256: Digest::new(hasher.finalize().into()),
    })
}

/// The files below a folder by their names from `root`, in order.
fn names(root: &Path, below: &Path) -> Result<Vec<String>, BackupError> {
    let folder = root.join(below);
    let mut found = Vec::new();
    for entry in fs::read_dir(&folder).map_err(file("list", &folder))? {
        let entry = entry.map_err(file("list", &folder))?;
        let name = below.join(entry.file_name());
        let kind = entry.file_type().map_err(file("look at", &entry.path()))?;
        if kind.is_dir() {
            found.extend(names(root, &name)?);
        } else {
            found.push(name.to_string_lossy().into_owned());
        }
    }
    found.sort();
    Ok(found)
}

/// What was renamed into a folder is there after a power cut.
pub(super) fn sync_folder_of(path: &Path) -> Result<(), BackupError> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let parent: PathBuf = parent.unwrap_or(Path::new(".")).to_owned();
    let synced = File::open(&parent).and_then(|folder| folder.sync_all());
    synced.map_err(file("sync", &parent))
}
