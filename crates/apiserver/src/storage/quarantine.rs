//! Rows that cannot be read: kept as they are, named when asked for, in nobody's way.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::Key;

/// The rows by their key, each with what is wrong with it.
#[derive(Debug, Clone, Default)]
pub(super) struct Quarantine(Arc<Mutex<BTreeMap<Key, String>>>);

impl Quarantine {
    pub(super) fn new(rows: BTreeMap<Key, String>) -> Quarantine {
        for (key, reason) in &rows {
            tracing::error!(
                object = %key,
                error = reason,
                "a stored object cannot be read and is left out; delete it, or start with the key file that it was sealed with"
            );
        }
        Quarantine(Arc::new(Mutex::new(rows)))
    }

    pub(super) fn reason(&self, key: &Key) -> Option<String> {
        let rows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        rows.get(key).cloned()
    }

    pub(super) fn remove(&self, key: &Key) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
    }
}
