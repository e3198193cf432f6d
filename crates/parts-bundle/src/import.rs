//! The import: what the index names and the folder lacks is copied or downloaded, checked, and put in its place.

use std::collections::BTreeSet;
use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::fcntl::{Flock, FlockArg};
use resources::Digest;
use tokio::fs;

use crate::error::{Error, failed};
use crate::index::{Entry, INDEX_FILE, Index, PARTIAL, SIGNATURE_FILE, measured};
use crate::key::Key;
use crate::source::Source;

/// Bytes of the longest index.
const LONGEST_INDEX: u64 = 1 << 20;
/// Bytes of the longest signature.
const LONGEST_SIGNATURE: u64 = 4 << 10;
/// How often a file is asked for that ends too early, or whose connection breaks, without a byte more.
const TRIES: u32 = 5;
/// Bytes that stay free on the disk.
const RESERVE: u64 = 256 << 20;

/// What is to be imported, and from where.
#[derive(Debug)]
pub struct Import<'a> {
    /// Where the bundle lies.
    pub source: &'a Source,
    /// The parts folder; made where it is missing.
    pub into: &'a Path,
    /// Who must have signed the index; `None`: it need not be signed.
    pub key: Option<&'a Key>,
    /// Minor versions of Kubernetes; empty: all of the bundle.
    pub kubernetes: &'a [String],
}

/// What an import did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Imported {
    /// Version of Gantry that made the bundle.
    pub gantry: String,
    /// Files that came, in the order of the index.
    pub new: Vec<String>,
    /// Files that were there already.
    pub kept: usize,
    /// SHA-256 of the index, for those who compare it by hand.
    pub index: Digest,
}

/// Imports a bundle. `progress` hears the path, the bytes that are there and the size of the file under way. What an interrupted
/// import has brought is kept, and the next one continues there. Releases come last, so none is there without its image.
///
/// # Errors
/// See [`Error`]; the parts folder stays as it was but for files that came whole.
pub async fn import(
    wanted: &Import<'_>,
    progress: &mut (dyn FnMut(&str, u64, u64) + Send),
) -> Result<Imported, Error> {
    let (index, digest) = trusted_index(wanted).await?;
    let mut files = chosen(&index, wanted.kubernetes)?;
    files.sort_by_key(|entry| entry.path.starts_with("release"));
    let partial = wanted.into.join(PARTIAL);
    fs::create_dir_all(&partial)
        .await
        .map_err(failed(&partial, "making"))?;
    let _lock = locked(wanted.into)?;
    let (mut missing, mut kept) = (Vec::new(), 0);
    for entry in files {
        match is_there(&wanted.into.join(&entry.path), entry).await? {
            true => kept += 1,
            false => missing.push(entry),
        }
    }
    has_space(wanted.into, &partial, &missing)?;
    for entry in &missing {
        fetch(wanted, entry, &partial, progress).await?;
    }
    // Of bundles that nobody imports any more.
    let _ = fs::remove_dir_all(&partial).await;
    Ok(Imported {
        gantry: index.gantry.clone(),
        new: missing.iter().map(|entry| entry.path.clone()).collect(),
        kept,
        index: digest,
    })
}

/// The index, after its signature was checked.
async fn trusted_index(wanted: &Import<'_>) -> Result<(Index, Digest), Error> {
    let source = wanted.source;
    let place = source.place(INDEX_FILE);
    let Some(text) = source.small(INDEX_FILE, LONGEST_INDEX).await? else {
        return Err(Error::Index {
            place,
            reason: "there is no such file, so this is no bundle; `gantry image export DIR` makes one"
                .to_owned(),
        });
    };
    if let Some(key) = wanted.key {
        let place = source.place(SIGNATURE_FILE);
        let Some(signature) = source.small(SIGNATURE_FILE, LONGEST_SIGNATURE).await? else {
            return Err(Error::Unsigned { place });
        };
        key.check(&text, &signature, &place)?;
    }
    let digest = <sha2::Sha256 as sha2::Digest>::digest(&text);
    Ok((Index::parse(&text, &place)?, Digest::new(digest.into())))
}

/// Files for all versions of Kubernetes, and those for the versions that are asked for.
fn chosen<'a>(index: &'a Index, kubernetes: &[String]) -> Result<Vec<&'a Entry>, Error> {
    let known = index.versions();
    let asked: BTreeSet<&str> = kubernetes.iter().map(String::as_str).collect();
    if let Some(unknown) = asked.difference(&known).next() {
        let known: Vec<&str> = known.iter().copied().collect();
        return Err(Error::Version {
            asked: (*unknown).to_owned(),
            known: if known.is_empty() {
                "none".to_owned()
            } else {
                known.join(", ")
            },
        });
    }
    let fits = |entry: &&Entry| {
        let version = entry.kubernetes.as_deref();
        asked.is_empty() || version.is_none_or(|version| asked.contains(version))
    };
    Ok(index.files.iter().filter(fits).collect())
}

async fn fetch(
    wanted: &Import<'_>,
    entry: &Entry,
    partial: &Path,
    progress: &mut (dyn FnMut(&str, u64, u64) + Send),
) -> Result<(), Error> {
    let partial = partial.join(entry.digest.hex());
    let place = wanted.source.place(&entry.path);
    complete(wanted.source, entry, &partial, progress).await?;
    let (_, mut found) = measured_aside(&partial).await?;
    if found != entry.digest {
        // What was left of an interrupted import may be of another file; from the start it can't be.
        fs::remove_file(&partial)
            .await
            .map_err(failed(&partial, "removing"))?;
        complete(wanted.source, entry, &partial, progress).await?;
        found = measured_aside(&partial).await?.1;
    }
    if found != entry.digest {
        fs::remove_file(&partial)
            .await
            .map_err(failed(&partial, "removing"))?;
        return Err(Error::WrongDigest {
            place,
            found,
            wanted: entry.digest,
        });
    }
    let target = wanted.into.join(&entry.path);
    let folder = target.parent().unwrap_or(wanted.into).to_owned();
    fs::create_dir_all(&folder)
        .await
        .map_err(failed(&folder, "making"))?;
    let file = fs::File::open(&partial)
        .await
        .map_err(failed(&partial, "reading"))?;
    file.sync_all().await.map_err(failed(&partial, "writing"))?;
    if is_program(&entry.path) {
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        let set = file.set_permissions(mode).await;
        set.map_err(failed(&partial, "making executable"))?;
    }
    fs::rename(&partial, &target)
        .await
        .map_err(failed(&target, "writing"))
}

/// Asks until the file is as long as the index says, and gives up when nothing more comes.
async fn complete(
    source: &Source,
    entry: &Entry,
    partial: &Path,
    progress: &mut (dyn FnMut(&str, u64, u64) + Send),
) -> Result<(), Error> {
    let (mut before, mut tries) = (0, 0);
    loop {
        let mut at = |got| progress(&entry.path, got, entry.size);
        let result = source.append(&entry.path, entry.size, partial, &mut at).await;
        let got = fs::metadata(partial).await.map_or(0, |metadata| metadata.len());
        match &result {
            Ok(_) if got >= entry.size => return Ok(()),
            Err(Error::Refused { status, .. }) if (400..500).contains(status) => return result.map(drop),
            Err(Error::File { .. }) => return result.map(drop),
            _ => {}
        }
        tries = if got > before { 0 } else { tries + 1 };
        before = got;
        if tries == TRIES || matches!(source, Source::Folder(_)) {
            result?;
            return Err(Error::Short {
                place: source.place(&entry.path),
                got,
                wanted: entry.size,
            });
        }
        tokio::time::sleep(Duration::from_millis(200 << tries)).await;
    }
}

async fn is_there(path: &Path, entry: &Entry) -> Result<bool, Error> {
    match fs::metadata(path).await {
        Ok(metadata) if metadata.len() == entry.size => {
            Ok(measured_aside(path).await? == (entry.size, entry.digest))
        }
        Ok(_) => Ok(false),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(failed(path, "reading")(error)),
    }
}

/// Hashing takes the processor for seconds.
async fn measured_aside(path: &Path) -> Result<(u64, Digest), Error> {
    let owned = path.to_owned();
    let measuring = tokio::task::spawn_blocking(move || measured(&owned));
    let result = measuring
        .await
        .unwrap_or_else(|error| Err(io::Error::other(error)));
    result.map_err(failed(path, "reading"))
}

fn is_program(path: &str) -> bool {
    path.starts_with("bin/")
}

/// One import at a time; the kernel gives the lock back when the process ends.
fn locked(folder: &Path) -> Result<Flock<std::fs::File>, Error> {
    let file = std::fs::File::open(folder).map_err(failed(folder, "opening"))?;
    Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|_| Error::Busy {
        folder: PathBuf::from(folder),
    })
}

fn has_space(folder: &Path, partial: &Path, missing: &[&Entry]) -> Result<(), Error> {
    let already = |entry: &&Entry| {
        std::fs::metadata(partial.join(entry.digest.hex())).map_or(0, |metadata| metadata.len())
    };
    let to_come = missing
        .iter()
        .map(|entry| entry.size.saturating_sub(already(entry)));
    let needed = to_come.sum::<u64>();
    let opened = std::fs::File::open(folder).map_err(failed(folder, "opening"))?;
    let space = nix::sys::statvfs::fstatvfs(opened.as_fd())
        .map_err(|error| failed(folder, "examining")(error.into()))?;
    let free = space.blocks_available() * space.fragment_size();
    if needed > 0 && free < needed + RESERVE {
        return Err(Error::Space {
            folder: folder.to_owned(),
            free: free / 1_000_000,
            needed: (needed + RESERVE) / 1_000_000,
        });
    }
    Ok(())
}
