//! Append-only records: boot events, action logs, leases. Evidence, never authority.
//!
//! A record belongs to a kind and a machine key, has a time given by the caller (milliseconds since the epoch) and
//! a JSON payload. Appending is durable on return; followers hear of a record only after its commit.
//!
//! The newest records of each machine and kind are kept, in a ring of its own; whoever is not a machine of the site
//! shares one small ring. A ring is cut while it is appended to, so the file is bounded without any other work, and
//! no flood of one peer removes records of another.

mod rings;

use std::path::PathBuf;
use std::sync::Arc;

use futures::FutureExt;
use serde_json::Value;
use sqlx::{QueryBuilder, Row, SqliteConnection};
use tokio::sync::broadcast;

use crate::{Database, DatabaseFile, Error, Migrations, Options};
use rings::Rings;
pub use rings::{Keep, Ring};

const SCHEMA: Migrations = Migrations(&[
    "
    CREATE TABLE records (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        kind TEXT NOT NULL,
        machine TEXT NOT NULL,
        at INTEGER NOT NULL,
        payload TEXT NOT NULL
    ) STRICT;
    CREATE INDEX records_of_machine ON records (machine, kind, id);
",
    // Strangers were named by a MAC, an address or `unknown`.
    "
    ALTER TABLE records ADD COLUMN stranger INTEGER NOT NULL DEFAULT 0;
    UPDATE records SET stranger = 1 WHERE kind = 'BootEvent'
        AND (machine LIKE '%:%' OR machine GLOB '[0-9]*.[0-9]*.[0-9]*.[0-9]*' OR machine = 'unknown');
    CREATE INDEX records_of_strangers ON records (kind, id) WHERE stranger = 1;
",
]);

/// Records that a slow follower may lag behind before it misses some.
const FOLLOW: usize = 1024;

/// Rows of one statement. Few sizes, so that each is prepared once.
const ROWS: [usize; 3] = [64, 8, 1];

/// A record to be appended.
#[derive(Debug, Clone, PartialEq)]
pub struct NewRecord {
    /// What it tells of, for example `BootEvent`.
    pub kind: String,
    /// The machine's key: name or, while it is unknown, MAC.
    pub machine: String,
    /// Which ring it belongs to.
    pub ring: Ring,
    /// Milliseconds since the Unix epoch.
    pub at: i64,
    /// The content.
    pub payload: Value,
}

/// A stored record.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// Number in order of commit, unique in the file.
    pub id: i64,
    /// See [`NewRecord::kind`].
    pub kind: String,
    /// See [`NewRecord::machine`].
    pub machine: String,
    /// See [`NewRecord::at`].
    pub at: i64,
    /// See [`NewRecord::payload`].
    pub payload: Value,
}

/// Which records to list; newest first.
#[derive(Debug, Clone, Default)]
pub struct Query {
    /// Only this kind.
    pub kind: Option<String>,
    /// Only this machine.
    pub machine: Option<String>,
    /// Only records with a smaller number: the next page.
    pub before: Option<i64>,
    /// At most so many; 0 means 500.
    pub limit: u32,
}

/// The records file.
#[derive(Debug, Clone)]
pub struct Records {
    database: Database,
    live: broadcast::Sender<Arc<Record>>,
    rings: Arc<Rings>,
}

impl Records {
    /// Opens or makes the file, with the default lengths of its rings.
    pub async fn open(path: impl Into<PathBuf>) -> Result<Records, Error> {
        Records::open_with(path, Keep::default()).await
    }

    /// Opens or makes the file; its rings are as long as `keep` says.
    pub async fn open_with(path: impl Into<PathBuf>, keep: Keep) -> Result<Records, Error> {
        let database = Database::open(path, Options::new(SCHEMA)).await?;
        Ok(Records {
            database,
            live: broadcast::Sender::new(FOLLOW),
            rings: Arc::new(Rings::new(keep)),
        })
    }

    /// The file, for backup and check.
    pub fn file(&self) -> &DatabaseFile {
        self.database.file()
    }

    /// Ends the writer after everything already handed to it, and closes all connections.
    pub async fn close(&self) {
        self.database.close().await;
    }

    /// Appends one record; durable when this returns.
    pub async fn append(&self, record: NewRecord) -> Result<Arc<Record>, Error> {
        let mut stored = self.append_all(vec![record]).await?;
        stored.pop().ok_or(Error::Stopped)
    }

    /// Appends all records or none; durable when this returns.
    pub async fn append_all(&self, records: Vec<NewRecord>) -> Result<Vec<Arc<Record>>, Error> {
        let (live, rings) = (self.live.clone(), self.rings.clone());
        let publish = move |stored: &Vec<Arc<Record>>| {
            for record in stored {
                // No follower is no error.
                let _ = live.send(record.clone());
            }
        };
        self.database
            .writer()
            .write_then(move |c| insert_all(c, records, rings).boxed(), publish)
            .await
    }

    /// Lists records, newest first.
    pub async fn list(&self, query: &Query) -> Result<Vec<Record>, Error> {
        let limit = if query.limit == 0 { 500 } else { query.limit };
        // One statement per shape, so that each uses its index.
        let sql = match (&query.machine, &query.kind) {
            (Some(_), Some(_)) => {
                "SELECT * FROM records WHERE machine = ?1 AND kind = ?2 AND id < ?3 ORDER BY id DESC LIMIT ?4"
            }
            (Some(_), None) => {
                "SELECT * FROM records WHERE machine = ?1 AND ?2 IS NULL AND id < ?3 ORDER BY id DESC LIMIT ?4"
            }
            (None, Some(_)) => {
                "SELECT * FROM records WHERE ?1 IS NULL AND kind = ?2 AND id < ?3 ORDER BY id DESC LIMIT ?4"
            }
            (None, None) => {
                "SELECT * FROM records WHERE ?1 IS NULL AND ?2 IS NULL AND id < ?3 ORDER BY id DESC LIMIT ?4"
            }
        };
        let rows = sqlx::query(sql)
            .bind(&query.machine)
            .bind(&query.kind)
            .bind(query.before.unwrap_or(i64::MAX))
            .bind(limit)
            .fetch_all(self.database.readers())
            .await?;
        rows.iter().map(record_of).collect()
    }

    /// One record by its number.
    pub async fn get(&self, id: i64) -> Result<Option<Record>, Error> {
        let row = sqlx::query("SELECT * FROM records WHERE id = ?")
            .bind(id)
            .fetch_optional(self.database.readers())
            .await?;
        row.as_ref().map(record_of).transpose()
    }

    /// Every record committed from now on. A follower that lags too far is told how many it missed.
    pub fn follow(&self) -> broadcast::Receiver<Arc<Record>> {
        self.live.subscribe()
    }

    /// Number of the newest record, 0 when there is none.
    pub async fn newest(&self) -> Result<i64, Error> {
        let sql = "SELECT coalesce(max(id), 0) FROM records";
        Ok(sqlx::query_scalar(sql).fetch_one(self.database.readers()).await?)
    }
}

async fn insert_all(
    connection: &mut SqliteConnection,
    records: Vec<NewRecord>,
    rings: Arc<Rings>,
) -> Result<Vec<Arc<Record>>, Error> {
    let due = rings.due(&records);
    let mut stored = Vec::with_capacity(records.len());
    let mut left = records.as_slice();
    while let Some(rows) = ROWS.into_iter().find(|rows| *rows <= left.len()) {
        let (now, later) = left.split_at(rows);
        let last = insert(connection, now).await?;
        let first = last
            .saturating_sub(i64::try_from(rows).unwrap_or(i64::MAX))
            .saturating_add(1);
        stored.extend(first..=last);
        left = later;
    }
    rings.cut(connection, due).await?;
    let records = records.into_iter().zip(stored).map(|(record, id)| {
        let NewRecord {
            kind,
            machine,
            at,
            payload,
            ..
        } = record;
        Arc::new(Record {
            id,
            kind,
            machine,
            at,
            payload,
        })
    });
    Ok(records.collect())
}

/// Inserts rows by one statement; the number of the last. Their numbers follow each other, because nobody else writes.
async fn insert(connection: &mut SqliteConnection, records: &[NewRecord]) -> Result<i64, Error> {
    let mut query = QueryBuilder::new("INSERT INTO records (kind, machine, stranger, at, payload) ");
    query.push_values(records, |mut row, record| {
        row.push_bind(&record.kind)
            .push_bind(&record.machine)
            .push_bind(record.ring == Ring::Strangers)
            .push_bind(record.at)
            .push_bind(record.payload.to_string());
    });
    Ok(query.build().execute(connection).await?.last_insert_rowid())
}

fn record_of(row: &sqlx::sqlite::SqliteRow) -> Result<Record, Error> {
    let id: i64 = row.try_get("id")?;
    let text: &str = row.try_get("payload")?;
    let payload = serde_json::from_str(text).map_err(|source| Error::Payload {
        id,
        source: Arc::new(source),
    })?;
    Ok(Record {
        id,
        kind: row.try_get("kind")?,
        machine: row.try_get("machine")?,
        at: row.try_get("at")?,
        payload,
    })
}
