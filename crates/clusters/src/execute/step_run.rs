//! One step of a plan as a state machine: decided, its effect carried out, its transitions reported.

use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;
use resources::gantry::{PlanStep, StepState};
use steps::{Commit, Record, StateMachine, StateName, Step, Transition};

use super::decision::{Decision, Effect, View};
use super::disruption;
use super::effects::{Outcome, carry_out};
use super::progress::Progress;
use super::states::decide;
use super::work::Work;
use crate::error::Error;

/// A step of the plan that is carried out.
pub(crate) struct StepRun<'a> {
    pub(crate) work: &'a Work<'a>,
    pub(crate) step: &'a PlanStep,
    pub(crate) progress: &'a Mutex<Progress>,
    /// Whether an effect was carried out, so that everything has to be looked at again.
    pub(crate) acted: &'a Mutex<bool>,
    /// The transitions to report once the plan's status is written.
    pub(crate) transitions: &'a Mutex<Vec<(String, Transition)>>,
}

impl StateMachine for StepRun<'_> {
    const KIND: &'static str = "plan_step";
    type State = StepState;
    type Effect = Effect;
    type Snapshot = Record<StepState>;
    type Error = Error;

    fn name_of(state: StepState) -> StateName {
        let (label, event, failure) = match state {
            StepState::Pending => ("pending", "StepPending", false),
            StepState::Running => ("running", "StepRunning", false),
            StepState::Done => ("done", "StepDone", false),
            StepState::Failed => ("failed", "StepFailed", true),
        };
        StateName {
            label,
            event,
            failure,
        }
    }

    fn name(&self) -> &str {
        &self.step.id
    }

    async fn observe(&self) -> Result<Option<Record<StepState>>, Error> {
        let progress = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(Some(progress.record(&self.step.id, self.work.now)))
    }

    fn record(snapshot: &Record<StepState>) -> Record<StepState> {
        snapshot.clone()
    }

    fn set_record(snapshot: &mut Record<StepState>, record: Record<StepState>) {
        *snapshot = record;
    }

    fn decide(&self, record: &Record<StepState>, now: Timestamp) -> Decision {
        if matches!(record.state, StepState::Done | StepState::Failed) {
            return Step::rest();
        }
        decide(View {
            step: self.step,
            snapshot: self.work.snapshot,
            since: record.since.unwrap_or(now),
            now,
        })
    }

    async fn commit(&self, record: &mut Record<StepState>) -> Result<Commit, Error> {
        let mut progress = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
        progress.set(&self.step.id, record, self.work.now);
        Ok(Commit::Kept)
    }

    async fn carry_out(
        &self,
        _: &mut Record<StepState>,
        effect: Effect,
        now: Timestamp,
    ) -> Result<Option<Decision>, Error> {
        let minutes = jiff::SignedDuration::from_mins(i64::from(self.step.deadline_minutes));
        let until = steps::later(now, minutes);
        if let Some(held) = disruption::take(self.work, self.step).await? {
            return Ok(Some(Step::wait(held, until)));
        }
        tracing::info!(cluster = self.work.snapshot.cluster, step = %self.step.id, ?effect, "a step of the plan acts");
        Ok(Some(match carry_out(self.work, &effect).await? {
            Outcome::Waits(reason) => Step::wait(reason, until),
            Outcome::Finished => Step::go(StepState::Done, "done"),
            Outcome::Acted => {
                *self.acted.lock().unwrap_or_else(PoisonError::into_inner) = true;
                Step::wait(self.step.text(1), until)
            }
        }))
    }

    async fn announce(&self, _: &Record<StepState>, transition: &Transition) {
        let mut transitions = self.transitions.lock().unwrap_or_else(PoisonError::into_inner);
        transitions.push((self.step.text(1), transition.clone()));
    }
}
