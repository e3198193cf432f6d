//! The status of a Plan as it is carried out. Pure.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use resources::gantry::{Plan, PlanPhase, PlanStatus, PlanStep, StepState, StepStatus};

/// The status with one row for each step.
pub(crate) fn status(plan: &Plan) -> PlanStatus {
    let mut status = plan.status.clone().unwrap_or_default();
    for step in &plan.spec.steps {
        if !status.steps.iter().any(|row| row.id == step.id) {
            status.steps.push(StepStatus {
                id: step.id.clone(),
                state: StepState::Pending,
                started_at: None,
                ended_at: None,
                deadline: None,
                reason: None,
            });
        }
    }
    status
}

/// The step at hand: the first that is not done.
pub(crate) fn at_hand<'a>(plan: &'a Plan, status: &PlanStatus) -> Option<&'a PlanStep> {
    let done = |step: &&PlanStep| {
        status
            .steps
            .iter()
            .any(|row| row.id == step.id && row.state == StepState::Done)
    };
    plan.spec.steps.iter().find(|step| !done(step))
}

/// The row of a step.
pub(crate) fn row<'a>(status: &'a PlanStatus, id: &str) -> Option<&'a StepStatus> {
    status.steps.iter().find(|row| row.id == id)
}

/// Starts a step; nothing changes when it runs already.
pub(crate) fn start(status: &mut PlanStatus, step: &PlanStep, now: Timestamp) {
    let Some(row) = status.steps.iter_mut().find(|row| row.id == step.id) else {
        return;
    };
    if row.state == StepState::Pending {
        row.state = StepState::Running;
        row.started_at = Some(Time(now));
        let span = SignedDuration::from_mins(i64::from(step.deadline_minutes));
        row.deadline = Some(Time(now.saturating_add(span).unwrap_or(Timestamp::MAX)));
    }
}

/// Counts the time of a step from `at` on, unless it has longer: somebody else is waited for until then.
pub(crate) fn count_from(status: &mut PlanStatus, step: &PlanStep, at: Timestamp) {
    let span = SignedDuration::from_mins(i64::from(step.deadline_minutes));
    let until = at.saturating_add(span).unwrap_or(Timestamp::MAX);
    let row = status.steps.iter_mut().find(|row| row.id == step.id);
    let deadline = row.and_then(|row| row.deadline.as_mut());
    if let Some(deadline) = deadline.filter(|deadline| deadline.0 < until) {
        *deadline = Time(until);
    }
}

/// Notes what the step at hand waits for.
pub(crate) fn wait(status: &mut PlanStatus, id: &str, reason: &str) {
    if let Some(row) = status.steps.iter_mut().find(|row| row.id == id) {
        row.reason = Some(reason.to_owned());
    }
    status.reason = Some(reason.to_owned());
}

/// Ends a step; the plan is done with its last one.
pub(crate) fn done(status: &mut PlanStatus, id: &str, now: Timestamp) {
    if let Some(row) = status.steps.iter_mut().find(|row| row.id == id) {
        row.state = StepState::Done;
        row.ended_at = Some(Time(now));
        row.reason = None;
    }
    status.reason = None;
    if status.steps.iter().all(|row| row.state == StepState::Done) {
        status.phase = PlanPhase::Done;
        status.since = Some(Time(now));
    }
}

/// Fails a step and with it the plan.
pub(crate) fn failed(status: &mut PlanStatus, id: &str, reason: &str, now: Timestamp) {
    if let Some(row) = status.steps.iter_mut().find(|row| row.id == id) {
        row.state = StepState::Failed;
        row.ended_at = Some(Time(now));
        row.reason = Some(reason.to_owned());
    }
    status.phase = PlanPhase::Failed;
    status.since = Some(Time(now));
    status.reason = Some(format!("step {id}: {reason}"));
}

/// The reason of a step whose time is up, if it is.
pub(crate) fn overdue(status: &PlanStatus, step: &PlanStep, now: Timestamp) -> Option<String> {
    let row = row(status, &step.id)?;
    let deadline = row.deadline.as_ref()?;
    (now > deadline.0).then(|| {
        let last = row.reason.as_deref().unwrap_or("nothing");
        format!("not done until {:.0}; last it waited for: {last}", deadline.0)
    })
}

#[cfg(test)]
mod tests {
    use resources::Digest;
    use resources::gantry::{PlanClass, PlanSpec, PlanStepKind};

    use super::*;

    #[test]
    fn a_step_counts_from_when_its_machine_is_waited_for() {
        let at = |minute: i64| Timestamp::from_second(1_800_000_000 + 60 * minute).unwrap();
        let step = PlanStep {
            id: "join".into(),
            kind: PlanStepKind::JoinWorker,
            machine: Some("w-1".into()),
            text: "join".into(),
            deadline_minutes: 120,
        };
        let spec = PlanSpec {
            cluster: "prod".into(),
            desired: Digest::new([1; 32]),
            class: PlanClass::Create,
            steps: vec![step.clone()],
        };
        let mut progress = status(&Plan::new("p", spec));
        start(&mut progress, &step, at(0));
        assert_eq!(overdue(&progress, &step, at(120)), None);
        assert!(overdue(&progress, &step, at(121)).is_some());
        // Somebody may power its machine on until then.
        count_from(&mut progress, &step, at(1440));
        assert_eq!(overdue(&progress, &step, at(1560)), None);
        // It started at once: what was given is not taken back.
        count_from(&mut progress, &step, at(30));
        assert_eq!(overdue(&progress, &step, at(1560)), None);
        wait(&mut progress, "join", "w-1: waits for power-on");
        let reason = overdue(&progress, &step, at(1561)).unwrap();
        assert!(reason.ends_with("w-1: waits for power-on"), "{reason}");
    }
}
