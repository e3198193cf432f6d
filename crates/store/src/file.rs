//! One database file: opened safely, migrated, read, checked and copied. Who writes it is not its business.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use sqlx::sqlite::{
    SqliteConnectOptions, SqliteExecutor, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{ConnectOptions, Connection as _, SqliteConnection};

use crate::{Error, Migrations};

/// Below this a WAL database used by two connections can be corrupted (the "WAL-reset" race).
const LEAST_SQLITE: (u32, u32, u32) = (3, 51, 3);
const LEAST_SQLITE_TEXT: &str = "3.51.3";
/// 3.52.0 was withdrawn by its authors.
const WITHDRAWN: (u32, u32, u32) = (3, 52, 0);

/// How long a connection waits for another one's lock.
pub(crate) const BUSY: Duration = Duration::from_secs(5);

/// A database file with a pool of readers. Cheap to clone.
#[derive(Debug, Clone)]
pub struct DatabaseFile {
    path: PathBuf,
    readers: SqlitePool,
}

impl DatabaseFile {
    /// Opens or makes the file (mode 0600) and migrates it. Returns the connection that did so, which may write.
    pub(crate) async fn open(
        path: PathBuf,
        migrations: Migrations,
        readers: u32,
    ) -> Result<(DatabaseFile, SqliteConnection), Error> {
        make_private(&path)?;
        let connect = connect_options(&path);
        let failed = |e| Error::Open {
            path: path.clone(),
            source: Arc::new(e),
        };
        let mut connection: SqliteConnection = connect.connect().await.map_err(failed)?;
        check_version(&path, &mut connection).await?;
        migrations.apply(&path, &mut connection).await?;
        let readers = SqlitePoolOptions::new()
            .max_connections(readers)
            .connect_lazy_with(connect.pragma("query_only", "ON"));
        Ok((DatabaseFile { path, readers }, connection))
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Read-only connections (`query_only`), for queries outside the writer.
    pub fn readers(&self) -> &SqlitePool {
        &self.readers
    }

    /// Runs SQLite's whole integrity check. Reads the entire file: not for start-up.
    pub async fn check(&self) -> Result<(), Error> {
        check(&self.path, &self.readers).await
    }

    /// Writes a consistent copy to `target` while readers and the writer go on.
    pub async fn backup(&self, target: &Path) -> Result<(), Error> {
        copy_database(&self.path, target).await
    }
}

/// Writes a consistent copy of a database to `target`, also while another process has it open.
///
/// # Errors
/// When the database cannot be opened or read, or `target` cannot be written.
pub async fn copy_database(path: &Path, target: &Path) -> Result<(), Error> {
    let options = connect_options(path).create_if_missing(false);
    crate::backup::write(connect(path, &options).await?, target).await
}

/// Runs SQLite's whole integrity check on a database that nobody has open.
///
/// # Errors
/// [`Error::Damaged`], or when the database cannot be opened or read.
pub async fn check_database(path: &Path) -> Result<(), Error> {
    let options = SqliteConnectOptions::new().filename(path).read_only(true);
    let mut connection = connect(path, &options).await?;
    check(path, &mut connection).await?;
    Ok(connection.close().await?)
}

async fn connect(path: &Path, options: &SqliteConnectOptions) -> Result<SqliteConnection, Error> {
    options.connect().await.map_err(|e| Error::Open {
        path: path.to_owned(),
        source: Arc::new(e),
    })
}

async fn check(path: &Path, reader: impl SqliteExecutor<'_>) -> Result<(), Error> {
    let rows: Vec<String> = sqlx::query_scalar("PRAGMA integrity_check(10)")
        .fetch_all(reader)
        .await?;
    if rows.len() == 1 && rows[0] == "ok" {
        return Ok(());
    }
    Err(Error::Damaged {
        path: path.to_owned(),
        findings: rows.join("; "),
    })
}

fn make_private(path: &Path) -> Result<(), Error> {
    let opened = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(path);
    opened.map(drop).map_err(|e| Error::DataDir {
        path: path.to_owned(),
        source: Arc::new(e),
    })
}

fn connect_options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .busy_timeout(BUSY)
        .disable_statement_logging()
}

async fn check_version(path: &Path, connection: &mut SqliteConnection) -> Result<(), Error> {
    let found: String = sqlx::query_scalar("SELECT sqlite_version()")
        .fetch_one(&mut *connection)
        .await
        .map_err(|e| Error::Open {
            path: path.to_owned(),
            source: Arc::new(e),
        })?;
    if sound(&found) {
        Ok(())
    } else {
        Err(Error::SqliteTooOld {
            found,
            needed: LEAST_SQLITE_TEXT,
        })
    }
}

fn sound(version: &str) -> bool {
    let mut parts = version.split('.').map(|p| p.parse::<u32>().unwrap_or(0));
    let mut part = || parts.next().unwrap_or(0);
    let version = (part(), part(), part());
    version >= LEAST_SQLITE && version != WITHDRAWN
}

#[cfg(test)]
mod tests {
    use super::sound;

    #[test]
    fn unsound_versions_are_refused() {
        let cases = [
            ("3.40.1", false),
            ("3.51.2", false),
            ("3.51.3", true),
            ("3.52.0", false),
            ("3.52.1", true),
            ("4.0.0", true),
            ("x", false),
        ];
        for (version, expected) in cases {
            assert_eq!(sound(version), expected, "{version}");
        }
    }
}
