//! The rows behind the objects.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use futures::TryStreamExt;
use serde_json::Value;
use sqlx::Row as _;
use store::{Database, Migrations, SqliteConnection};

use super::history::ChangeKind;
use super::managers::Shapes;
use super::seal::{self, Sealer};
use super::stored::Stored;
use super::tombstones::{Tombstone, Tombstones};
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
    pub(super) tombstones: Tombstones,
    /// Objects that cannot be read, with what is wrong.
    pub(super) unreadable: BTreeMap<Key, String>,
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

/// Reads everything but the objects behind tombstones. A row that cannot be read is left out and named; only when no
/// sealed object of several opens it is the key, and nothing starts.
pub(super) async fn load(database: &Database, sealer: &dyn Sealer, shapes: &Shapes) -> Result<Loaded, Error> {
    let statement = |e: sqlx::Error| Error::Store(e.into());
    let mut names = BTreeMap::new();
    let (mut objects, mut unreadable) = (Vec::new(), BTreeMap::new());
    let (mut sealed, mut unsealed, mut last) = (0, None, 0);
    let mut rows = sqlx::query("SELECT resource, namespace, name, version, created, json FROM objects")
        .fetch(database.readers());
    while let Some(row) = rows.try_next().await.map_err(statement)? {
        let (key, version, created) = head(&row, &mut names).map_err(statement)?;
        last = last.max(version);
        sealed += usize::from(seal::is_sealed(&key));
        let json: &[u8] = row.try_get("json").map_err(statement)?;
        let as_it_is = (!seal::is_sealed(&key))
            .then(|| Stored::of_row(json, version, created, shapes))
            .flatten();
        let decoded = || -> Result<Stored, Error> {
            let value = decode(&key, json, sealer)?;
            Ok(Stored::new(value, version, created, json.len(), shapes))
        };
        match as_it_is.map_or_else(decoded, Ok) {
            Ok(object) if object.place() == (&*key.namespace, &*key.name) => {
                objects.push((key, Arc::new(object)));
            }
            Ok(object) => {
                let (namespace, name) = object.place();
                unreadable.insert(key, format!("its row has the object {namespace}/{name}"));
            }
            Err(error) => {
                let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}"));
                unreadable.insert(key, format!("{error}{}", cause.unwrap_or_default()));
                if matches!(error, Error::Unseal { .. }) {
                    unsealed.get_or_insert((0, error)).0 += 1;
                }
            }
        }
    }
    drop(rows);
    if let Some((count, error)) = unsealed
        && count == sealed
        && count > 1
    {
        return Err(error);
    }
    let mut tombstones = load_tombstones(database, &mut names).await.map_err(statement)?;
    last = last.max(tombstones.last()).max(tombstones.floor());
    if !unreadable.is_empty() {
        // Watches from before the start would never hear that these are not shown.
        tombstones.raise_floor(last);
    }
    Ok(Loaded {
        objects,
        tombstones,
        unreadable,
        last,
    })
}

async fn load_tombstones(database: &Database, names: &mut Names) -> Result<Tombstones, sqlx::Error> {
    let mut kept = BTreeMap::new();
    let sql = "SELECT resource, namespace, name, version, created, length(json) AS bytes FROM tombstones";
    let mut rows = sqlx::query(sql).fetch(database.readers());
    while let Some(row) = rows.try_next().await? {
        let (key, version, created) = head(&row, names)?;
        let bytes: i64 = row.try_get("bytes")?;
        let bytes = usize::try_from(bytes).unwrap_or(0);
        kept.insert(version, Tombstone { key, created, bytes });
    }
    let floor: i64 = sqlx::query_scalar("SELECT value FROM counters WHERE name = 'tombstone_floor'")
        .fetch_one(database.readers())
        .await?;
    Ok(Tombstones::new(kept, floor.unsigned_abs()))
}

/// The last state of the object that was deleted at `version`; none when that is no longer kept.
pub(super) async fn read_tombstone(
    database: &Database,
    sealer: &dyn Sealer,
    key: &Key,
    version: u64,
) -> Result<Option<Value>, Error> {
    let json: Option<Vec<u8>> = sqlx::query_scalar("SELECT json FROM tombstones WHERE version = ?")
        .bind(int(version))
        .fetch_optional(database.readers())
        .await
        .map_err(|e| Error::Store(e.into()))?;
    json.map(|json| decode(key, &json, sealer)).transpose()
}

/// Removes the row of an object that cannot be read.
pub(super) async fn discard(connection: &mut SqliteConnection, key: Key) -> Result<(), store::Error> {
    sqlx::query("DELETE FROM objects WHERE resource = ? AND namespace = ? AND name = ?")
        .bind(&*key.resource)
        .bind(&key.namespace)
        .bind(&key.name)
        .execute(connection)
        .await?;
    Ok(())
}

/// Names of resources, each once.
type Names = BTreeMap<String, Arc<str>>;

/// Key, version and version of the creation of a row.
fn head(row: &sqlx::sqlite::SqliteRow, names: &mut Names) -> Result<(Key, u64, u64), sqlx::Error> {
    let resource: String = row.try_get("resource")?;
    let resource = names
        .entry(resource)
        .or_insert_with_key(|r| Arc::from(r.as_str()))
        .clone();
    let key = Key {
        resource,
        namespace: row.try_get("namespace")?,
        name: row.try_get("name")?,
    };
    let version: i64 = row.try_get("version")?;
    let created: i64 = row.try_get("created")?;
    Ok((key, version.unsigned_abs(), created.unsigned_abs()))
}

fn decode(key: &Key, json: &[u8], sealer: &dyn Sealer) -> Result<Value, Error> {
    let value: Value = serde_json::from_slice(json).map_err(|source| Error::Row {
        key: key.to_string(),
        source,
    })?;
    seal::open_object(sealer, key, value)
}

/// SQLite's integers are signed; versions stay far below that.
fn int(version: u64) -> i64 {
    i64::try_from(version).unwrap_or(i64::MAX)
}

/// New objects that one statement stores, so that each of them does not go to the thread of SQLite and back.
const TOGETHER: usize = 32;
const INSERT: &str = "INSERT INTO objects VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING";
static INSERT_TOGETHER: LazyLock<String> = LazyLock::new(|| {
    let further = ", (?, ?, ?, ?, ?, ?)".repeat(TOGETHER - 1);
    INSERT.replace(" ON", &format!("{further} ON"))
});

/// Stores new objects. One that is there already is an error, after which some of the others are stored.
pub(super) async fn insert_all(
    connection: &mut SqliteConnection,
    rows: &[(Row<'_>, &Stored)],
) -> Result<(), WriteError> {
    let (together, rest) = rows.as_chunks::<TOGETHER>();
    let statements = together.iter().map(|rows| (INSERT_TOGETHER.as_str(), &rows[..]));
    for (sql, rows) in statements.chain(rest.chunks(1).map(|row| (INSERT, row))) {
        let mut query = sqlx::query(sql);
        for (row, object) in rows {
            query = bind_all(query, *row, object);
        }
        let done = query.execute(&mut *connection).await?;
        if done.rows_affected() != rows.len() as u64 {
            return Err(WriteError::Exists);
        }
    }
    Ok(())
}

type Query<'q> = sqlx::query::Query<'q, sqlx::Sqlite, sqlx::sqlite::SqliteArguments>;

pub(super) async fn write(
    connection: &mut SqliteConnection,
    kind: ChangeKind,
    row: Row<'_>,
    object: &Stored,
) -> Result<(), WriteError> {
    let done = match kind {
        ChangeKind::Added => {
            return insert_all(connection, &[(row, object)]).await;
        }
        ChangeKind::Modified => {
            let sql = "UPDATE objects SET version = ?4, json = ?6 WHERE resource = ?1 AND namespace = ?2 AND name = ?3 \
                       AND version = ?7";
            let query = bind_all(sqlx::query(sql), row, object).bind(row.expected.map(int));
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
                bind_all(sqlx::query(sql), row, object)
                    .execute(connection)
                    .await?;
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

fn bind_all<'q>(query: Query<'q>, row: Row<'q>, object: &Stored) -> Query<'q> {
    query
        .bind(&*row.key.resource)
        .bind(&row.key.namespace)
        .bind(&row.key.name)
        .bind(int(row.version))
        .bind(int(row.created))
        .bind(object.json())
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
