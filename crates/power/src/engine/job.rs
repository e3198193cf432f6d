//! The next step of a Job: its Tasks strictly one after the other, the first failure ends it.

use std::time::Duration;

use jiff::Timestamp;
use resources::bmc::{ConditionKind, Job, Task};

use super::turn::{ended, holds};

/// What the controller does next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum JobStep {
    /// Make the Task at this index.
    Make(usize),
    /// A Task of an earlier Job of this name is in the way.
    RemoveStale(String),
    /// The Task at this index runs.
    Wait {
        index: usize,
        reason: String,
    },
    Completed,
    Failed(String),
}

/// `JOB-task-N`, as Rufio names them.
pub(crate) fn task_name(job: &str, index: usize) -> String {
    format!("{job}-task-{index}")
}

/// Decides from the Job and all Tasks that carry its name.
pub(crate) fn next(job: &Job, tasks: &[Task]) -> JobStep {
    let job_name = job.metadata.name.as_deref().unwrap_or_default();
    if job.spec.tasks.is_empty() {
        return JobStep::Failed("spec.tasks is empty".to_owned());
    }
    for index in 0..job.spec.tasks.len() {
        let name = task_name(job_name, index);
        let Some(task) = tasks
            .iter()
            .find(|task| task.metadata.name.as_deref() == Some(&name))
        else {
            return JobStep::Make(index);
        };
        if !is_ours(job, task) {
            return JobStep::RemoveStale(name);
        }
        let conditions = task
            .status
            .as_ref()
            .map(|status| status.conditions.as_slice())
            .unwrap_or_default();
        if holds(conditions, ConditionKind::Failed) {
            let failure = conditions
                .iter()
                .find(|condition| condition.kind == ConditionKind::Failed);
            let message = failure
                .and_then(|condition| condition.message.as_deref())
                .unwrap_or("no reason given");
            return JobStep::Failed(format!("task {index}: {message}"));
        }
        if !ended(conditions) {
            let running = conditions.iter().find_map(|condition| condition.message.clone());
            return JobStep::Wait {
                index,
                reason: running.unwrap_or_else(|| "begins".to_owned()),
            };
        }
    }
    JobStep::Completed
}

/// A Job that has only read something is kept for so long: what was read is of no use later, and may be long.
const READ_KEPT: Duration = Duration::from_secs(3600);

/// How long a Job that has ended is still kept; `None`: until somebody deletes it, as the record of what was wanted.
pub(crate) fn kept_for(job: &Job, now: Timestamp) -> Option<Duration> {
    if !job.is_harmless() {
        return None;
    }
    let ended = job.status.as_ref()?.completion_time.as_ref()?.0;
    let age = Duration::try_from(now.duration_since(ended)).unwrap_or_default();
    Some(READ_KEPT.saturating_sub(age))
}

fn is_ours(job: &Job, task: &Task) -> bool {
    let owners = task.metadata.owner_references.iter().flatten();
    owners
        .into_iter()
        .any(|owner| Some(&owner.uid) == job.metadata.uid.as_ref())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn job(tasks: usize) -> Job {
        serde_json::from_value(json!({
            "apiVersion": "bmc.tinkerbell.org/v1alpha1", "kind": "Job",
            "metadata": {"name": "j", "namespace": "ns", "uid": "1"},
            "spec": {"machineRef": {"name": "m", "namespace": "ns"}, "tasks": vec![json!({"powerAction": "on"}); tasks]},
        }))
        .unwrap()
    }

    fn task(index: usize, uid: &str, conditions: Value) -> Task {
        serde_json::from_value(json!({
            "apiVersion": "bmc.tinkerbell.org/v1alpha1", "kind": "Task",
            "metadata": {"name": format!("j-task-{index}"), "namespace": "ns", "ownerReferences": [
                {"apiVersion": "bmc.tinkerbell.org/v1alpha1", "kind": "Job", "name": "j", "uid": uid}]},
            "spec": {"task": {"powerAction": "on"}, "connection": {"host": "h"}}, "status": {"conditions": conditions},
        }))
        .unwrap()
    }

    #[test]
    fn one_after_the_other() {
        let completed = || json!([{"type": "Completed", "status": "True"}]);
        let running = || json!([{"type": "Running", "status": "True", "message": "sent"}]);
        let failed = || json!([{"type": "Running", "status": "False"}, {"type": "Failed", "status": "True", "message": "no"}]);
        assert_eq!(next(&job(2), &[]), JobStep::Make(0));
        assert_eq!(
            next(&job(2), &[task(0, "1", json!([]))]),
            JobStep::Wait {
                index: 0,
                reason: "begins".to_owned()
            }
        );
        assert_eq!(
            next(&job(2), &[task(0, "1", running())]),
            JobStep::Wait {
                index: 0,
                reason: "sent".to_owned()
            }
        );
        assert_eq!(next(&job(2), &[task(0, "1", completed())]), JobStep::Make(1));
        assert_eq!(
            next(&job(2), &[task(0, "1", completed()), task(1, "1", failed())]),
            JobStep::Failed("task 1: no".to_owned())
        );
        assert_eq!(
            next(&job(2), &[task(1, "1", completed()), task(0, "1", completed())]),
            JobStep::Completed
        );
        assert_eq!(
            next(&job(1), &[task(0, "0", completed())]),
            JobStep::RemoveStale("j-task-0".to_owned())
        );
        assert!(matches!(next(&job(0), &[]), JobStep::Failed(_)));
    }

    #[test]
    fn what_was_read_is_kept_for_an_hour() {
        let mut ended = job(1);
        ended.status = serde_json::from_value(json!({"completionTime": "2026-01-01T00:00:00Z"})).unwrap();
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        assert_eq!(
            kept_for(&ended, at("2027-01-01T00:00:00Z")),
            None,
            "a record of what was wanted"
        );
        ended.spec.tasks = serde_json::from_value(json!([{"report": "log"}])).unwrap();
        for (now, left) in [
            ("2026-01-01T00:10:00Z", 3000),
            ("2026-01-01T01:00:00Z", 0),
            ("2027-01-01T00:00:00Z", 0),
        ] {
            assert_eq!(
                kept_for(&ended, at(now)),
                Some(Duration::from_secs(left)),
                "{now}"
            );
        }
    }
}
