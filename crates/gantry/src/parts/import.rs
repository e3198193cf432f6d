//! The import of a bundle into the parts folder of an appliance.

use std::os::unix::fs::{MetadataExt, chown};
use std::path::{Path, PathBuf};

use anyhow::Context;
use parts_bundle::{Import, Imported, Key, Source};

use super::Agent;
use crate::failure::{Failure, Outcome};

/// Who must have signed the index.
#[derive(Debug)]
pub(crate) enum Trust {
    /// Nobody.
    Nobody,
    /// The key in a file.
    File(PathBuf),
    /// The key inside this program.
    Text(&'static str),
}

/// What is to be imported.
#[derive(Debug)]
pub(crate) struct Wanted {
    pub(crate) source: String,
    pub(crate) into: PathBuf,
    pub(crate) trust: Trust,
    pub(crate) kubernetes: Vec<String>,
}

/// Imports a bundle and builds its installer. What root imports belongs to whom the folder above belongs to, which is the
/// appliance's user.
pub(crate) async fn import(
    wanted: Wanted,
    progress: &mut (dyn FnMut(&str, u64, u64) + Send),
) -> Outcome<Imported> {
    let bad = |error: parts_bundle::Error| Failure::BadInput(error.to_string());
    let source = Source::parse(&wanted.source).map_err(bad)?;
    let key = match &wanted.trust {
        Trust::Nobody => None,
        Trust::File(path) => Some(Key::read(path).map_err(bad)?),
        Trust::Text(text) => Some(Key::parse(text, "the key inside this program").map_err(bad)?),
    };
    let asked = Import {
        source: &source,
        into: &wanted.into,
        key: key.as_ref(),
        kubernetes: &wanted.kubernetes,
    };
    let imported = parts_bundle::import(&asked, progress).await?;
    let into = wanted.into;
    tokio::task::spawn_blocking(move || {
        super::complete(&into, &Agent::find(None)?)?;
        match std::fs::metadata("/proc/self")?.uid() {
            0 => give(&into),
            _ => Ok(()),
        }
    })
    .await??;
    Ok(imported)
}

/// Gives the folder and what is in it to the owner of the folder above.
fn give(folder: &Path) -> anyhow::Result<()> {
    let above = folder.parent().context("the parts folder is the root folder")?;
    let owner = std::fs::metadata(above)?;
    let (user, group) = (owner.uid(), owner.gid());
    let mut left = vec![folder.to_owned()];
    while let Some(path) = left.pop() {
        let metadata = path.symlink_metadata()?;
        if metadata.is_dir() {
            for entry in std::fs::read_dir(&path)? {
                left.push(entry?.path());
            }
        }
        if !metadata.is_symlink() && (metadata.uid(), metadata.gid()) != (user, group) {
            chown(&path, Some(user), Some(group))
                .with_context(|| format!("give {} to the user {user} of the appliance", path.display()))?;
        }
    }
    Ok(())
}
