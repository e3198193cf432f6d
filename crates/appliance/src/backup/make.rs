//! Making a backup.

use std::fs::{self, DirBuilder, File, TryLockError};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use tokio::task::spawn_blocking;

use super::archive::{self, Manifest};
use super::error::{BackupError, file};
use super::{RECORDS, STATE, keys};
use crate::foundation::SEALED_FILES;
use crate::settings::Settings;

/// Folder in the data directory for the copies that the archive is made of.
const FOLDER: &str = "backup.partial";
/// What is sealed with the site's key to tell it again.
pub(super) const KEY_CHECK: &str = "gantry backup";

/// A backup that was made.
#[derive(Debug)]
pub struct Made {
    /// The file.
    pub path: PathBuf,
    /// What it says of itself.
    pub manifest: Manifest,
}

/// Makes a backup of the appliance with these settings, whether it runs or not. `to` is the file, or the folder that gets one
/// named after site and time. The keys go to a file of their own, where one is named.
///
/// # Errors
/// When there is no appliance's data, or files can't be read or written. Nothing is left at `to` then.
pub async fn backup(settings: &Settings, to: &Path, keys_to: Option<&Path>) -> Result<Made, BackupError> {
    let state = settings.data.join(STATE);
    if !state.exists() {
        return Err(BackupError::NoAppliance { path: state });
    }
    let keys_failed = |source| BackupError::Keys {
        path: settings.key_dir.clone(),
        source,
    };
    let key_dir = pki::KeyDir::open(&settings.key_dir).map_err(keys_failed)?;
    let sealer = pki::Sealer::load_or_create(&key_dir).map_err(keys_failed)?;
    let key_check = sealer
        .seal(KEY_CHECK.as_bytes(), KEY_CHECK)
        .map_err(keys_failed)?;

    let folder = settings.data.join(FOLDER);
    let lock = begin(&folder)?;
    let made_at = Timestamp::now();
    let copied = copies(settings, &folder).await;
    let path = match to.is_dir() {
        true => to.join(name(&settings.site, made_at)),
        false => to.to_owned(),
    };
    let made = match copied {
        Ok(()) => {
            let manifest = Manifest::new(settings.site.clone(), made_at, hex::encode(key_check));
            let (source, target) = (folder.clone(), path.clone());
            spawn_blocking(move || archive::write(&source, manifest, &target)).await?
        }
        Err(error) => Err(error),
    };
    fs::remove_dir_all(&folder).map_err(file("remove", &folder))?;
    drop(lock);
    let manifest = made?;
    if let Some(keys_to) = keys_to {
        keys::write(&settings.key_dir, keys_to)?;
    }
    Ok(Made { path, manifest })
}

fn name(site: &str, at: Timestamp) -> String {
    format!("gantry-{site}-{}.tar", at.strftime("%Y%m%dT%H%M%SZ"))
}

/// An empty folder that no other backup uses.
fn begin(folder: &Path) -> Result<File, BackupError> {
    let lock = folder.with_extension("lock");
    let opened = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&lock);
    let opened = opened.map_err(file("open", &lock))?;
    match opened.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(BackupError::Busy),
        Err(TryLockError::Error(error)) => return Err(file("lock", &lock)(error)),
    }
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(file("remove", folder)(error));
        }
        _ => {}
    }
    make(folder)?;
    Ok(opened)
}

/// Copies what a backup holds. The sealed files are taken before the objects that name them and once more after: one that is
/// named then was there at one of these times.
async fn copies(settings: &Settings, folder: &Path) -> Result<(), BackupError> {
    let store = |source| BackupError::Store {
        path: settings.data.clone(),
        source,
    };
    let (from, to) = (settings.data.join(SEALED_FILES), folder.join(SEALED_FILES));
    link(&from, &to)?;
    for name in [STATE, RECORDS] {
        let copy = folder.join(name);
        store::copy_database(&settings.data.join(name), &copy)
            .await
            .map_err(store)?;
        store::check_database(&copy).await.map_err(store)?;
    }
    link(&from, &to)
}

/// Gives each sealed file a second name below `to`. They never change, and one that is removed stays there.
fn link(from: &Path, to: &Path) -> Result<(), BackupError> {
    let entries = match fs::read_dir(from) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries.map_err(file("list", from))?,
    };
    make(to)?;
    for entry in entries {
        let entry = entry.map_err(file("list", from))?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        if entry.file_type().map_err(file("look at", &source))?.is_dir() {
            link(&source, &target)?;
            continue;
        }
        // Files that are being written have hidden names.
        if entry.file_name().as_encoded_bytes().starts_with(b".") {
            continue;
        }
        match fs::hard_link(&source, &target) {
            Ok(()) => {}
            // Removed meanwhile, or linked before.
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::AlreadyExists
                ) => {}
            Err(error) => return Err(file("link", &target)(error)),
        }
    }
    Ok(())
}

fn make(folder: &Path) -> Result<(), BackupError> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.map_err(file("make", folder))
}
