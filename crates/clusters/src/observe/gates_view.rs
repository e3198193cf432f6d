//! What is seen of the upgrade gates of a cluster.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use crate::gates::{GateTemplate, NamespacedName};

/// How much longer than it may take a Job is waited for, which its cluster should have ended.
const GRACE: SignedDuration = SignedDuration::from_mins(5);

/// The gates of a cluster.
#[derive(Debug, Default)]
pub(crate) struct GatesSeen {
    /// Their names.
    pub(crate) named: Vec<NamespacedName>,
    /// What is wrong with how they are named.
    pub(crate) fault: Option<String>,
    /// The last wish of a person to run them once more.
    pub(crate) retry: Option<String>,
    /// What the cluster says of them, where it was asked.
    pub(crate) view: Option<GatesView>,
}

/// What a cluster says of its upgrade gates.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct GatesView {
    /// The templates that are there, of those that it was asked for.
    pub templates: BTreeMap<NamespacedName, GateTemplate>,
    /// The Jobs that are there, of those that it was asked for.
    pub jobs: BTreeMap<NamespacedName, GateJob>,
}

/// A Job that was made of the template of a gate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GateJob {
    /// When it was made.
    pub created: Timestamp,
    /// Seconds within which it has to be done.
    pub limit_seconds: i64,
    /// How far it is.
    pub state: GateJobState,
}

/// How far a Job is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GateJobState {
    /// It has not ended; what its pod waits for, where it does not run.
    Running(Option<String>),
    /// It has succeeded.
    Succeeded,
    /// It has failed: why, with the last lines of its log.
    Failed(String),
}

impl GateJob {
    /// How far it is. A Job that its cluster does not end in time has failed.
    pub(crate) fn state_at(&self, now: Timestamp) -> GateJobState {
        let limit = SignedDuration::from_secs(self.limit_seconds);
        let until = steps::later(self.created, limit.saturating_add(GRACE));
        match &self.state {
            GateJobState::Running(why) if until <= now => {
                let why = why.as_ref().map(|why| format!("; its pod waits: {why}"));
                GateJobState::Failed(format!(
                    "it has {} min, and the cluster did not end it after that{}",
                    limit.as_mins(),
                    why.unwrap_or_default()
                ))
            }
            state => state.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_that_hangs_has_failed_when_its_time_is_over() {
        let created: Timestamp = "2026-11-01T12:00:00Z".parse().unwrap();
        let job = |state| GateJob {
            created,
            limit_seconds: 600,
            state,
        };
        let at = |minutes: i64| created + SignedDuration::from_mins(minutes);
        let running = GateJobState::Running(Some("ErrImagePull".to_owned()));
        assert_eq!(job(running.clone()).state_at(at(14)), running);
        let text = "it has 10 min, and the cluster did not end it after that; its pod waits: ErrImagePull";
        assert_eq!(
            job(running).state_at(at(15)),
            GateJobState::Failed(text.to_owned())
        );
        assert_eq!(
            job(GateJobState::Succeeded).state_at(at(99)),
            GateJobState::Succeeded
        );
    }
}
