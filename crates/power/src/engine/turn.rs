//! Whose turn it is at a machine: the one arbiter of its power.

use resources::bmc::{BmcCondition, ConditionKind, Job};

/// May a Job act now?
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Turn {
    Yes,
    /// Not yet; the text names for what.
    After(String),
}

/// An attempt that is open on the machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OpenAttempt {
    pub(crate) server: String,
    pub(crate) workflow: String,
}

/// The oldest open Job of the machine goes first; one that has begun goes on. During an attempt only Jobs of our own
/// controllers act. `restored` says that the records about the machine are from a backup: then none of those acts, because
/// what they want may be long over.
///
/// A Job that leaves the machine as it is waits for nobody, and nobody for it.
pub(crate) fn turn(job: &Job, others: &[Job], attempt: Option<&OpenAttempt>, restored: Option<&str>) -> Turn {
    if has_begun(job) || job.is_harmless() {
        return Turn::Yes;
    }
    if let Some(why) = restored.filter(|_| !is_foreign(job)) {
        return Turn::After(why.to_owned());
    }
    if let Some(attempt) = attempt
        && is_foreign(job)
    {
        return Turn::After(format!(
            "waits until attempt {} on server {} has ended",
            attempt.workflow, attempt.server
        ));
    }
    let before = |other: &&Job| {
        other.spec.machine_ref == job.spec.machine_ref
            && name(other) != name(job)
            && !other.is_harmless()
            && !has_ended(other)
            && (has_begun(other) || age(other) < age(job))
            && !(attempt.is_some() && is_foreign(other) && !has_begun(other))
    };
    match others
        .iter()
        .filter(before)
        .min_by_key(|other| (!has_begun(other), age(other)))
    {
        Some(first) => Turn::After(format!("waits for Job {}", name(first))),
        None => Turn::Yes,
    }
}

/// Whether the Job has reached its end, good or bad.
pub(crate) fn has_ended(job: &Job) -> bool {
    job.status
        .as_ref()
        .is_some_and(|status| ended(&status.conditions))
}

/// Whether conditions say completed or failed.
pub(crate) fn ended(conditions: &[BmcCondition]) -> bool {
    conditions.iter().any(BmcCondition::is_end)
}

/// Whether a condition is there and true.
pub(crate) fn holds(conditions: &[BmcCondition], kind: ConditionKind) -> bool {
    conditions
        .iter()
        .any(|condition| condition.kind == kind && condition.status == "True")
}

fn has_begun(job: &Job) -> bool {
    !has_ended(job)
        && job
            .status
            .as_ref()
            .is_some_and(|status| status.start_time.is_some())
}

/// Not made by one of the controllers that hold the machine's claim or attempt.
fn is_foreign(job: &Job) -> bool {
    let owners = job.metadata.owner_references.iter().flatten();
    !owners
        .into_iter()
        .any(|owner| matches!(owner.kind.as_str(), "Workflow" | "ProviderMachine" | "Server"))
}

fn name(job: &Job) -> &str {
    job.metadata.name.as_deref().unwrap_or_default()
}

/// Creation time (whole seconds), then name.
fn age(job: &Job) -> (Option<jiff::Timestamp>, &str) {
    (
        job.metadata.creation_timestamp.as_ref().map(|time| time.0),
        name(job),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn job(name: &str, second: u32, status: Value, owner: Option<&str>) -> Job {
        let owners: Vec<Value> = owner
            .map(|kind| json!({"apiVersion": "x/v1", "kind": kind, "name": "o", "uid": "u"}))
            .into_iter()
            .collect();
        serde_json::from_value(json!({
            "apiVersion": "bmc.tinkerbell.org/v1alpha1", "kind": "Job",
            "metadata": {"name": name, "namespace": "ns", "ownerReferences": owners,
                         "creationTimestamp": format!("2026-01-01T00:00:{second:02}Z")},
            "spec": {"machineRef": {"name": "m", "namespace": "ns"}, "tasks": []}, "status": status,
        }))
        .unwrap()
    }

    fn begun() -> Value {
        json!({"startTime": "2026-01-01T00:01:00Z"})
    }

    fn done() -> Value {
        json!({"startTime": "2026-01-01T00:01:00Z", "conditions": [{"type": "Completed", "status": "True"}]})
    }

    #[test]
    fn the_oldest_first() {
        let (a, b) = (job("a", 1, json!({}), None), job("b", 2, json!({}), None));
        let all = [a.clone(), b.clone()];
        assert_eq!(turn(&a, &all, None, None), Turn::Yes);
        assert_eq!(
            turn(&b, &all, None, None),
            Turn::After("waits for Job a".to_owned())
        );
        let same = job("a2", 1, json!({}), None);
        assert_eq!(
            turn(&same, &[a.clone(), same.clone()], None, None),
            Turn::After("waits for Job a".to_owned())
        );
        assert_eq!(
            turn(&b, &[job("a", 1, done(), None), b.clone()], None, None),
            Turn::Yes
        );
    }

    #[test]
    fn who_only_reads_waits_for_nobody_and_is_in_nobodys_way() {
        let (power, mut reader) = (job("power", 1, begun(), None), job("reader", 2, json!({}), None));
        reader.spec.tasks =
            serde_json::from_value(json!([{"report": "sensors"}, {"indicator": "on"}])).unwrap();
        let attempt = OpenAttempt {
            server: "s".to_owned(),
            workflow: "w".to_owned(),
        };
        let all = [power, reader.clone()];
        assert_eq!(turn(&reader, &all, Some(&attempt), Some("restored")), Turn::Yes);
        reader.status = serde_json::from_value(begun()).unwrap();
        let later = job("later", 3, json!({}), None);
        assert_eq!(turn(&later, std::slice::from_ref(&reader), None, None), Turn::Yes);
        reader.spec.tasks =
            serde_json::from_value(json!([{"report": "sensors"}, {"powerAction": "off"}])).unwrap();
        assert!(matches!(turn(&later, &[reader], None, None), Turn::After(_)));
    }

    #[test]
    fn who_has_begun_goes_on() {
        let (old, young) = (job("old", 1, json!({}), None), job("young", 2, begun(), None));
        let all = [old.clone(), young.clone()];
        assert_eq!(turn(&young, &all, None, None), Turn::Yes);
        assert_eq!(
            turn(&old, &all, None, None),
            Turn::After("waits for Job young".to_owned())
        );
    }

    #[test]
    fn what_is_known_from_a_backup_alone_is_powered_by_people_alone() {
        let foreign = job("foreign", 1, json!({}), None);
        let ours = job("ours", 2, json!({}), Some("ProviderMachine"));
        let why = Some("restored");
        let waits = Turn::After("restored".to_owned());
        assert_eq!(turn(&ours, std::slice::from_ref(&ours), None, why), waits);
        assert_eq!(
            turn(&foreign, std::slice::from_ref(&foreign), None, why),
            Turn::Yes
        );
    }

    #[test]
    fn foreign_jobs_wait_for_an_attempt() {
        let attempt = OpenAttempt {
            server: "s".to_owned(),
            workflow: "w".to_owned(),
        };
        let foreign = job("foreign", 1, json!({}), None);
        let ours = job("ours", 2, json!({}), Some("Workflow"));
        let all = [foreign.clone(), ours.clone()];
        let Turn::After(reason) = turn(&foreign, &all, Some(&attempt), None) else {
            panic!("a foreign Job had its turn")
        };
        assert!(reason.contains("attempt w") && reason.contains("server s"));
        assert_eq!(
            turn(&ours, &all, Some(&attempt), None),
            Turn::Yes,
            "a waiting foreign Job is not in the way"
        );
        assert_eq!(
            turn(&job("f", 1, begun(), None), &all, Some(&attempt), None),
            Turn::Yes,
            "what has begun goes on"
        );
    }
}
