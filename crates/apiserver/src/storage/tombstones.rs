//! What is known of deleted objects, so that a watch can resume after their deletion: an index in memory, the objects
//! in the database.

use std::collections::BTreeMap;

use super::Key;

/// Deleted objects at most; beyond them the older half goes.
const MOST: usize = 8192;
/// Bytes of JSON that they may take in the database; beyond them the older half goes.
const MOST_BYTES: usize = 32 * 1024 * 1024;

/// A deleted object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Tombstone {
    pub(super) key: Key,
    /// The version at which the object was created.
    pub(super) created: u64,
    /// Bytes of its last state.
    pub(super) bytes: usize,
}

/// The deleted objects that are kept.
#[derive(Debug, Default)]
pub(super) struct Tombstones {
    kept: BTreeMap<u64, Tombstone>,
    bytes: usize,
    /// Deletions up to and including this version are forgotten.
    floor: u64,
    /// The floor that the database has.
    stored_floor: u64,
}

impl Tombstones {
    /// Those of the database, by the version of their deletion.
    pub(super) fn new(kept: BTreeMap<u64, Tombstone>, floor: u64) -> Tombstones {
        let mut tombstones = Tombstones {
            bytes: kept.values().map(|t| t.bytes).sum(),
            kept,
            floor,
            stored_floor: floor,
        };
        tombstones.forget();
        tombstones
    }

    pub(super) fn floor(&self) -> u64 {
        self.floor
    }

    /// Nothing before `version` can be told any more.
    pub(super) fn raise_floor(&mut self, version: u64) {
        self.floor = self.floor.max(version);
    }

    /// The newest deletion.
    pub(super) fn last(&self) -> u64 {
        self.kept.last_key_value().map_or(0, |(version, _)| *version)
    }

    pub(super) fn add(&mut self, version: u64, tombstone: Tombstone) {
        self.bytes += tombstone.bytes;
        self.kept.insert(version, tombstone);
        self.forget();
    }

    /// Deletions after `since`.
    pub(super) fn since(&self, since: u64) -> impl Iterator<Item = (u64, &Tombstone)> {
        let later = self.kept.range(since.saturating_add(1)..);
        later.map(|(version, tombstone)| (*version, tombstone))
    }

    /// The floor to which the rows of the database should be removed, when they are behind.
    pub(super) fn to_prune(&self) -> Option<u64> {
        (self.floor > self.stored_floor).then_some(self.floor)
    }

    /// The database has no rows up to `floor` any more.
    pub(super) fn pruned(&mut self, floor: u64) {
        self.stored_floor = self.stored_floor.max(floor);
    }

    fn forget(&mut self) {
        if self.kept.len() <= MOST && self.bytes <= MOST_BYTES {
            return;
        }
        while self.kept.len() > MOST / 2 || self.bytes > MOST_BYTES / 2 {
            let Some((version, oldest)) = self.kept.pop_first() else {
                return;
            };
            self.bytes -= oldest.bytes;
            self.floor = self.floor.max(version);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tombstone(bytes: usize) -> Tombstone {
        Tombstone {
            key: Key {
                resource: "events".into(),
                namespace: String::new(),
                name: String::new(),
            },
            created: 1,
            bytes,
        }
    }

    #[test]
    fn count_and_bytes_are_bounded() {
        for (bytes, most) in [(100, MOST), (200_000, MOST_BYTES / 200_000)] {
            let mut tombstones = Tombstones::default();
            for version in 1..=20_000 {
                tombstones.add(version, tombstone(bytes));
                assert!(tombstones.kept.len() <= most && tombstones.bytes <= MOST_BYTES);
            }
            let floor = tombstones.floor();
            assert_eq!(tombstones.since(0).count(), tombstones.kept.len());
            assert_eq!(tombstones.since(floor).next().unwrap().0, floor + 1);
            assert_eq!(tombstones.to_prune(), Some(floor));
            tombstones.pruned(floor);
            assert_eq!((tombstones.to_prune(), tombstones.last()), (None, 20_000));
        }
    }
}
