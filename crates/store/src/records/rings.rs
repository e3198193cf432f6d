//! Rings of records: how many of each are kept, and when one is cut.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, PoisonError};

use sqlx::SqliteConnection;

use super::NewRecord;
use crate::Error;

/// A ring is cut when it is longer than its limit by one part of this many.
const SLACK: u32 = 64;
/// Rings that are counted at once; beyond that counting starts anew, which costs one cut of each.
const COUNTED: usize = 65_536;

const OF_MACHINE: &str = "DELETE FROM records WHERE machine = ?1 AND kind = ?2 AND id <= (SELECT id FROM records \
                          WHERE machine = ?1 AND kind = ?2 ORDER BY id DESC LIMIT 1 OFFSET ?3)";
const OF_STRANGERS: &str = "DELETE FROM records WHERE stranger = 1 AND ?1 IS NULL AND kind = ?2 AND id <= (SELECT id \
                            FROM records WHERE stranger = 1 AND kind = ?2 ORDER BY id DESC LIMIT 1 OFFSET ?3)";

/// Which ring a record belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ring {
    /// The one of its machine and kind.
    Machine,
    /// The one of its kind that all strangers share.
    Strangers,
}

/// How many records of a kind are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keep {
    /// Of each machine.
    pub machine: u32,
    /// Of all strangers together.
    pub strangers: u32,
}

impl Default for Keep {
    fn default() -> Self {
        Self {
            machine: 10_000,
            strangers: 2000,
        }
    }
}

/// A ring by machine, which is `None` for the strangers, and kind.
pub(super) type Key = (Option<String>, String);

/// Counts what was appended to each ring since it was cut.
#[derive(Debug)]
pub(super) struct Rings {
    keep: Keep,
    appended: Mutex<HashMap<Key, u32>>,
}

impl Rings {
    pub(super) fn new(keep: Keep) -> Self {
        Self {
            keep,
            appended: Mutex::default(),
        }
    }

    /// Counts these records; returns the rings that have to be cut with them. A ring that was not counted yet, as after
    /// a start, is one.
    pub(super) fn due(&self, records: &[NewRecord]) -> HashSet<Key> {
        let mut appended = self.appended.lock().unwrap_or_else(PoisonError::into_inner);
        let mut due = HashSet::new();
        for record in records {
            let machine = match record.ring {
                Ring::Machine => Some(record.machine.clone()),
                Ring::Strangers => None,
            };
            let key = (machine, record.kind.clone());
            let slack = self.limit(&key) / SLACK;
            if appended.len() >= COUNTED && !appended.contains_key(&key) {
                appended.clear();
            }
            match appended.get_mut(&key) {
                Some(count) if *count < slack => *count += 1,
                _ => {
                    appended.insert(key.clone(), 0);
                    due.insert(key);
                }
            }
        }
        due
    }

    /// Removes what is beyond the limits of these rings.
    pub(super) async fn cut(
        &self,
        connection: &mut SqliteConnection,
        due: HashSet<Key>,
    ) -> Result<(), Error> {
        for key in due {
            let sql = if key.0.is_some() { OF_MACHINE } else { OF_STRANGERS };
            sqlx::query(sql)
                .bind(&key.0)
                .bind(&key.1)
                .bind(self.limit(&key))
                .execute(&mut *connection)
                .await?;
        }
        Ok(())
    }

    const fn limit(&self, key: &Key) -> u32 {
        match key.0 {
            Some(_) => self.keep.machine,
            None => self.keep.strangers,
        }
    }
}

#[cfg(test)]
mod tests {
    use sqlx::{Connection, Row};

    use super::*;

    /// A cut reads the rows of its own ring only.
    #[tokio::test]
    async fn cuts_go_by_an_index() {
        let mut connection = SqliteConnection::connect("sqlite::memory:").await.unwrap();
        for script in crate::records::SCHEMA.0 {
            sqlx::raw_sql(*script).execute(&mut connection).await.unwrap();
        }
        for (sql, index) in [
            (OF_MACHINE, "records_of_machine"),
            (OF_STRANGERS, "records_of_strangers"),
        ] {
            let explain = sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN {sql}"));
            let rows = sqlx::query(explain)
                .bind("node-1")
                .bind("BootEvent")
                .bind(10_000)
                .fetch_all(&mut connection)
                .await
                .unwrap();
            let plan: Vec<String> = rows.iter().map(|row| row.get("detail")).collect();
            let searches = plan.iter().filter(|line| line.starts_with("SEARCH"));
            assert!(searches.clone().all(|line| line.contains(index)), "{plan:?}");
            assert_eq!(searches.count(), 2, "{plan:?}");
            assert!(!plan.iter().any(|line| line.starts_with("SCAN")), "{plan:?}");
        }
    }
}
