//! Rings of records: how many of each are kept, and when one is cut.

use std::collections::HashMap;

use rusqlite::{Connection, params};

use super::record::NewRecord;
use super::ring::Ring;
use crate::Error;

/// A ring is cut when it is longer than its limit by one part of this many.
const SLACK: u32 = 64;
/// Rings that are counted at once; beyond that counting starts anew, which costs one cut of each.
const COUNTED: usize = 65_536;

const OF_MACHINE: &str = "DELETE FROM records WHERE machine = ?1 AND kind = ?2 AND id <= (SELECT id FROM records \
                          WHERE machine = ?1 AND kind = ?2 ORDER BY id DESC LIMIT 1 OFFSET ?3)";
const OF_STRANGERS: &str = "DELETE FROM records WHERE stranger = 1 AND ?1 IS NULL AND kind = ?2 AND id <= (SELECT id \
                            FROM records WHERE stranger = 1 AND kind = ?2 ORDER BY id DESC LIMIT 1 OFFSET ?3)";

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

/// Counts what was appended to each ring since it was cut.
#[derive(Debug)]
pub(super) struct Rings {
    keep: Keep,
    /// By kind and, unless it is the strangers', by machine.
    appended: HashMap<String, OfKind>,
    /// How many are counted.
    counted: usize,
}

#[derive(Debug, Default)]
struct OfKind {
    machines: HashMap<String, u32>,
    strangers: Option<u32>,
}

impl Rings {
    pub(super) fn new(keep: Keep) -> Self {
        Self {
            keep,
            appended: HashMap::new(),
            counted: 0,
        }
    }

    /// Counts records that were appended, and removes what is then beyond the limits of their rings. A ring that was not
    /// counted yet, as after a start, is cut at once.
    pub(super) fn cut(&mut self, connection: &Connection, records: &[NewRecord]) -> Result<(), Error> {
        for record in records {
            if !self.is_due(record) {
                continue;
            }
            let (sql, limit) = match record.ring {
                Ring::Machine => (OF_MACHINE, self.keep.machine),
                Ring::Strangers => (OF_STRANGERS, self.keep.strangers),
            };
            let mut statement = connection.prepare_cached(sql)?;
            let machine = Some(&record.machine).filter(|_| record.ring == Ring::Machine);
            statement.execute(params![machine, record.kind, limit])?;
        }
        Ok(())
    }

    /// Counts one; whether its ring has to be cut.
    fn is_due(&mut self, record: &NewRecord) -> bool {
        if self.counted >= COUNTED {
            self.appended.clear();
            self.counted = 0;
        }
        if !self.appended.contains_key(&record.kind) {
            self.appended.insert(record.kind.clone(), OfKind::default());
        }
        let Some(of_kind) = self.appended.get_mut(&record.kind) else {
            return true;
        };
        let (count, limit) = match record.ring {
            Ring::Machine => (of_kind.machines.get_mut(&record.machine), self.keep.machine),
            Ring::Strangers => (of_kind.strangers.as_mut(), self.keep.strangers),
        };
        if let Some(count) = count {
            let due = *count >= limit / SLACK;
            *count = if due { 0 } else { count.saturating_add(1) };
            return due;
        }
        match record.ring {
            Ring::Machine => drop(of_kind.machines.insert(record.machine.clone(), 0)),
            Ring::Strangers => of_kind.strangers = Some(0),
        }
        self.counted = self.counted.saturating_add(1);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A cut reads the rows of its own ring only.
    #[test]
    fn cuts_go_by_an_index() {
        let connection = Connection::open_in_memory().unwrap();
        for script in crate::records::SCHEMA.0 {
            connection.execute_batch(script).unwrap();
        }
        for (sql, index) in [
            (OF_MACHINE, "records_of_machine"),
            (OF_STRANGERS, "records_of_strangers"),
        ] {
            let mut explain = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
            let rows = explain.query_map(params!["node-1", "BootEvent", 10_000], |row| row.get("detail"));
            let plan: Vec<String> = rows.unwrap().map(Result::unwrap).collect();
            let searches = plan.iter().filter(|line| line.starts_with("SEARCH"));
            assert!(searches.clone().all(|line| line.contains(index)), "{plan:?}");
            assert_eq!(searches.count(), 2, "{plan:?}");
            assert!(!plan.iter().any(|line| line.starts_with("SCAN")), "{plan:?}");
        }
    }

    fn record(machine: u32, ring: Ring) -> NewRecord {
        NewRecord {
            kind: "BootEvent".to_owned(),
            machine: format!("node-{machine:06}"),
            ring,
            at: 0,
            payload: serde_json::json!({}),
        }
    }

    /// Steps of SQLite's machine that a cut takes in a file of so many machines with some records each.
    fn steps(machines: u32) -> i32 {
        let connection = Connection::open_in_memory().unwrap();
        for script in crate::records::SCHEMA.0 {
            connection.execute_batch(script).unwrap();
        }
        let mut insert = connection
            .prepare("INSERT INTO records (kind, machine, stranger, at, payload) VALUES (?, ?, ?, 0, '{}')")
            .unwrap();
        for machine in 0..machines {
            for _ in 0..3 {
                let record = record(machine, Ring::Machine);
                insert
                    .execute(params![record.kind, record.machine, false])
                    .unwrap();
            }
        }
        let mut cut = connection.prepare(OF_MACHINE).unwrap();
        let record = record(machines / 2, Ring::Machine);
        cut.execute(params![record.machine, record.kind, 2]).unwrap();
        assert_eq!(connection.changes(), 1, "the oldest");
        cut.get_status(rusqlite::StatementStatus::VmStep)
    }

    #[test]
    fn a_cut_takes_the_same_work_whatever_the_number_of_machines() {
        assert_eq!(steps(4), steps(10_000));
    }

    #[test]
    fn a_ring_is_cut_when_it_is_first_seen_and_then_after_its_slack() {
        let mut rings = Rings::new(Keep {
            machine: 3 * SLACK,
            strangers: SLACK,
        });
        for (number, ring, every) in [
            (1, Ring::Machine, 4),
            (2, Ring::Machine, 4),
            (3, Ring::Strangers, 2),
        ] {
            let due: Vec<bool> = (0..9).map(|_| rings.is_due(&record(number, ring))).collect();
            let expected: Vec<bool> = (0..9).map(|at| at % every == 0).collect();
            assert_eq!(due, expected, "{ring:?}");
        }
        assert!(
            !rings.is_due(&record(4, Ring::Strangers)),
            "one ring of all strangers"
        );
    }
}
