//! Builds parts, inputs first: what the cache has is taken, the rest made under the lock.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use resources::Digest;
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use crate::cache::{Cache, Record, default_cache_dir};
use crate::error::{Error, Result};
use crate::part::Part;
use crate::parts::{self, Job};
use crate::progress::{Event, Progress};
use crate::versions::ReleaseRecipe;
use crate::{digest, host, lanes};

/// How to build.
pub struct BuildOptions {
    /// Where results are kept.
    pub cache_dir: PathBuf,
    /// What is built.
    pub release: ReleaseRecipe,
    /// Build the named parts again although they are in the cache.
    pub force: bool,
    /// Debian archive or a mirror of it; the one that this host's apt uses unless said otherwise.
    pub debian_mirror: String,
    /// Hears what happens.
    pub progress: Arc<Progress>,
    /// Set to stop the build; a part that fails sets it for the part beside it.
    pub cancel: Arc<AtomicBool>,
}

impl std::fmt::Debug for BuildOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut shown = f.debug_struct("BuildOptions");
        shown
            .field("cache_dir", &self.cache_dir)
            .field("release", &self.release.minor)
            .field("force", &self.force)
            .field("debian_mirror", &self.debian_mirror);
        shown.finish_non_exhaustive()
    }
}

impl Default for BuildOptions {
    fn default() -> Self {
        Self {
            cache_dir: default_cache_dir(),
            release: ReleaseRecipe::NEWEST,
            force: false,
            debian_mirror: host::debian_mirror(),
            progress: Arc::new(|_| ()),
            cancel: Arc::default(),
        }
    }
}

/// A part that is in the cache now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Built {
    /// Part.
    pub name: String,
    /// Its directory.
    pub path: PathBuf,
    /// Digest over its files.
    pub digest: Digest,
    /// Digest of what it was made from.
    pub recipe_digest: Digest,
    /// Bytes of its files.
    pub size: u64,
    /// Whether it was there already.
    pub cached: bool,
}

/// A part for a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Listed {
    /// Part.
    pub name: String,
    /// What it is.
    pub about: String,
    /// Digest of what it would be made from.
    pub recipe_digest: Digest,
    /// The result, if it is in the cache.
    pub built: Option<Built>,
}

/// All parts of a release, and which are in the cache.
///
/// # Errors
/// If the cache cannot be read.
pub fn list(cache_dir: &Path, release: ReleaseRecipe) -> Result<Vec<Listed>> {
    let cache = Cache::new(cache_dir);
    let listed = |(part, recipe_digest): (Part, Digest)| {
        let built = cache
            .find(recipe_digest)?
            .map(|record| built(&cache, record, true));
        Ok(Listed {
            name: part.name().to_owned(),
            about: part.about().to_owned(),
            recipe_digest,
            built,
        })
    };
    digest::digests(release).into_iter().map(listed).collect()
}

/// Builds the named parts and what they are made of; no names means all. Blocks; run it on a thread of its own.
///
/// # Errors
/// If a name is unknown, this machine lacks a program, or a recipe fails. What was finished before stays.
pub fn build(names: &[String], options: &BuildOptions) -> Result<Vec<Built>> {
    let wanted = if names.is_empty() {
        Part::ALL.to_vec()
    } else {
        names
            .iter()
            .map(|name| Part::named(name))
            .collect::<Result<Vec<_>>>()?
    };
    let cache = Cache::new(&options.cache_dir);
    let digests = digest::digests(options.release);
    let forced = |part: Part| options.force && wanted.contains(&part);
    let find = |part: Part| -> Result<Option<Record>> {
        match digests.get(&part) {
            Some(&digest) if !forced(part) => cache.find(digest),
            _ => Ok(None),
        }
    };
    // A finished part needs none of its inputs, so a cleaned cache may keep the node image alone.
    let missing: Vec<Part> = missing(&wanted, &find)?;
    if missing.is_empty() {
        return wanted
            .iter()
            .filter_map(|&part| find(part).transpose())
            .map(|record| Ok(announce(&cache, record?, options)))
            .collect();
    }
    check_host(&missing, options)?;
    let _guard = cache.lock(&*options.progress)?;
    cache.sweep()?;
    let ordered = Part::ALL.into_iter();
    let ordered: Vec<Part> = ordered
        .filter(|part| wanted.contains(part) || missing.contains(part))
        .collect();
    let built = lanes::build(&ordered, &options.cancel, |part| {
        // Looked up again: another process may have built it while this one waited for the lock.
        match (find(part)?, digests.get(&part)) {
            (Some(record), _) => Ok(Some(announce(&cache, record, options))),
            (None, Some(&digest)) => make(part, digest, &digests, &cache, options).map(Some),
            (None, None) => Ok(None),
        }
    })?;
    Ok(built.into_values().flatten().collect())
}

/// The wanted parts that are not there, and of their inputs those that are not there either.
fn missing(wanted: &[Part], find: &dyn Fn(Part) -> Result<Option<Record>>) -> Result<Vec<Part>> {
    let mut missing = Vec::new();
    let mut open = wanted.to_vec();
    while let Some(part) = open.pop() {
        if !missing.contains(&part) && find(part)?.is_none() {
            missing.push(part);
            open.extend(part.inputs());
        }
    }
    missing.sort_unstable();
    Ok(missing)
}

fn check_host(missing: &[Part], options: &BuildOptions) -> Result<()> {
    if let Some(part) = missing
        .iter()
        .find(|part| parts::needs_root(**part))
        .filter(|_| !nix::unistd::geteuid().is_root())
    {
        return Err(Error::NotRoot {
            part: part.name().to_owned(),
        });
    }
    let name = missing.first().map_or("", |part| part.name());
    host::ensure_host_packages(missing, &mut |text| {
        (options.progress)(Event::Line {
            part: name,
            text: text.to_owned(),
        })
    })
}

fn announce(cache: &Cache, record: Record, options: &BuildOptions) -> Built {
    if let Ok(part) = Part::named(&record.name) {
        (options.progress)(Event::Cached { part: part.name() });
    }
    built(cache, record, true)
}

fn built(cache: &Cache, record: Record, cached: bool) -> Built {
    Built {
        path: cache.path(record.recipe_digest),
        name: record.name,
        digest: record.digest,
        recipe_digest: record.recipe_digest,
        size: record.size,
        cached,
    }
}

fn make(
    part: Part,
    recipe_digest: Digest,
    digests: &BTreeMap<Part, Digest>,
    cache: &Cache,
    options: &BuildOptions,
) -> Result<Built> {
    let start = Instant::now();
    (options.progress)(Event::Started {
        part: part.name(),
        steps: part.steps(),
    });
    let staging = cache.staging(recipe_digest)?;
    let inputs = part
        .inputs()
        .iter()
        .filter_map(|input| Some((*input, cache.path(*digests.get(input)?))));
    let job = Job {
        release: options.release,
        part,
        inputs: inputs.collect(),
        out: staging.out(),
        work: staging.work(),
        mirror: options.debian_mirror.clone(),
        progress: &*options.progress,
        cancel: &options.cancel,
        step: Cell::new(0),
    };
    parts::build(&job)?;
    let (digest, size) = digest_of(&staging.out())?;
    let newest = digest::digests(ReleaseRecipe::NEWEST);
    let is_older = newest.get(&part) != Some(&recipe_digest);
    let record = Record {
        older_release: is_older.then(|| options.release.minor.to_owned()),
        name: part.name().to_owned(),
        recipe_digest,
        digest,
        size,
    };
    cache.publish(&staging, &record)?;
    (options.progress)(Event::Finished {
        part: part.name(),
        took: start.elapsed(),
    });
    Ok(built(cache, record, false))
}

/// Digest over names and digests of a directory's files (there are no folders in results), and their bytes.
fn digest_of(folder: &Path) -> Result<(Digest, u64)> {
    let mut names: Vec<PathBuf> = fs::read_dir(folder)
        .map_err(Error::file("list", folder))?
        .flatten()
        .map(|entry| entry.path())
        .collect();
    names.sort();
    let mut all = Sha256::new();
    let mut size = 0;
    for path in names {
        let mut file = fs::File::open(&path).map_err(Error::file("open", &path))?;
        let mut hash = Sha256::new();
        let mut buffer = vec![0; 1 << 20];
        loop {
            let read = file.read(&mut buffer).map_err(Error::file("read", &path))?;
            let Some(octets) = buffer.get(..read).filter(|octets| !octets.is_empty()) else {
                break;
            };
            hash.update(octets);
            size += read as u64;
        }
        all.update(path.file_name().unwrap_or_default().as_encoded_bytes());
        all.update([0]);
        all.update(hash.finalize());
    }
    Ok((Digest::new(all.finalize().into()), size))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_missing_and_what_it_is_made_of_is_built() {
        let record = || Record {
            older_release: None,
            name: String::new(),
            recipe_digest: Digest::new([0; 32]),
            digest: Digest::new([0; 32]),
            size: 0,
        };
        let none = |_| Ok(None);
        assert_eq!(missing(&[Part::Boot], &none).unwrap(), [Part::Debian, Part::Boot]);
        assert_eq!(missing(&Part::ALL, &none).unwrap(), Part::ALL);
        let all = |_| Ok(Some(record()));
        assert!(missing(&[Part::NodeDebian], &all).unwrap().is_empty());
        let but_boot = |part| Ok((part != Part::Boot).then(record));
        assert_eq!(missing(&Part::ALL, &but_boot).unwrap(), [Part::Boot]);
    }

    #[test]
    fn an_unknown_name_is_refused_before_anything_happens() {
        let folder = tempfile::tempdir().unwrap();
        let options = BuildOptions {
            cache_dir: folder.path().join("cache"),
            ..BuildOptions::default()
        };
        assert!(matches!(
            build(&["nod".to_owned()], &options),
            Err(Error::UnknownPart { .. })
        ));
        assert!(!options.cache_dir.exists());
    }

    #[test]
    fn a_list_names_every_part() {
        let folder = tempfile::tempdir().unwrap();
        let names: Vec<String> = list(folder.path(), ReleaseRecipe::NEWEST)
            .unwrap()
            .into_iter()
            .map(|listed| listed.name)
            .collect();
        assert_eq!(names, Part::ALL.map(|part| part.name().to_owned()));
    }

    #[test]
    fn a_digest_covers_names_and_contents() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("a"), "1").unwrap();
        let first = digest_of(folder.path()).unwrap();
        assert_eq!(first.1, 1);
        fs::rename(folder.path().join("a"), folder.path().join("b")).unwrap();
        assert_ne!(digest_of(folder.path()).unwrap().0, first.0);
    }
}
