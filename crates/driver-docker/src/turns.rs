//! One call at a time for each machine: calls at once would write the seed under a system that boots already.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::{Mutex as Turn, OwnedMutexGuard};

/// Whose turn it is, by key.
#[derive(Debug, Default)]
pub(crate) struct Turns(Mutex<HashMap<String, Weak<Turn<()>>>>);

impl Turns {
    /// Waits until nobody else has the key.
    pub(crate) async fn take(&self, key: &str) -> OwnedMutexGuard<()> {
        let turn = self.turn(key);
        turn.lock_owned().await
    }

    fn turn(&self, key: &str) -> Arc<Turn<()>> {
        let mut turns = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Those that nobody waits for any more.
        turns.retain(|_, turn| turn.strong_count() > 0);
        if let Some(turn) = turns.get(key).and_then(Weak::upgrade) {
            return turn;
        }
        let turn = Arc::new(Turn::new(()));
        turns.insert(key.to_owned(), Arc::downgrade(&turn));
        turn
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::Turns;

    #[tokio::test]
    async fn a_key_is_had_by_one_and_forgotten_after() {
        let turns = Turns::default();
        let held = turns.take("a").await;
        assert!(turns.take("a").now_or_never().is_none(), "somebody has it");
        assert!(turns.take("b").now_or_never().is_some(), "another key is free");
        drop(held);
        assert!(turns.take("a").now_or_never().is_some());
        assert!(turns.take("c").now_or_never().is_some());
        assert_eq!(turns.0.lock().unwrap().len(), 1, "only the last one is kept");
    }
}
