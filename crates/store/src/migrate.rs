//! Forward-only migrations counted by `PRAGMA user_version`.

use std::path::Path;
use std::sync::Arc;

use sqlx::{Connection, SqliteConnection};

use crate::Error;

/// Scripts that bring a database from version *n* to *n + 1*; the first makes version 1.
/// A released script is never edited, only followed by another.
#[derive(Debug, Clone, Copy)]
pub struct Migrations(pub &'static [&'static str]);

impl Migrations {
    /// Applies what is missing; each script with its version number in one transaction.
    pub(crate) async fn apply(self, path: &Path, connection: &mut SqliteConnection) -> Result<(), Error> {
        let failed = |e| Error::Open {
            path: path.to_owned(),
            source: Arc::new(e),
        };
        let found: i64 = sqlx::query_scalar("PRAGMA user_version")
            .fetch_one(&mut *connection)
            .await
            .map_err(failed)?;
        let known = self.0.len() as i64;
        if found > known {
            return Err(Error::TooNew {
                path: path.to_owned(),
                found,
                known,
            });
        }
        for (version, script) in (1_i64..).zip(self.0).skip(found.max(0) as usize) {
            let mut tx = connection.begin_with("BEGIN IMMEDIATE").await.map_err(failed)?;
            sqlx::raw_sql(*script).execute(&mut *tx).await.map_err(failed)?;
            let stamp = sqlx::AssertSqlSafe(format!("PRAGMA user_version = {version}"));
            sqlx::raw_sql(stamp).execute(&mut *tx).await.map_err(failed)?;
            tx.commit().await.map_err(failed)?;
        }
        Ok(())
    }
}
