//! The rows behind the objects.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;
use sqlx::Row as _;
use store::{Database, Migrations, SqliteConnection};

use super::cache::{Change, ChangeKind, Stored};
use super::seal::{self, Sealer};
use super::{Key, WriteError};
use crate::error::Error;

pub(super) const SCHEMA: Migrations = Migrations(&["
    CREATE TABLE objects (
        resource TEXT NOT NULL,
        namespace TEXT NOT NULL,
        name TEXT NOT NULL,
        version INTEGER NOT NULL,
        created INTEGER NOT NULL,
        json BLOB NOT NULL,
        PRIMARY KEY (resource, namespace, name)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE tombstones (
        version INTEGER PRIMARY KEY,
        resource TEXT NOT NULL,
        namespace TEXT NOT NULL,
        name TEXT NOT NULL,
        created INTEGER NOT NULL,
        json BLOB NOT NULL
    ) STRICT;
    CREATE TABLE counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT;
    INSERT INTO counters VALUES ('tombstone_floor', 0);
"]);

/// What is read at start.
#[derive(Debug)]
pub(super) struct Loaded {
    pub(super) objects: Vec<(Key, Arc<Stored>)>,
    pub(super) tombstones: BTreeMap<u64, Arc<Change>>,
    pub(super) floor: u64,
    pub(super) last: u64,
}

/// The columns of a write beside the JSON.
#[derive(Debug, Clone, Copy)]
pub(super) struct Row<'a> {
    pub(super) key: &'a Key,
    pub(super) version: u64,
    pub(super) created: u64,
    pub(super) expected: Option<u64>,
}

pub(super) async fn load(database: &Database, sealer: &dyn Sealer) -> Result<Loaded, Error> {
    let statement = |e: sqlx::Error| Error::Store(e.into());
    let mut names = BTreeMap::new();
    let mut objects = Vec::new();
    let rows = sqlx::query("SELECT resource, namespace, name, version, created, json FROM objects")
        .fetch_all(database.readers())
        .await
        .map_err(statement)?;
    for row in &rows {
        objects.push(stored(row, &mut names, sealer)?);
    }
    let mut tombstones = BTreeMap::new();
    let rows = sqlx::query("SELECT resource, namespace, name, version, created, json FROM tombstones")
        .fetch_all(database.readers())
        .await
        .map_err(statement)?;
    for row in &rows {
        let (key, object) = stored(row, &mut names, sealer)?;
        let version = object.version;
        let change = Change {
            kind: ChangeKind::Deleted,
            version,
            key,
            object,
            previous: None,
        };
        tombstones.insert(version, Arc::new(change));
    }
    let floor: i64 = sqlx::query_scalar("SELECT value FROM counters WHERE name = 'tombstone_floor'")
        .fetch_one(database.readers())
        .await
        .map_err(statement)?;
    let floor = floor.unsigned_abs();
    let newest = objects.iter().map(|(_, s)| s.version).max().unwrap_or(0);
    let last = newest
        .max(tombstones.last_key_value().map_or(0, |(v, _)| *v))
        .max(floor);
    Ok(Loaded {
        objects,
        tombstones,
        floor,
        last,
    })
}

fn stored(
    row: &sqlx::sqlite::SqliteRow,
    names: &mut BTreeMap<String, Arc<str>>,
    sealer: &dyn Sealer,
) -> Result<(Key, Arc<Stored>), Error> {
    let statement = |e: sqlx::Error| Error::Store(e.into());
    let resource: String = row.try_get("resource").map_err(statement)?;
    let resource = names
        .entry(resource)
        .or_insert_with_key(|r| Arc::from(r.as_str()))
        .clone();
    let key = Key {
        resource,
        namespace: row.try_get("namespace").map_err(statement)?,
        name: row.try_get("name").map_err(statement)?,
    };
    let version: i64 = row.try_get("version").map_err(statement)?;
    let created: i64 = row.try_get("created").map_err(statement)?;
    let json: &[u8] = row.try_get("json").map_err(statement)?;
    let value: Value = serde_json::from_slice(json).map_err(|source| Error::Row {
        key: key.to_string(),
        source,
    })?;
    let value = seal::open_object(sealer, &key, value)?;
    Ok((
        key,
        Arc::new(Stored::new(
            value,
            version.unsigned_abs(),
            created.unsigned_abs(),
            json.len(),
        )),
    ))
}

/// SQLite's integers are signed; versions stay far below that.
fn int(version: u64) -> i64 {
    i64::try_from(version).unwrap_or(i64::MAX)
}

pub(super) async fn write(
    connection: &mut SqliteConnection,
    kind: ChangeKind,
    row: Row<'_>,
    object: &Stored,
) -> Result<(), WriteError> {
    let done = match kind {
        ChangeKind::Added => {
            let sql = "INSERT INTO objects VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT DO NOTHING";
            bind_all(sql, row, object).execute(connection).await?
        }
        ChangeKind::Modified => {
            let sql = "UPDATE objects SET version = ?4, json = ?6 WHERE resource = ?1 AND namespace = ?2 AND name = ?3 \
                       AND version = ?7";
            let query = bind_all(sql, row, object).bind(row.expected.map(int));
            query.execute(connection).await?
        }
        ChangeKind::Deleted => {
            let done = sqlx::query(
                "DELETE FROM objects WHERE resource = ? AND namespace = ? AND name = ? AND version = ?",
            )
            .bind(&*row.key.resource)
            .bind(&row.key.namespace)
            .bind(&row.key.name)
            .bind(row.expected.map(int))
            .execute(&mut *connection)
            .await?;
            if done.rows_affected() == 1 {
                let sql = "INSERT INTO tombstones (resource, namespace, name, version, created, json) \
                           VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
                bind_all(sql, row, object).execute(connection).await?;
            }
            done
        }
    };
    match (done.rows_affected(), kind) {
        (0, ChangeKind::Added) => Err(WriteError::Exists),
        (0, _) => Err(WriteError::Conflict),
        _ => Ok(()),
    }
}

fn bind_all<'q>(
    sql: &'static str,
    row: Row<'q>,
    object: &'q Stored,
) -> sqlx::query::Query<'q, sqlx::Sqlite, sqlx::sqlite::SqliteArguments> {
    sqlx::query(sql)
        .bind(&*row.key.resource)
        .bind(&row.key.namespace)
        .bind(&row.key.name)
        .bind(int(row.version))
        .bind(int(row.created))
        .bind(object.json().to_vec())
}

pub(super) async fn prune(connection: &mut SqliteConnection, floor: u64) -> Result<(), store::Error> {
    sqlx::query("DELETE FROM tombstones WHERE version <= ?")
        .bind(int(floor))
        .execute(&mut *connection)
        .await?;
    sqlx::query("UPDATE counters SET value = ? WHERE name = 'tombstone_floor'")
        .bind(int(floor))
        .execute(connection)
        .await?;
    Ok(())
}
