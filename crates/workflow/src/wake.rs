//! Wakes the agent of a machine that waits for its turn when its Workflow or its Server has changed, and nobody else.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

/// Namespace and name of a Server.
type Place = (String, String);

/// Who waits, by the Server of the machine. Clones share the table.
#[derive(Debug, Clone, Default)]
pub(crate) struct Wake(Arc<Mutex<HashMap<Place, watch::Sender<()>>>>);

impl Wake {
    /// Wakes the agents of this machine.
    pub(crate) fn wake(&self, namespace: &str, server: &str) {
        let mut table = self.table();
        let place = (namespace.to_owned(), server.to_owned());
        let gone = table.get(&place).is_some_and(|sender| sender.send(()).is_err());
        if gone {
            table.remove(&place);
        }
    }

    /// A receiver that is marked changed from now on when the machine's agents are woken.
    pub(crate) fn subscribe(&self, namespace: &str, server: &str) -> watch::Receiver<()> {
        let place = (namespace.to_owned(), server.to_owned());
        self.table()
            .entry(place)
            .or_insert_with(|| watch::Sender::new(()))
            .subscribe()
    }

    fn table(&self) -> MutexGuard<'_, HashMap<Place, watch::Sender<()>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wake_reaches_those_of_its_machine_alone() {
        let wake = Wake::default();
        let (mut first, second) = (wake.subscribe("n", "a"), wake.subscribe("n", "a"));
        let mut other = wake.subscribe("m", "a");
        wake.wake("n", "a");
        wake.wake("n", "b");
        assert!(first.has_changed().unwrap() && second.has_changed().unwrap());
        assert!(!other.has_changed().unwrap());
        first.mark_unchanged();
        drop((first, second));
        wake.wake("n", "a");
        assert_eq!(wake.table().len(), 1, "who no longer waits is forgotten");
        wake.wake("m", "a");
        other.mark_unchanged();
        assert!(!other.has_changed().unwrap());
    }
}
