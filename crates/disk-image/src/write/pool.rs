//! The buffers of a write, which are counted, and the news that it failed.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use super::block::{AlignedBuffer, BLOCK};
use crate::Error;

/// Buffers of one block each.
pub(super) struct Pool {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    free: Vec<AlignedBuffer>,
    /// Not yet made: memory that a small image never needs.
    unmade: usize,
    broken: bool,
}

impl Pool {
    pub(super) fn new(buffers: usize) -> Self {
        Self {
            state: Mutex::new(State {
                free: Vec::new(),
                unmade: buffers,
                broken: false,
            }),
            changed: Condvar::new(),
        }
    }

    /// Waits for a free buffer. `None` when the write failed.
    pub(super) fn take(&self) -> Option<AlignedBuffer> {
        let mut state = self.state();
        loop {
            if state.broken {
                return None;
            }
            if let Some(buffer) = state.free.pop() {
                return Some(buffer);
            }
            if let Some(fewer) = state.unmade.checked_sub(1) {
                state.unmade = fewer;
                drop(state);
                return Some(AlignedBuffer::new(BLOCK));
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    pub(super) fn give(&self, buffer: AlignedBuffer) {
        self.state().free.push(buffer);
        self.changed.notify_one();
    }

    pub(super) fn is_broken(&self) -> bool {
        self.state().broken
    }

    /// Does a thread's work. If it fails or panics, nobody gets a buffer any more.
    pub(super) fn guarded<T>(&self, work: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
        let breaker = Breaker(self);
        let done = work()?;
        std::mem::forget(breaker);
        Ok(done)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Breaks the pool when it is dropped.
struct Breaker<'a>(&'a Pool);

impl Drop for Breaker<'_> {
    fn drop(&mut self) {
        self.0.state().broken = true;
        self.0.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn no_more_buffers_than_it_has() {
        let pool = Pool::new(2);
        let (first, second) = (pool.take().unwrap(), pool.take().unwrap());
        thread::scope(|scope| {
            let third = scope.spawn(|| pool.take().is_some());
            pool.give(first);
            assert!(third.join().unwrap());
        });
        assert!(pool.state().free.is_empty() && pool.state().unmade == 0);
        drop(second);
    }

    #[test]
    fn who_waits_hears_of_a_failure_and_of_a_panic() {
        let fails: [fn() -> Result<(), Error>; 2] =
            [|| Err(Error::Empty), || panic!("as a disk in a test may")];
        for fail in fails {
            let pool = Pool::new(0);
            thread::scope(|scope| {
                let waiting = scope.spawn(|| pool.take().is_none());
                let failed = scope.spawn(|| pool.guarded(fail));
                assert!(failed.join().is_err() || pool.is_broken());
                assert!(waiting.join().unwrap());
            });
            assert!(pool.take().is_none());
        }
    }

    #[test]
    fn what_goes_well_breaks_nothing() {
        let pool = Pool::new(1);
        assert_eq!(pool.guarded(|| Ok(3)).unwrap(), 3);
        assert!(pool.take().is_some());
    }
}
