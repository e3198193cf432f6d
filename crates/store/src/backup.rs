//! Online backup: `VACUUM INTO` a partial file, synced, then renamed, so that a backup is whole or absent.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sqlx::{Connection, SqliteConnection};

use crate::Error;

/// Copies the database of `connection` to `target` (mode 0600). An existing target is replaced.
pub(crate) async fn write(mut connection: SqliteConnection, target: &Path) -> Result<(), Error> {
    let partial = partial_name(target);
    let prepared = partial.clone();
    blocking(target, move || {
        match std::fs::remove_file(&prepared) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(e),
            _ => {}
        }
        // VACUUM INTO accepts an existing empty file and keeps its mode.
        OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&prepared)
            .map(drop)
    })
    .await?;
    let name = partial.to_string_lossy().into_owned();
    let copied = sqlx::query("VACUUM INTO ?")
        .bind(name)
        .execute(&mut connection)
        .await;
    let closed = connection.close().await;
    if let Err(e) = copied.map(drop).and(closed) {
        let _ = std::fs::remove_file(&partial);
        return Err(e.into());
    }
    let goal = target.to_owned();
    blocking(target, move || {
        File::open(&partial)?.sync_all()?;
        std::fs::rename(&partial, &goal)?;
        let parent = goal
            .parent()
            .filter(|p| !p.as_os_str().is_empty())
            .unwrap_or(Path::new("."));
        File::open(parent)?.sync_all()
    })
    .await
}

fn partial_name(target: &Path) -> PathBuf {
    let mut name = target.as_os_str().to_owned();
    name.push(".partial");
    PathBuf::from(name)
}

async fn blocking<F>(target: &Path, work: F) -> Result<(), Error>
where
    F: FnOnce() -> std::io::Result<()> + Send + 'static,
{
    let done = match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(join) => Err(std::io::Error::other(join)),
    };
    done.map_err(|e| Error::Backup {
        path: target.to_owned(),
        source: Arc::new(e),
    })
}
