//! A write that was judged and waits for the writer, which gives it its version.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::Value;
use store::SqliteConnection;

use super::history::ChangeKind;
use super::managers::Shapes;
use super::sql;
use super::{Key, Stored, WriteError};

/// A write on its way to the writer.
#[derive(Debug)]
pub(crate) struct Pending {
    pub(super) kind: ChangeKind,
    pub(super) key: Key,
    /// The version that an object must have to be replaced or removed.
    pub(super) expected: Option<u64>,
    /// The version at which the object was created, when there is one.
    pub(super) created: Option<u64>,
    pub(super) object: Value,
    pub(super) bytes: usize,
    /// What the database gets instead of the object.
    pub(super) sealed: Option<Value>,
    pub(super) shapes: Shapes,
}

/// A write with its version.
pub(super) struct Written {
    pub(super) kind: ChangeKind,
    pub(super) key: Key,
    expected: Option<u64>,
    pub(super) object: Arc<Stored>,
    sealed: Option<Stored>,
}

impl Pending {
    /// Writes it to the database; tombstones up to the version `prune` go, too.
    pub(super) async fn write(
        self,
        connection: &mut SqliteConnection,
        next: Arc<AtomicU64>,
        prune: Option<u64>,
    ) -> Result<Written, WriteError> {
        if let Some(floor) = prune {
            sql::prune(connection, floor).await?;
        }
        let write = self.numbered(&next);
        write.write(connection).await?;
        Ok(write)
    }

    /// Gives it the next version.
    fn numbered(self, next: &AtomicU64) -> Written {
        let version = next.fetch_add(1, Ordering::SeqCst);
        let created = self.created.filter(|_| self.expected.is_some());
        let created = created.unwrap_or(version);
        let stored = |object| Stored::new(object, version, created, self.bytes, &self.shapes);
        Written {
            kind: self.kind,
            key: self.key,
            expected: self.expected,
            object: Arc::new(stored(self.object)),
            sealed: self.sealed.map(stored),
        }
    }
}

impl Written {
    /// Its row, and what the row holds.
    fn row(&self) -> (sql::Row<'_>, &Stored) {
        let row = sql::Row {
            key: &self.key,
            version: self.object.version,
            created: self.object.created,
            expected: self.expected,
        };
        (row, self.sealed.as_ref().unwrap_or(&self.object))
    }

    async fn write(&self, connection: &mut SqliteConnection) -> Result<(), WriteError> {
        let (row, object) = self.row();
        sql::write(connection, self.kind, row, object).await
    }
}

/// Writes all of them to the database, new objects by few statements. Fails with the first that is refused.
pub(super) async fn write_all(
    writes: Vec<Pending>,
    connection: &mut SqliteConnection,
    next: Arc<AtomicU64>,
) -> Result<Vec<Written>, WriteError> {
    let writes: Vec<Written> = writes.into_iter().map(|write| write.numbered(&next)).collect();
    let (new, others): (Vec<&Written>, Vec<&Written>) =
        writes.iter().partition(|write| write.kind == ChangeKind::Added);
    let rows: Vec<_> = new.into_iter().map(Written::row).collect();
    sql::insert_all(connection, &rows).await?;
    for write in others {
        write.write(connection).await?;
    }
    Ok(writes)
}
