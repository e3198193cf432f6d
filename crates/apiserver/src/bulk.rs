//! Requests with much data: processed on threads beside the runtime, which also answers DHCP.
//!
//! Decoding, merging and validating a megabyte takes as long as it takes; here it holds up nobody but others of its
//! kind. A bounded number of them wait. What this process asks of its own API does not wait behind users.

use std::sync::Arc;

use tokio::runtime::Handle;
use tokio::sync::Semaphore;

use crate::status::ApiError;

/// Bytes of a request body that are processed at once.
const SMALL_BODY: usize = 16 * 1024;
/// Bytes of a stored object that a request may change at once.
const SMALL_OBJECT: usize = 64 * 1024;
/// Requests that may wait for a thread; each holds its body in memory.
const WAITING: usize = 32;

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Caller {
    /// A controller in this process.
    Inside,
    /// A client of a listener.
    Outside,
}

/// The threads for large requests of clients.
#[derive(Debug)]
pub(crate) struct Bulk {
    running: Arc<Semaphore>,
    present: Arc<Semaphore>,
}

impl Default for Bulk {
    /// Half of the processors, so that the others answer everybody else.
    fn default() -> Bulk {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        Bulk::new((processors / 2).max(1), WAITING)
    }
}

impl Bulk {
    fn new(running: usize, waiting: usize) -> Bulk {
        Bulk {
            running: Arc::new(Semaphore::new(running)),
            present: Arc::new(Semaphore::new(running + waiting)),
        }
    }

    /// True when a request with a body of `body` bytes on an object of `object` bytes belongs here.
    pub(crate) fn wants(body: usize, object: usize) -> bool {
        body > SMALL_BODY || object > SMALL_OBJECT
    }

    /// Runs `work` on a thread of its own when its turn comes.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        caller: Caller,
        work: impl Future<Output = Result<T, ApiError>> + Send + 'static,
    ) -> Result<T, ApiError> {
        let busy = |_| ApiError::too_many_requests();
        let mut places = Vec::new();
        if caller == Caller::Outside {
            places.push(self.present.clone().try_acquire_owned().map_err(busy)?);
            let turn = self.running.clone().acquire_owned().await;
            places.push(turn.map_err(|_| ApiError::unavailable("the server is stopping"))?);
        }
        let runtime = Handle::current();
        let done = tokio::task::spawn_blocking(move || {
            let result = runtime.block_on(work);
            drop(places);
            result
        });
        done.await.unwrap_or_else(|error| {
            tracing::error!(error = %error, "processing a request failed");
            Err(ApiError::internal("the request could not be processed"))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use tokio::sync::Notify;

    #[tokio::test]
    async fn users_wait_for_their_turn_and_this_process_does_not() {
        let bulk = Arc::new(Bulk::new(1, 1));
        let (release, started) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let held = |started: Arc<Notify>, release: Arc<Notify>| async move {
            started.notify_one();
            release.notified().await;
            Ok::<_, ApiError>(())
        };
        let mut running = Vec::new();
        for _ in 0..2 {
            let (bulk, work) = (bulk.clone(), held(started.clone(), release.clone()));
            running.push(tokio::spawn(async move { bulk.run(Caller::Outside, work).await }));
            tokio::task::yield_now().await;
        }
        started.notified().await;
        // One runs, one waits, and for the third there is no place.
        let third = bulk.run(Caller::Outside, async { Ok(()) }).await.unwrap_err();
        assert_eq!(third.code, 429);
        let inside = bulk.run(Caller::Inside, async { Ok(7) });
        let inside = tokio::time::timeout(Duration::from_secs(60), inside).await;
        assert_eq!(inside.unwrap().unwrap(), 7);
        release.notify_one();
        started.notified().await;
        release.notify_one();
        for task in running {
            task.await.unwrap().unwrap();
        }
        assert_eq!(bulk.run(Caller::Outside, async { Ok(8) }).await.unwrap(), 8);
    }

    #[tokio::test]
    async fn a_panic_is_an_answer() {
        let bulk = Bulk::new(1, 0);
        let work = async { if true { panic!("on purpose") } else { Ok(()) } };
        assert_eq!(bulk.run(Caller::Outside, work).await.unwrap_err().code, 500);
        assert_eq!(bulk.run(Caller::Outside, async { Ok(1) }).await.unwrap(), 1);
    }

    #[test]
    fn sizes_decide() {
        assert!(!Bulk::wants(16 * 1024, 64 * 1024));
        assert!(Bulk::wants(16 * 1024 + 1, 0));
        assert!(Bulk::wants(0, 64 * 1024 + 1));
    }
}
