//! The index of a bundle: which files belong to it.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

use resources::Digest;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::error::{Error, failed};

/// File name of the index.
pub const INDEX_FILE: &str = "index.json";
/// File name of its signature, as `minisign -S -m index.json` names it.
pub const SIGNATURE_FILE: &str = "index.json.minisig";
/// Folder in the parts folder for files that are not complete.
pub(crate) const PARTIAL: &str = "partial";
/// The format that is written and read.
const FORMAT: u32 = 1;
/// Most files of a bundle.
const MOST_FILES: usize = 1_000;
/// Largest file of a bundle in bytes.
const LARGEST: u64 = 64 << 30;

/// What belongs to a bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Index {
    /// Version of this format.
    pub format: u32,
    /// Version of Gantry that made the bundle.
    pub gantry: String,
    /// In the order of their paths.
    pub files: Vec<Entry>,
}

/// One file of a bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Entry {
    /// Below the folder, with `/`.
    pub path: String,
    /// In bytes.
    pub size: u64,
    /// SHA-256 of the file.
    pub digest: Digest,
    /// Minor version of Kubernetes that the file is for, such as `1.35`; absent: for all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kubernetes: Option<String>,
}

impl Index {
    /// The index of these files below a folder, each with the minor version of Kubernetes that it is for.
    ///
    /// # Errors
    /// If a file cannot be read.
    pub fn of(folder: &Path, gantry: &str, mut files: Vec<(String, Option<String>)>) -> Result<Index, Error> {
        files.sort();
        let entries = files.into_iter().map(|(path, kubernetes)| {
            let place = folder.join(&path);
            let (size, digest) = measured(&place).map_err(failed(&place, "reading"))?;
            Ok(Entry {
                path,
                size,
                digest,
                kubernetes,
            })
        });
        Ok(Index {
            format: FORMAT,
            gantry: gantry.to_owned(),
            files: entries.collect::<Result<_, Error>>()?,
        })
    }

    /// Writes it into the folder. A signature that is there fits no longer, and goes.
    ///
    /// # Errors
    /// If the folder cannot be written.
    pub fn write(&self, folder: &Path) -> Result<(), Error> {
        let place = folder.join(INDEX_FILE);
        let draft = folder.join(".index.json.draft");
        let signature = folder.join(SIGNATURE_FILE);
        let written = || -> io::Result<()> {
            let mut file = File::create(&draft)?;
            serde_json::to_writer_pretty(&mut file, self)?;
            file.write_all(b"\n")?;
            file.sync_all()?;
            match std::fs::remove_file(&signature) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            std::fs::rename(&draft, &place)
        };
        written().map_err(failed(&place, "writing"))
    }

    /// Reads and checks an index; `place` is named in errors.
    ///
    /// # Errors
    /// If it is of another format, or names files in places where a bundle has none.
    pub fn parse(text: &[u8], place: &str) -> Result<Index, Error> {
        let refused = |reason: String| Error::Index {
            place: place.to_owned(),
            reason,
        };
        let format: Format = serde_json::from_slice(text).map_err(|error| refused(error.to_string()))?;
        if format.format != FORMAT {
            return Err(refused(format!(
                "format {} is not known here, only {FORMAT}; a newer Gantry made this bundle",
                format.format
            )));
        }
        let index: Index = serde_json::from_slice(text).map_err(|error| refused(error.to_string()))?;
        if index.files.len() > MOST_FILES {
            return Err(refused(format!("it names more than {MOST_FILES} files")));
        }
        let mut seen = BTreeSet::new();
        for entry in &index.files {
            if let Some(reason) = wrong_path(&entry.path) {
                return Err(refused(format!("file {:?}: {reason}", entry.path)));
            }
            if !seen.insert(&entry.path) {
                return Err(refused(format!("it names {:?} twice", entry.path)));
            }
            if entry.size > LARGEST {
                return Err(refused(format!("file {:?} is too large", entry.path)));
            }
        }
        Ok(index)
    }

    /// Minor versions of Kubernetes in the bundle.
    #[must_use]
    pub fn versions(&self) -> BTreeSet<&str> {
        self.files
            .iter()
            .filter_map(|entry| entry.kubernetes.as_deref())
            .collect()
    }
}

/// Read first, so that another format is called that, whatever fields it has.
#[derive(Deserialize)]
struct Format {
    format: u32,
}

/// Size and digest of a file.
pub(crate) fn measured(path: &Path) -> io::Result<(u64, Digest)> {
    let (mut file, mut hash) = (File::open(path)?, Sha256::new());
    let (mut size, mut piece) = (0, vec![0; 1 << 20]);
    loop {
        let count = file.read(&mut piece)?;
        let Some(read) = piece.get(..count).filter(|read| !read.is_empty()) else {
            return Ok((size, Digest::new(hash.finalize().into())));
        };
        hash.update(read);
        size += read.len() as u64;
    }
}

/// Why a bundle has no file of that path.
fn wrong_path(path: &str) -> Option<&'static str> {
    let is_plain = |part: &str| {
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '+');
        !part.is_empty() && !part.starts_with('.') && part.chars().all(fits)
    };
    if path.len() > 200 || !path.split('/').all(is_plain) {
        return Some("a path has letters, digits and . - _ + between slashes, and no part begins with a dot");
    }
    let reserved = [INDEX_FILE, SIGNATURE_FILE, PARTIAL];
    let first = path.split('/').next().unwrap_or_default();
    reserved
        .contains(&first)
        .then_some("the name belongs to the index or to imports under way")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_path(path: &str) -> Vec<u8> {
        let entry = Entry {
            path: path.to_owned(),
            size: 1,
            digest: Digest::new([0; 32]),
            kubernetes: None,
        };
        let index = Index {
            format: FORMAT,
            gantry: "0.1.0".to_owned(),
            files: vec![entry],
        };
        serde_json::to_vec(&index).unwrap()
    }

    #[test]
    fn paths_stay_below_the_folder() {
        for path in [
            "boot/vmlinuz",
            "images/debian-13-kubernetes-1.35.raw.zst",
            "release.json",
        ] {
            Index::parse(&with_path(path), "i").unwrap();
        }
        for path in [
            "",
            "/etc/passwd",
            "../x",
            "boot/../../x",
            "a//b",
            "boot/",
            ".hidden",
            "boot/.x",
            "a\\b",
            "a\0b",
            "index.json",
            "partial/x",
        ] {
            let error = Index::parse(&with_path(path), "i").unwrap_err().to_string();
            assert!(error.starts_with("i: file "), "{path}: {error}");
        }
    }

    #[test]
    fn another_format_is_called_that_and_names_no_field() {
        let text = br#"{"format": 2, "parts": []}"#;
        let error = Index::parse(text, "i").unwrap_err().to_string();
        assert!(error.contains("format 2 is not known"), "{error}");
    }

    #[test]
    fn a_file_that_is_named_twice_is_refused() {
        let mut index = Index::parse(&with_path("boot/vmlinuz"), "i").unwrap();
        index.files.push(index.files[0].clone());
        let error = Index::parse(&serde_json::to_vec(&index).unwrap(), "i").unwrap_err();
        assert!(error.to_string().contains("twice"), "{error}");
    }
}
