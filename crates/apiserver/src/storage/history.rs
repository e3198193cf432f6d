//! The recent changes of all resources, for watches that resume: one ring, bounded by bytes.
//!
//! A change shares the state that it made with the change behind it, and with the store while that is the newest.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use super::Key;
use super::stored::Stored;

/// Bytes that the changes may take together.
const MOST_BYTES: usize = 12 * 1024 * 1024;
/// Bytes of a change beside its states: keys, labels and what holds them.
const OVERHEAD: usize = 512;

/// What happened to an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ChangeKind {
    Added,
    Modified,
    Deleted,
}

/// One committed change.
#[derive(Debug, Clone)]
pub(crate) struct Change {
    pub(crate) kind: ChangeKind,
    pub(crate) version: u64,
    pub(crate) key: Key,
    /// State after it; for a deletion the last state, with the version of the deletion. None while it is only in the
    /// database: a deletion of long ago.
    pub(crate) state: Option<Arc<Stored>>,
    /// State before it, when known: tells whether a selector held before.
    pub(crate) before: Option<Arc<Stored>>,
}

impl Change {
    fn bytes(&self) -> usize {
        let states = [&self.state, &self.before].into_iter().flatten();
        let states: usize = states.map(|state| state.size()).sum();
        states + OVERHEAD
    }
}

/// Changes of one resource.
#[derive(Debug, Default)]
struct Recent {
    changes: VecDeque<Arc<Change>>,
    /// Changes up to and including this version went, if any did.
    gone: Option<u64>,
}

/// The changes since the start, the newest of them.
#[derive(Debug)]
pub(super) struct History {
    start: u64,
    resources: HashMap<Arc<str>, Recent>,
    order: VecDeque<Arc<str>>,
    bytes: usize,
}

impl History {
    /// Without changes, at version `start`.
    pub(super) fn new(start: u64) -> History {
        History {
            start,
            resources: HashMap::new(),
            order: VecDeque::new(),
            bytes: 0,
        }
    }

    /// Takes in a change, which is the newest.
    pub(super) fn add(&mut self, change: Change) {
        let resource = change.key.resource.clone();
        self.bytes += change.bytes();
        let recent = self.resources.entry(resource.clone()).or_default();
        recent.changes.push_back(Arc::new(change));
        self.order.push_back(resource);
        while self.bytes > MOST_BYTES && self.order.len() > 1 {
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        let Some(resource) = self.order.pop_front() else {
            return;
        };
        if let Some(recent) = self.resources.get_mut(&resource)
            && let Some(oldest) = recent.changes.pop_front()
        {
            recent.gone = Some(oldest.version);
            self.bytes -= oldest.bytes();
        }
    }

    /// Every change of a resource after `since`; none when some of them are no longer here.
    pub(super) fn since(&self, resource: &str, since: u64) -> Option<Vec<Arc<Change>>> {
        let Some(recent) = self.resources.get(resource) else {
            return (since >= self.start).then(Vec::new);
        };
        if since < recent.gone.unwrap_or(self.start) {
            return None;
        }
        let begin = recent.changes.partition_point(|c| c.version <= since);
        Some(recent.changes.range(begin..).cloned().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::super::managers::Shapes;
    use super::*;
    use serde_json::json;

    fn change(resource: &str, version: u64, bytes: usize, before: Option<&Change>) -> Change {
        let value = json!({"metadata": {"name": "a"}, "data": {"k": "x".repeat(bytes)}});
        Change {
            kind: ChangeKind::Modified,
            version,
            key: Key {
                resource: resource.into(),
                namespace: String::new(),
                name: "a".into(),
            },
            state: Some(Arc::new(Stored::new(
                value,
                version,
                version,
                0,
                &Shapes::default(),
            ))),
            before: before.and_then(|change| change.state.clone()),
        }
    }

    /// 1,500 patches of an object of 200 kB.
    #[test]
    fn memory_is_bounded_by_bytes() {
        let mut history = History::new(10);
        let mut last = change("configmaps", 10, 200_000, None);
        for version in 11..1511 {
            let next = change("configmaps", version, 200_000, Some(&last));
            history.add(next.clone());
            last = next;
        }
        assert!(history.bytes <= MOST_BYTES, "{}", history.bytes);
        let recent = &history.resources["configmaps"].changes;
        let held: usize = recent
            .iter()
            .map(|c| c.state.as_ref().map_or(0, |s| s.size()))
            .sum();
        assert!(
            held <= MOST_BYTES && recent.len() >= 20,
            "{held} in {}",
            recent.len()
        );
        assert_eq!(history.order.len(), recent.len());
        assert_eq!(history.since("configmaps", 1509).unwrap().len(), 1);
        assert!(history.since("configmaps", 11).is_none());
    }

    #[test]
    fn one_resource_takes_the_room_of_another() {
        let mut history = History::new(10);
        for version in 11..=20 {
            history.add(change("leases", version, 100, None));
        }
        assert_eq!(history.since("leases", 10).unwrap().len(), 10);
        assert!(history.since("leases", 9).is_none(), "before the start");
        for version in 21..=100 {
            history.add(change("configmaps", version, 1_000_000, None));
        }
        assert!(history.since("leases", 19).is_none());
        assert_eq!(history.since("leases", 20).unwrap().len(), 0);
        assert_eq!(history.since("secrets", 10).unwrap().len(), 0);
        assert!(history.since("secrets", 9).is_none());
    }

    #[test]
    fn a_change_above_the_bound_is_kept_alone() {
        let mut history = History::new(0);
        history.add(change("a", 1, 10, None));
        history.add(change("a", 2, MOST_BYTES, None));
        assert_eq!(history.since("a", 1).unwrap().len(), 1);
        assert!(history.since("a", 0).is_none());
    }
}
