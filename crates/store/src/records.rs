//! Append-only records: boot events, action logs, leases. Evidence, never authority.
//!
//! A record belongs to a kind and a machine key, has a time given by the caller (milliseconds since the epoch) and
//! a JSON payload. Appending is durable on return; followers hear of a record only after its commit.
//!
//! The newest records of each machine and kind are kept, in a ring of its own; whoever is not a machine of the site
//! shares one small ring. A ring is cut while it is appended to, so the file is bounded without any other work, and
//! no flood of one peer removes records of another.

mod appender;
mod record;
mod ring;
mod rings;

use std::path::PathBuf;
use std::sync::Arc;

use sqlx::{Connection, Row};
use tokio::sync::{broadcast, oneshot};

use crate::{DatabaseFile, Error, Migrations};
use appender::{Appender, Done, Urgency};
pub use record::{NewRecord, Record, Stored};
pub use ring::Ring;
pub use rings::Keep;
use rings::Rings;

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

/// Read-only connections at most.
const READERS: u32 = 4;

/// Records of one order that nobody waits for.
const LATER: usize = 8;

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
    file: DatabaseFile,
    live: broadcast::Sender<Arc<Record>>,
    appender: Appender,
}

impl Records {
    /// Opens or makes the file, with the default lengths of its rings.
    pub async fn open(path: impl Into<PathBuf>) -> Result<Records, Error> {
        Records::open_with(path, Keep::default()).await
    }

    /// Opens or makes the file; its rings are as long as `keep` says.
    pub async fn open_with(path: impl Into<PathBuf>, keep: Keep) -> Result<Records, Error> {
        let (file, connection) = DatabaseFile::open(path.into(), SCHEMA, READERS).await?;
        let live = broadcast::Sender::new(FOLLOW);
        let appender = Appender::start(file.path(), Rings::new(keep), live.clone())?;
        if let Err(error) = connection.close().await {
            tracing::warn!(%error, "closing a connection of the records file failed");
        }
        Ok(Records { file, live, appender })
    }

    /// The file, for backup and check.
    pub fn file(&self) -> &DatabaseFile {
        &self.file
    }

    /// Ends the writer after everything already handed to it, and closes all connections.
    pub async fn close(&self) {
        self.appender.stop().await;
        self.file.readers().close().await;
    }

    /// Appends one record; durable when this returns.
    pub async fn append(&self, record: NewRecord) -> Result<Arc<Record>, Error> {
        let mut stored = self.append_all(vec![record]).await?;
        stored.pop().ok_or(Error::Stopped)
    }

    /// Appends all records or none; durable when this returns.
    pub async fn append_all(&self, records: Vec<NewRecord>) -> Result<Vec<Arc<Record>>, Error> {
        let result = self.hand_over(Urgency::Now, records);
        result.await.unwrap_or(Err(Error::Stopped))
    }

    /// Appends records that nobody waits for: a few at a time together with others, the rest some 50 ms later. Durable
    /// when this returns; after an error some of them are.
    pub async fn append_later(&self, records: impl IntoIterator<Item = NewRecord>) -> Result<(), Error> {
        let mut records = records.into_iter().peekable();
        let mut results = Vec::new();
        while records.peek().is_some() {
            results.push(self.hand_over(Urgency::Later, records.by_ref().take(LATER).collect()));
        }
        for result in results {
            result.await.unwrap_or(Err(Error::Stopped))?;
        }
        Ok(())
    }

    /// As [`Records::append_all`] for callers that cannot wait: `done` is called on the thread that appends, once the
    /// records are durable or have failed. It must be short.
    pub fn append_then(&self, records: Vec<NewRecord>, done: impl FnOnce(Stored) + Send + 'static) {
        self.appender.append(Urgency::Now, records, Box::new(done));
    }

    fn hand_over(&self, urgency: Urgency, records: Vec<NewRecord>) -> oneshot::Receiver<Stored> {
        let (done, result) = oneshot::channel();
        // A caller that went away has no use for the answer; the records stand.
        let done: Done = Box::new(move |result| drop(done.send(result)));
        self.appender.append(urgency, records, done);
        result
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
            .fetch_all(self.file.readers())
            .await?;
        rows.iter().map(record_of).collect()
    }

    /// One record by its number.
    pub async fn get(&self, id: i64) -> Result<Option<Record>, Error> {
        let row = sqlx::query("SELECT * FROM records WHERE id = ?")
            .bind(id)
            .fetch_optional(self.file.readers())
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
        Ok(sqlx::query_scalar(sql).fetch_one(self.file.readers()).await?)
    }
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
