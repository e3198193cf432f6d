//! Work that goes on between calls, by daemon and image.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use driver::Fault;
use driver::v1::Reason;
use tokio::task::{AbortHandle, JoinSet};

use crate::daemon::Progress;

/// What is made, and what makes it.
#[derive(Debug, Default)]
pub(super) struct Jobs(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    jobs: HashMap<String, (Arc<Job>, AbortHandle)>,
    tasks: JoinSet<()>,
}

/// One piece of work.
#[derive(Debug)]
pub(super) struct Job {
    since: SystemTime,
    done: AtomicU64,
    total: AtomicU64,
    end: Mutex<Option<Result<(), Fault>>>,
}

/// How far it is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct UnderWay {
    /// When it began.
    pub(crate) since: SystemTime,
    /// In bytes; never falls.
    pub(crate) done: u64,
    /// In bytes; 0 while it is unknown.
    pub(crate) total: u64,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Jobs {
    /// Begins the work of a key, or looks how far it is. Its error is told once; the call after it begins anew.
    pub(super) fn step<F>(&self, key: String, work: impl FnOnce(Arc<Job>) -> F) -> Result<UnderWay, Fault>
    where
        F: Future<Output = Result<(), Fault>> + Send + 'static,
    {
        let mut state = locked(&self.0);
        if let Some((job, task)) = state.jobs.get(&key) {
            let under_way = job.under_way();
            // Asked first: work that ends between the two has told its end.
            let is_finished = task.is_finished();
            let end = locked(&job.end).take();
            let end = end.or_else(|| {
                let died = || Fault::new(Reason::Bug, "what makes the image has ended without a word");
                is_finished.then(|| Err(died()))
            });
            return match end {
                None => Ok(under_way),
                Some(end) => {
                    state.jobs.remove(&key);
                    end.map(|()| under_way)
                }
            };
        }
        while state.tasks.try_join_next().is_some() {}
        let job = Arc::new(Job {
            since: SystemTime::now(),
            done: AtomicU64::new(0),
            total: AtomicU64::new(0),
            end: Mutex::default(),
        });
        let under_way = job.under_way();
        let (work, ending) = (work(job.clone()), job.clone());
        let task = state.tasks.spawn(async move {
            let end = work.await;
            *locked(&ending.end) = Some(end);
        });
        state.jobs.insert(key, (job, task));
        Ok(under_way)
    }

    /// Ends all.
    pub(super) fn close(&self) {
        locked(&self.0).tasks.abort_all();
    }
}

impl Job {
    /// So many bytes of so many are done.
    pub(super) fn set(&self, (done, total): (u64, u64)) {
        self.done.fetch_max(done, Ordering::Relaxed);
        self.total.fetch_max(total, Ordering::Relaxed);
    }

    fn under_way(&self) -> UnderWay {
        UnderWay {
            since: self.since,
            done: self.done.load(Ordering::Relaxed),
            total: self.total.load(Ordering::Relaxed),
        }
    }
}

/// The layers of an image that is pulled, of which each has progress of its own.
#[derive(Debug, Default)]
pub(super) struct Layers(HashMap<String, (u64, u64)>);

impl Layers {
    /// Bytes done and in all, with another line of progress.
    pub(super) fn add(&mut self, line: &Progress) -> (u64, u64) {
        if let Some(id) = &line.id {
            let layer = self.0.entry(id.clone()).or_default();
            layer.0 = layer.0.max(line.detail.current);
            layer.1 = layer.1.max(line.detail.total);
        }
        let layers = self.0.values();
        layers.fold((0, 0), |sum, layer| (sum.0 + layer.0, sum.1 + layer.1))
    }
}

#[cfg(test)]
mod tests {
    use driver::Fault;
    use driver::v1::Reason;
    use tokio::sync::oneshot;

    use super::{Jobs, Layers};
    use crate::daemon::Progress;

    #[tokio::test]
    async fn work_is_begun_once_and_its_error_told_once() {
        let jobs = Jobs::default();
        let (end, ended) = oneshot::channel();
        let begun = jobs.step("a".to_owned(), |job| async move {
            job.set((3, 9));
            job.set((2, 9));
            let _ = ended.await;
            Err(Fault::new(Reason::TaskFailed, "no space"))
        });
        assert_eq!(begun.unwrap().done, 0);
        let again = |jobs: &Jobs| {
            jobs.step("a".to_owned(), |_| async { panic!("it is under way") })
                .map(|job| (job.done, job.total))
        };
        while again(&jobs).unwrap() != (3, 9) {
            tokio::task::yield_now().await;
        }
        end.send(()).unwrap();
        let fault = loop {
            match again(&jobs) {
                Ok(_) => tokio::task::yield_now().await,
                Err(fault) => break fault,
            }
        };
        assert_eq!(fault.message, "no space");
        let anew = jobs.step("a".to_owned(), |_| async { Ok(()) }).unwrap();
        assert_eq!(anew.done, 0);
    }

    #[tokio::test]
    async fn work_that_panics_is_an_error() {
        let jobs = Jobs::default();
        jobs.step("a".to_owned(), |_| async { panic!("as a defect would") })
            .unwrap();
        let fault = loop {
            match jobs.step("a".to_owned(), |_| async { Ok(()) }) {
                Ok(_) => tokio::task::yield_now().await,
                Err(fault) => break fault,
            }
        };
        assert_eq!(fault.reason(), Reason::Bug);
    }

    #[test]
    fn progress_is_that_of_all_layers_and_never_falls() {
        let line = |id: &str, current: u64| -> Progress {
            serde_json::from_value(serde_json::json!({
                "id": id, "progressDetail": {"current": current, "total": 10},
            }))
            .unwrap()
        };
        let mut layers = Layers::default();
        assert_eq!(layers.add(&line("a", 4)), (4, 10));
        assert_eq!(layers.add(&line("b", 2)), (6, 20));
        assert_eq!(layers.add(&line("a", 1)), (6, 20));
    }
}
