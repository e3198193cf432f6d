//! The way back from a backup.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use pki::{KeyDir, Sealer};
use resources::Time;
use resources::gantry::Restored as Mark;
use store::DataDir;
use tokio::task::spawn_blocking;

use super::archive::{self, Manifest, sync_folder_of};
use super::error::{BackupError, file};
use super::make::KEY_CHECK;
use super::marks::{Marked, mark};
use super::{RECORDS, STATE, keys};
use crate::foundation::{RESTORE_FOLDER, SEALED_FILES, Seal};
use crate::settings::Settings;

/// What belongs to an appliance's data. The database of objects is the first to go and the last to come: without it the rest
/// is no appliance.
const PARTS: [&str; 7] = [
    STATE,
    "state.db-wal",
    "state.db-shm",
    RECORDS,
    "records.db-wal",
    "records.db-shm",
    SEALED_FILES,
];

/// What to restore from.
#[derive(Debug, Clone)]
pub struct From {
    /// The backup.
    pub backup: PathBuf,
    /// The file with the site's keys, where the key directory does not have them.
    pub keys: Option<PathBuf>,
    /// Data that are there are moved aside.
    pub replace: bool,
}

/// A restore that was made.
#[derive(Debug)]
pub struct Restored {
    /// What the backup says of itself.
    pub manifest: Manifest,
    /// What was marked in its objects.
    pub marked: Marked,
    /// Where the data are that were there before.
    pub replaced: Option<PathBuf>,
}

/// Puts a backup in the place of the data directory of these settings. Everything is read and checked before anything is
/// changed there.
///
/// # Errors
/// When an appliance runs with these data, or the backup is damaged, of a newer version or sealed with other keys.
pub async fn restore(settings: &Settings, from: &From) -> Result<Restored, BackupError> {
    let store = |source| BackupError::Store {
        path: settings.data.clone(),
        source,
    };
    let data = DataDir::lock(&settings.data).map_err(store)?;
    if data.file(STATE).exists() && !from.replace {
        return Err(BackupError::DataThere {
            path: settings.data.clone(),
        });
    }
    let given = from.keys.as_deref().map(keys::read).transpose()?;
    let key_dir = KeyDir::open(&settings.key_dir).map_err(|source| BackupError::Keys {
        path: settings.key_dir.clone(),
        source,
    })?;
    if let (Some(given), Some(path)) = (&given, &from.keys) {
        keys::check(given, key_dir.path(), path)?;
    }
    let sealer = sealer(settings, from, given.as_deref())?;

    let folder = data.file(RESTORE_FOLDER);
    clear(&folder)?;
    fs::create_dir(&folder).map_err(file("make", &folder))?;
    let (source, target) = (from.backup.clone(), folder.clone());
    let manifest = spawn_blocking(move || archive::unpack(&source, &target)).await??;
    for name in [STATE, RECORDS] {
        store::check_database(&folder.join(name)).await.map_err(store)?;
    }
    let at = Mark {
        backup_at: Some(Time(manifest.made_at)),
        at: Time(Timestamp::now()),
    };
    let marked = mark(&folder.join(STATE), Arc::new(Seal(sealer)), &at).await?;

    if let Some(given) = &given {
        keys::install(given, key_dir.path())?;
    }
    let replaced = set_aside(&data, at.at.0)?;
    for name in PARTS.iter().rev() {
        rename(&folder.join(name), &data.file(name))?;
    }
    clear(&folder)?;
    Ok(Restored {
        manifest,
        marked,
        replaced,
    })
}

/// The site's key, which must be the one that the backup is sealed with.
fn sealer(
    settings: &Settings,
    from: &From,
    given: Option<&[(String, Vec<u8>)]>,
) -> Result<Sealer, BackupError> {
    let manifest = archive::manifest(&from.backup)?;
    let given = given.and_then(|keys| keys.iter().find(|(name, _)| name == Sealer::FILE));
    let key = match given {
        Some((_, key)) => Some(key.clone()),
        None => fs::read(settings.key_dir.join(Sealer::FILE)).ok(),
    };
    let opens = |sealer: &Sealer| {
        let check = hex::decode(&manifest.key_check).unwrap_or_default();
        sealer
            .open(&check, KEY_CHECK)
            .is_ok_and(|plain| plain == KEY_CHECK.as_bytes())
    };
    let sealer = key.and_then(|key| Sealer::with_key(&key)).filter(opens);
    sealer.ok_or_else(|| BackupError::OtherKeys {
        path: from.backup.clone(),
        site: manifest.site,
        keys: settings.key_dir.clone(),
    })
}

/// Moves the data that are there into a folder beside them.
fn set_aside(data: &DataDir, at: Timestamp) -> Result<Option<PathBuf>, BackupError> {
    let there = PARTS.iter().filter(|name| data.file(name).exists());
    let there: Vec<&str> = there.copied().collect();
    if there.is_empty() {
        return Ok(None);
    }
    let aside = data.file(&format!("replaced-{}", at.strftime("%Y%m%dT%H%M%SZ")));
    fs::create_dir(&aside).map_err(file("make", &aside))?;
    for name in there {
        rename(&data.file(name), &aside.join(name))?;
    }
    sync_folder_of(&aside)?;
    Ok(Some(aside))
}

/// Renames what is there.
fn rename(from: &Path, to: &Path) -> Result<(), BackupError> {
    match fs::rename(from, to) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        renamed => {
            renamed.map_err(file("move to", to))?;
            sync_folder_of(to)
        }
    }
}

fn clear(folder: &Path) -> Result<(), BackupError> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(file("remove", folder)(error)),
        _ => Ok(()),
    }
}
