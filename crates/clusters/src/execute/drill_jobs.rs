//! Drills that are under way or have just ended, of all clusters. Kept in memory: an appliance that starts anew begins again.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use resources::Time;
use resources::anywhere::{EtcdDrill, EtcdDrillStage, EtcdDrillUnderWay};
use tokio::task::JoinHandle;

use crate::access::Access;

/// Namespace and name of a cluster.
pub(super) type Key = (String, String);

/// The jobs. One works at a time; the others wait for their turn.
#[derive(Debug, Default, Clone)]
pub(crate) struct DrillJobs {
    known: Arc<Mutex<HashMap<Key, Job>>>,
    pub(super) turn: Arc<tokio::sync::Mutex<()>>,
}

#[derive(Debug)]
struct Job {
    under_way: EtcdDrillUnderWay,
    ended: Option<EtcdDrill>,
    is_announced: bool,
    task: Option<JoinHandle<()>>,
}

/// How the job of a cluster is.
#[derive(Debug, Clone)]
pub(super) enum State {
    Nothing,
    UnderWay(EtcdDrillUnderWay),
    Ended(Box<EtcdDrill>),
}

impl DrillJobs {
    fn all<T>(&self, act: impl FnOnce(&mut HashMap<Key, Job>) -> T) -> T {
        act(&mut self.known.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Begins a job: its task comes from `spawn`, which is called when the job is known.
    pub(super) fn begin(
        &self,
        key: Key,
        started_at: Time,
        requested_at: Option<Time>,
        spawn: impl FnOnce() -> JoinHandle<()>,
    ) {
        self.all(|known| {
            let under_way = EtcdDrillUnderWay {
                started_at,
                stage: EtcdDrillStage::Waiting,
                requested_at,
            };
            let job = Job {
                under_way,
                ended: None,
                is_announced: false,
                task: Some(spawn()),
            };
            known.insert(key, job);
        });
    }

    pub(super) fn stage(&self, key: &Key, stage: EtcdDrillStage) {
        self.all(|known| {
            if let Some(job) = known.get_mut(key) {
                job.under_way.stage = stage;
            }
        });
    }

    /// What is done now.
    pub(super) fn stage_of(&self, key: &Key) -> Option<EtcdDrillStage> {
        self.all(|known| known.get(key).map(|job| job.under_way.stage))
    }

    pub(super) fn end(&self, key: &Key, drill: EtcdDrill) {
        self.all(|known| {
            if let Some(job) = known.get_mut(key) {
                job.ended = Some(drill);
            }
        });
    }

    pub(super) fn state(&self, key: &Key) -> State {
        self.all(|known| match known.get(key) {
            None => State::Nothing,
            Some(job) => match &job.ended {
                Some(drill) => State::Ended(Box::new(drill.clone())),
                None => State::UnderWay(job.under_way.clone()),
            },
        })
    }

    /// Whether nobody was told of the end of a job before; the next time it is announced.
    pub(super) fn announce(&self, key: &Key) -> bool {
        self.all(|known| {
            let job = known.get_mut(key).filter(|job| !job.is_announced);
            job.map(|job| job.is_announced = true).is_some()
        })
    }

    /// A cluster goes.
    pub(crate) fn forget(&self, access: &Access, cluster: &str) {
        self.drop(&(access.namespace.clone(), cluster.to_owned()));
    }

    /// Forgets a job, and ends it when it is under way.
    pub(super) fn drop(&self, key: &Key) {
        let job = self.all(|known| known.remove(key));
        if let Some(task) = job.and_then(|job| job.task) {
            task.abort();
        }
    }

    /// Ends all jobs; returns when nothing of them is left.
    pub(crate) async fn end_all(&self) {
        let jobs: Vec<Job> = self.all(|known| known.drain().map(|(_, job)| job).collect());
        for task in jobs.into_iter().filter_map(|job| job.task) {
            task.abort();
            // Its values are dropped by then.
            let _ = task.await;
        }
    }
}
