//! What a controller is to the interpreter.

use std::time::Duration;

use jiff::Timestamp;

use crate::record::Record;
use crate::step::Step;
use crate::transition::{StateName, Transition};

/// Longest time between two looks at an object that waits, where its state machine says nothing else.
const LOOK: Duration = Duration::from_secs(60);

/// What became of a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Commit {
    /// The status is what the snapshot says, written or already so.
    Kept,
    /// Somebody else changed the object, or it is gone: observe and decide again.
    Lost,
}

/// A step of the state machine `M`.
pub type StepOf<M> = Step<<M as StateMachine>::State, <M as StateMachine>::Effect>;

/// One object of a kind whose status has a state, and the shell around its pure decision.
pub trait StateMachine: Sized + Sync {
    /// The kind of state machine, such as `server`: value of the label `kind` of its metrics.
    const KIND: &'static str;
    /// The states.
    type State: Copy + PartialEq + Send + Sync;
    /// What has to be done outside of the decision.
    type Effect: Send;
    /// Everything that a decision looks at, with the status as far as it is decided.
    type Snapshot: Send + Sync;
    /// What can go wrong when reading, writing or doing something.
    type Error: Send;

    /// How a state is called.
    fn name_of(state: Self::State) -> StateName;

    /// Name of the object, for logs.
    fn name(&self) -> &str;

    /// Reads the object and what belongs to it, as they are now; nothing when the object is gone.
    fn observe(&self) -> impl Future<Output = Result<Option<Self::Snapshot>, Self::Error>> + Send;

    /// Longest time until the decision is asked again while it waits, so that a lost wake costs no more.
    fn look(_: &Self::Snapshot) -> Duration {
        LOOK
    }

    /// The record in the snapshot's status.
    fn record(snapshot: &Self::Snapshot) -> Record<Self::State>;

    /// Puts a record into the snapshot's status.
    fn set_record(snapshot: &mut Self::Snapshot, record: Record<Self::State>);

    /// The next step. Pure.
    fn decide(&self, snapshot: &Self::Snapshot, now: Timestamp) -> StepOf<Self>;

    /// Does an effect that is a change of the snapshot's status alone, which is committed with what follows; gives back
    /// every other effect.
    fn apply(_: &mut Self::Snapshot, effect: Self::Effect, _now: Timestamp) -> Option<Self::Effect> {
        Some(effect)
    }

    /// Writes the snapshot's status if it differs from what was read or written last, and only if nobody else changed
    /// the object since. The snapshot then holds the object as it was written.
    fn commit(
        &self,
        snapshot: &mut Self::Snapshot,
    ) -> impl Future<Output = Result<Commit, Self::Error>> + Send;

    /// Does an effect. What belongs into the status goes into the snapshot, and is committed afterwards. Without a step
    /// everything is observed and decided again; a step is taken as it is, where the effect found out what follows.
    fn carry_out(
        &self,
        snapshot: &mut Self::Snapshot,
        effect: Self::Effect,
        now: Timestamp,
    ) -> impl Future<Output = Result<Option<StepOf<Self>>, Self::Error>> + Send;

    /// Shows a committed transition to people, as an Event. A failure to do so is nobody's failure.
    fn announce(&self, snapshot: &Self::Snapshot, transition: &Transition)
    -> impl Future<Output = ()> + Send;
}
