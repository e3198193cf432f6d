//! Care for the databases while the appliance runs: each is checked as a whole once a day, and copied where it is whole.
//!
//! A copy replaces the one of the day before only after the check, so damage never reaches it. To go back to it: stop
//! the appliance, put `backups/state.db` and `backups/records.db` in the place of the files of these names beside the
//! folder, and start again.

use std::path::{Path, PathBuf};
use std::time::Duration;

use store::DatabaseFile;
use tokio_util::sync::CancellationToken;

/// Name of the folder in the data directory.
const FOLDER: &str = "backups";
/// The first time: late enough not to compete with a start.
const FIRST: Duration = Duration::from_secs(10 * 60);
const EVERY: Duration = Duration::from_secs(24 * 60 * 60);

/// Checks and copies the databases every day, until `cancel`.
pub(crate) async fn run(
    databases: Vec<(&'static str, DatabaseFile)>,
    data: PathBuf,
    cancel: CancellationToken,
) {
    let folder = data.join(FOLDER);
    let mut next = FIRST;
    loop {
        tokio::select! {
            () = cancel.cancelled() => return,
            () = tokio::time::sleep(next) => {}
        }
        next = EVERY;
        for (name, database) in &databases {
            tokio::select! {
                () = cancel.cancelled() => return,
                done = keep(name, database, &folder) => {
                    if let Err(error) = done {
                        let backup = folder.join(name);
                        let backup = backup.display();
                        tracing::error!(
                            error = &*error as &dyn std::error::Error,
                            database = name,
                            "a database is damaged or cannot be copied; its last good copy is {backup}"
                        );
                    }
                }
            }
        }
    }
}

async fn keep(
    name: &str,
    database: &DatabaseFile,
    folder: &Path,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    database.check().await?;
    tokio::fs::DirBuilder::new()
        .mode(0o700)
        .recursive(true)
        .create(folder)
        .await?;
    database.backup(&folder.join(name)).await?;
    tracing::debug!(database = name, "checked and copied");
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::{Seek, SeekFrom, Write};
    use std::os::unix::fs::PermissionsExt;

    use serde_json::json;
    use store::records::{NewRecord, Query, Records, Ring};

    use super::*;

    fn record(at: i64) -> NewRecord {
        NewRecord {
            kind: "BootEvent".to_owned(),
            machine: "node-1".to_owned(),
            ring: Ring::Machine,
            at,
            payload: json!({"text": "x".repeat(500)}),
        }
    }

    #[tokio::test]
    async fn a_damaged_database_does_not_replace_its_copy() {
        let dir = tempfile::tempdir().unwrap();
        let (file, backups) = (dir.path().join("records.db"), dir.path().join(FOLDER));
        let records = Records::open(&file).await.unwrap();
        records.append_all((0..500).map(record).collect()).await.unwrap();
        keep("records.db", records.file(), &backups).await.unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(
            (mode(&backups), mode(&backups.join("records.db"))),
            (0o700, 0o600)
        );
        records.close().await;

        let mut damaged = std::fs::File::options().write(true).open(&file).unwrap();
        damaged.seek(SeekFrom::Start(5 * 4096)).unwrap();
        damaged.write_all(&[0xa5; 4096]).unwrap();
        let records = Records::open(&file).await.unwrap();
        keep("records.db", records.file(), &backups).await.unwrap_err();
        records.close().await;

        // As the operator goes back to it.
        std::fs::remove_file(&file).unwrap();
        std::fs::copy(backups.join("records.db"), &file).unwrap();
        let records = Records::open(&file).await.unwrap();
        records.file().check().await.unwrap();
        let query = Query {
            limit: 1000,
            ..Query::default()
        };
        assert_eq!(records.list(&query).await.unwrap().len(), 500);
    }
}
