//! One object in memory, written by compare-and-set, and everything that happened to it.

use std::sync::{Mutex, MutexGuard};

use jiff::Timestamp;
use steps::{Commit, Record, StateMachine, StateName, Step, Transition};

pub(crate) type Decided = Step<State, Effect>;
pub(crate) type Decide = fn(&Snapshot, Timestamp) -> Decided;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    New,
    Armed,
    Failed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Changes the world: the snapshot of the next observation is `done`.
    Succeed,
    /// Changes nothing.
    Nothing,
    /// Cannot be done.
    Fail,
    /// Finds out that the object has failed.
    Find,
    /// Leaves a note in the status, among other things.
    Note,
    /// Is a note in the status and nothing else.
    Apply,
    /// Is another state in the status, which comes with more than the interpreter knows of.
    End,
    /// Removes the object.
    Delete,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Failure;

/// The object as it is stored, and as it is read.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Snapshot {
    record: Record<State>,
    version: u32,
    pub(crate) done: bool,
    pub(crate) noted: bool,
}

impl Snapshot {
    pub(crate) fn state(&self) -> State {
        self.record.state
    }
}

type Change = fn(&mut Snapshot);

struct Stored {
    object: Option<Snapshot>,
    history: Vec<String>,
    observed: usize,
    rival: Option<Change>,
    observation: Option<Change>,
}

pub(crate) struct World {
    decide: Decide,
    stored: Mutex<Stored>,
}

/// So many seconds after some time.
pub(crate) fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_000_000 + second).unwrap()
}

impl World {
    pub(crate) fn new(decide: Decide) -> Self {
        let record = Record {
            state: State::New,
            since: None,
            reason: None,
            deadline: None,
            percent: None,
        };
        let object = Snapshot {
            record,
            version: 1,
            done: false,
            noted: false,
        };
        let stored = Stored {
            object: Some(object),
            history: Vec::new(),
            observed: 0,
            rival: None,
            observation: None,
        };
        Self {
            decide,
            stored: Mutex::new(stored),
        }
    }

    /// Since when the object is in its state.
    pub(crate) fn since(&self, time: Timestamp) {
        self.stored().object.as_mut().unwrap().record.since = Some(time);
    }

    /// Somebody else who changes the object once, before the next write.
    pub(crate) fn rival(&self, change: Change) {
        self.stored().rival = Some(change);
    }

    /// What every observation adds to the status.
    pub(crate) fn observation(&self, change: Change) {
        self.stored().observation = Some(change);
    }

    pub(crate) fn record(&self) -> Record<State> {
        self.stored().object.as_ref().unwrap().record.clone()
    }

    pub(crate) fn history(&self) -> Vec<String> {
        self.stored().history.clone()
    }

    pub(crate) fn observed(&self) -> usize {
        self.stored().observed
    }

    pub(crate) fn writes(&self) -> usize {
        self.with("write ").len()
    }

    pub(crate) fn effects(&self) -> usize {
        self.with("effect ").len()
    }

    pub(crate) fn events(&self) -> Vec<String> {
        self.with("event ")
    }

    fn with(&self, prefix: &str) -> Vec<String> {
        let history = self.history();
        let found = history.iter().filter_map(|entry| entry.strip_prefix(prefix));
        found.map(str::to_owned).collect()
    }

    fn stored(&self) -> MutexGuard<'_, Stored> {
        self.stored.lock().unwrap()
    }
}

impl StateMachine for World {
    const KIND: &'static str = "sample";
    type State = State;
    type Effect = Effect;
    type Snapshot = Snapshot;
    type Error = Failure;

    fn name_of(state: State) -> StateName {
        let (label, event) = match state {
            State::New => ("new", "New"),
            State::Armed => ("armed", "Armed"),
            State::Failed => ("failed", "SampleFailed"),
        };
        StateName {
            label,
            event,
            failure: state == State::Failed,
        }
    }

    fn name(&self) -> &str {
        "sample-1"
    }

    async fn observe(&self) -> Result<Option<Snapshot>, Failure> {
        let mut stored = self.stored();
        stored.observed += 1;
        let (mut object, observation) = (stored.object.clone(), stored.observation);
        if let Some((object, change)) = object.as_mut().zip(observation) {
            change(object);
        }
        Ok(object)
    }

    fn record(snapshot: &Snapshot) -> Record<State> {
        snapshot.record.clone()
    }

    fn set_record(snapshot: &mut Snapshot, record: Record<State>) {
        snapshot.record = record;
    }

    fn decide(&self, snapshot: &Snapshot, now: Timestamp) -> Decided {
        (self.decide)(snapshot, now)
    }

    fn apply(snapshot: &mut Snapshot, effect: Effect, _: Timestamp) -> Option<Effect> {
        match effect {
            Effect::Apply => {
                snapshot.noted = true;
                None
            }
            Effect::End => {
                snapshot.record.state = State::Failed;
                snapshot.record.reason = Some("it was deleted".to_owned());
                None
            }
            other => Some(other),
        }
    }

    async fn commit(&self, snapshot: &mut Snapshot) -> Result<Commit, Failure> {
        let mut stored = self.stored();
        let rival = stored.rival.take();
        let Some(object) = stored.object.as_mut() else {
            return Ok(Commit::Lost);
        };
        if let Some(change) = rival {
            change(object);
            object.version += 1;
        }
        if object.version != snapshot.version {
            return Ok(Commit::Lost);
        }
        if object != snapshot {
            snapshot.version += 1;
            *object = snapshot.clone();
            let noted = if snapshot.noted { ", noted" } else { "" };
            let entry = format!("write {}{noted}", Self::name_of(snapshot.state()).label);
            stored.history.push(entry);
        }
        Ok(Commit::Kept)
    }

    async fn carry_out(
        &self,
        snapshot: &mut Snapshot,
        effect: Effect,
        _: Timestamp,
    ) -> Result<Option<Decided>, Failure> {
        let mut stored = self.stored();
        let committed = Self::name_of(stored.object.as_ref().unwrap().state()).label;
        stored.history.push(format!("effect in committed {committed}"));
        match effect {
            Effect::Nothing | Effect::Apply | Effect::End => {}
            Effect::Fail => return Err(Failure),
            Effect::Find => return Ok(Some(Step::go(State::Failed, "the template has no action"))),
            Effect::Note => snapshot.noted = true,
            Effect::Delete => stored.object = None,
            Effect::Succeed => {
                let object = stored.object.as_mut().unwrap();
                object.done = true;
                object.version += 1;
            }
        }
        Ok(None)
    }

    async fn announce(&self, _: &Snapshot, transition: &Transition) {
        let kind = if transition.to.failure {
            "Warning"
        } else {
            "Normal"
        };
        let entry = format!("event {kind} {}: {}", transition.to.event, transition.reason);
        self.stored().history.push(entry);
    }
}
