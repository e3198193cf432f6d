//! The thread that appends. It alone writes the records file, by a connection of its own, so an append costs one
//! hand-over to this thread and one back. Whatever waits when a transaction begins or arrives while it is filled is part
//! of it, so appends share syncs; the followers hear of it and the callers are answered after its commit, in its order.

mod inbox;
mod log;
mod waiting;

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::time::Instant;

use rusqlite::{Connection, OpenFlags, Transaction, TransactionBehavior, params};
use tokio::sync::{broadcast, oneshot};

use super::record::{NewRecord, Record};
use super::ring::Ring;
use super::rings::Rings;
use crate::Error;
use crate::file::BUSY;
use inbox::{End, Inbox, Message};
pub(super) use waiting::{Done, Urgency};
use waiting::{Order, Taken};

const INSERT: &str = "INSERT INTO records (kind, machine, stranger, at, payload) VALUES (?1, ?2, ?3, ?4, ?5)";

/// Handle to the thread, which ends with the last one.
#[derive(Clone)]
pub(super) struct Appender {
    messages: Sender<Message>,
}

impl fmt::Debug for Appender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Appender").finish_non_exhaustive()
    }
}

impl Appender {
    /// Opens a connection to the file, which exists and is migrated, and starts the thread.
    pub(super) fn start(
        path: &Path,
        rings: Rings,
        live: broadcast::Sender<Arc<Record>>,
    ) -> Result<Appender, Error> {
        let connection = connect(path)?;
        let (messages, received) = channel();
        let work = Work {
            connection,
            inbox: Inbox::new(received),
            rings,
            live,
        };
        std::thread::Builder::new()
            .name("records".to_owned())
            .spawn(move || work.run())
            .map_err(|source| Error::Thread(Arc::new(source)))?;
        Ok(Appender { messages })
    }

    /// Hands records over; `done` gets them once they are durable.
    pub(super) fn append(&self, urgency: Urgency, records: Vec<NewRecord>, done: Done) {
        let message = Message::Append(urgency, Order { records, done });
        if let Err(unsent) = self.messages.send(message)
            && let Message::Append(_, order) = unsent.0
        {
            (order.done)(Err(Error::Stopped));
        }
    }

    /// Ends the thread after what it has.
    pub(super) async fn stop(&self) {
        let (done, wait) = oneshot::channel();
        if self.messages.send(Message::Stop(done)).is_ok() {
            let _ = wait.await;
        }
    }
}

/// A connection as safe as those of [`crate::DatabaseFile`]: an append is synced when its transaction has ended.
fn connect(path: &Path) -> Result<Connection, Error> {
    // Only the thread uses it.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    Ok(connection)
}

/// What the thread works with.
struct Work {
    connection: Connection,
    inbox: Inbox,
    rings: Rings,
    live: broadcast::Sender<Arc<Record>>,
}

/// An order in a transaction, with the number of its first record.
struct Filled {
    order: Order,
    first: i64,
}

impl Work {
    fn run(mut self) {
        if let Err(error) = log::grow(&self.connection) {
            // It grows by itself then, a commit at a time.
            tracing::warn!(%error, "the log of the records file has not its full length yet");
        }
        let end = loop {
            self.inbox.wait();
            while self.inbox.is_due() {
                self.commit();
            }
            if let Some(end) = self.inbox.end.take() {
                break end;
            }
        };
        // From here on whoever appends is refused.
        drop(self.inbox);
        if let Err((_, error)) = self.connection.close() {
            tracing::warn!(%error, "closing the records file failed");
        }
        if let End::Stop(done) = end {
            let _ = done.send(());
        }
    }

    /// One transaction, its publication and its answers.
    fn commit(&mut self) {
        let mut orders = Vec::new();
        // A panic drops the transaction, which rolls it back.
        let done = catch_unwind(AssertUnwindSafe(|| self.transaction(&mut orders)));
        let done = done.unwrap_or(Err(Error::Panicked));
        if let Err(error) = &done {
            tracing::error!(
                error = error as &dyn std::error::Error,
                "records were not appended"
            );
        }
        let results: Vec<_> = orders
            .into_iter()
            .map(|Filled { order, first }| {
                let Order {
                    records,
                    done: answer,
                } = order;
                (answer, done.clone().map(|()| publish(records, first, &self.live)))
            })
            .collect();
        for (answer, result) in results {
            answer(result);
        }
    }

    /// Commits what waits, as far as it goes into one transaction; `orders` gets it, also when that fails.
    fn transaction(&mut self, orders: &mut Vec<Filled>) -> Result<(), Error> {
        let (mut taken, at) = (Taken::default(), Instant::now());
        let mut next = self.inbox.next(&mut taken, at);
        let begun = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate);
        while let Some(order) = next {
            orders.push(Filled { order, first: 0 });
            if let (Ok(transaction), Some(filled)) = (&begun, orders.last_mut()) {
                filled.first = insert(transaction, &filled.order.records)?;
                self.rings.cut(transaction, &filled.order.records)?;
            }
            next = self.inbox.next(&mut taken, at);
        }
        Ok(begun?.commit()?)
    }
}

/// The number of the first; the others follow it, because nobody else writes.
fn insert(transaction: &Transaction<'_>, records: &[NewRecord]) -> Result<i64, Error> {
    let mut statement = transaction.prepare_cached(INSERT)?;
    let mut first = None;
    for record in records {
        let stranger = record.ring == Ring::Strangers;
        let payload = record.payload.to_string();
        let id = statement.insert(params![record.kind, record.machine, stranger, record.at, payload])?;
        first.get_or_insert(id);
    }
    Ok(first.unwrap_or_default())
}

/// The records as they are stored. The followers get them.
fn publish(records: Vec<NewRecord>, first: i64, live: &broadcast::Sender<Arc<Record>>) -> Vec<Arc<Record>> {
    let stored = (first..).zip(records).map(|(id, record)| {
        let NewRecord {
            kind,
            machine,
            at,
            payload,
            ..
        } = record;
        let record = Arc::new(Record {
            id,
            kind,
            machine,
            at,
            payload,
        });
        // No follower is no error.
        let _ = live.send(Arc::clone(&record));
        record
    });
    stored.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commit_is_synced() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("records.db");
        std::fs::File::create(&path).unwrap();
        let connection = connect(&path).unwrap();
        let number = |name: &str| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
        assert_eq!(number("synchronous").unwrap(), 2, "FULL");
        let mode = connection.pragma_query_value(None, "journal_mode", |row| row.get::<_, String>(0));
        assert_eq!(mode.unwrap(), "wal");
    }
}
