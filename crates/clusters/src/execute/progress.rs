//! The status of a Plan as it is carried out. Pure.

use std::collections::HashMap;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use resources::gantry::{
    FailurePolicy, Plan, PlanPhase, PlanSpec, PlanStatus, PlanStep, StepState, StepStatus,
};
use steps::Record;

/// With more steps that run than this the reasons and deadlines of single steps are left to the Machines: a Plan of a
/// thousand machines has to stay below 256 KiB.
const ROWS_WITH_REASONS: usize = 100;

/// A Plan's status while the plan is carried out, with the rules by which it changes.
#[derive(Debug, Clone)]
pub struct Progress {
    spec: PlanSpec,
    status: PlanStatus,
    /// Places of the rows by the id of their step.
    places: HashMap<String, usize>,
}

impl Progress {
    /// What a Plan's status says; a Plan without one is Pending.
    #[must_use]
    pub fn of(plan: &Plan) -> Self {
        let status = plan.status.clone().unwrap_or_default();
        let places = status.steps.iter().enumerate();
        let places = places.map(|(place, row)| (row.id.clone(), place)).collect();
        Self {
            spec: plan.spec.clone(),
            status,
            places,
        }
    }

    /// What the plan does.
    pub(crate) const fn spec(&self) -> &PlanSpec {
        &self.spec
    }

    /// Phase of the plan.
    #[must_use]
    pub const fn phase(&self) -> PlanPhase {
        self.status.phase
    }

    /// Whether the plan waits for an approval or is carried out.
    #[must_use]
    pub const fn is_under_way(&self) -> bool {
        self.phase().is_under_way()
    }

    /// The status, as it is written.
    #[must_use]
    pub const fn status(&self) -> &PlanStatus {
        &self.status
    }

    fn row(&self, id: &str) -> Option<&StepStatus> {
        self.status.steps.get(*self.places.get(id)?)
    }

    /// The states of the steps that have started, by id.
    #[must_use]
    pub fn states(&self) -> HashMap<&str, StepState> {
        let rows = self.status.steps.iter();
        rows.map(|row| (row.id.as_str(), row.state)).collect()
    }

    /// State of a step; Pending for one that has not started or is not of the plan.
    #[must_use]
    pub fn state(&self, id: &str) -> StepState {
        self.row(id).map(|row| row.state).unwrap_or_default()
    }

    /// The steps that run or can start: those whose predecessors are done.
    #[must_use]
    pub fn ready(&self) -> Vec<PlanStep> {
        let states = self.states();
        let state = |id: &str| states.get(id).copied().unwrap_or_default();
        let is_open = |step: &&PlanStep| matches!(state(&step.id), StepState::Pending | StepState::Running);
        let may_start = |step: &&PlanStep| step.after.iter().all(|before| state(before) == StepState::Done);
        let steps = self.spec.steps.iter().filter(is_open);
        steps.filter(may_start).cloned().collect()
    }

    /// The record of a step; one that did not start yet starts now.
    #[must_use]
    pub fn record(&self, id: &str, now: Timestamp) -> Record<StepState> {
        match self.row(id) {
            Some(row) => Record {
                state: row.state,
                since: row.started_at.as_ref().map(|time| time.0),
                reason: row.reason.clone(),
                deadline: row.deadline.as_ref().map(|time| time.0),
                percent: None,
            },
            None => Record {
                state: StepState::Running,
                since: Some(now),
                reason: None,
                deadline: None,
                percent: None,
            },
        }
    }

    /// Notes the record of a step.
    pub fn set(&mut self, id: &str, record: &Record<StepState>, now: Timestamp) {
        let over = matches!(record.state, StepState::Done | StepState::Failed);
        let started = self.row(id).and_then(|row| row.started_at.clone());
        let row = StepStatus {
            id: id.to_owned(),
            state: record.state,
            started_at: started
                .or_else(|| Some(Time(record.since.unwrap_or(now))))
                .map(whole),
            ended_at: over.then(|| whole(Time(now))),
            deadline: record.deadline.filter(|_| !over).map(|time| whole(Time(time))),
            reason: record.reason.clone().filter(|_| record.state != StepState::Done),
        };
        let place = self.places.get(id);
        match place.and_then(|place| self.status.steps.get_mut(*place)) {
            Some(known) => *known = row,
            None => {
                self.places.insert(row.id.clone(), self.status.steps.len());
                self.status.steps.push(row);
            }
        }
    }

    /// Approves the plan: it is carried out from now on. `by` is `policy`, or who did it.
    pub fn approve(&mut self, by: String, now: Timestamp) {
        self.status.approved_by = Some(by);
        self.enter(PlanPhase::Executing, None, now);
    }

    /// Enters a phase; `reason` says why, where it does not explain itself.
    pub fn enter(&mut self, phase: PlanPhase, reason: Option<String>, now: Timestamp) {
        if self.status.phase != phase {
            self.status.since = Some(whole(Time(now)));
        }
        self.status.phase = phase;
        self.status.reason = reason;
    }

    /// Says what the plan waits for.
    pub fn wait(&mut self, reason: String) {
        self.status.reason = Some(reason);
    }

    /// A step that has failed and is not answered with another machine.
    fn stopped_by(&self) -> Option<&PlanStep> {
        let failed = self.failed();
        failed
            .into_iter()
            .find(|step| step.on_failure == FailurePolicy::Retry)
    }

    /// The steps that have failed, in the order of the plan.
    pub(crate) fn failed(&self) -> Vec<&PlanStep> {
        let states = self.states();
        let is_failed = |step: &&PlanStep| states.get(step.id.as_str()) == Some(&StepState::Failed);
        self.spec.steps.iter().filter(is_failed).collect()
    }

    /// Whether the same steps are to be begun again after a while.
    #[must_use]
    pub fn is_to_be_retried(&self) -> bool {
        self.phase() == PlanPhase::Failed && self.stopped_by().is_some()
    }

    /// Ends the plan when its last step is done, when a step has failed that is not answered with another machine, or when
    /// nothing can follow what has failed.
    pub fn settle(&mut self, now: Timestamp) {
        let stuck = || self.failed().first().copied().filter(|_| self.ready().is_empty());
        if let Some(step) = self.stopped_by().or_else(stuck) {
            let reason = self.row(&step.id).and_then(|row| row.reason.clone());
            let text = format!("{}: {}", step.text(1), reason.unwrap_or_default());
            self.enter(PlanPhase::Failed, Some(text), now);
            return;
        }
        let states = self.states();
        let is_done = |step: &PlanStep| states.get(step.id.as_str()) == Some(&StepState::Done);
        let done = self.spec.steps.iter().all(is_done);
        if done {
            self.enter(PlanPhase::Done, None, now);
            return;
        }
        let (running, reason) = {
            let waits = self.waits();
            let reason = waits.iter().find_map(|(_, row)| row.reason.clone());
            (waits.len(), reason)
        };
        self.status.reason = reason;
        if running > ROWS_WITH_REASONS {
            for row in &mut self.status.steps {
                row.reason = None;
                row.deadline = None;
            }
        }
    }

    /// The steps that run, in the order of the plan, with their reasons and deadlines.
    pub(crate) fn waits(&self) -> Vec<(&PlanStep, &StepStatus)> {
        let running = self
            .status
            .steps
            .iter()
            .filter(|row| row.state == StepState::Running);
        let rows: HashMap<&str, &StepStatus> = running.map(|row| (row.id.as_str(), row)).collect();
        let steps = self.spec.steps.iter();
        steps
            .filter_map(|step| Some((step, *rows.get(step.id.as_str())?)))
            .collect()
    }
}

/// Without a fraction of a second, which nobody reads and a thousand rows would carry.
fn whole(time: Time) -> Time {
    Time(Timestamp::from_second(time.0.as_second()).unwrap_or(time.0))
}
