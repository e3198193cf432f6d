//! The loop.

use std::time::Duration;

use jiff::Timestamp;

use crate::machine::{Commit, StateMachine, StepOf};
use crate::metrics;
use crate::record::Record;
use crate::step::Step;
use crate::transition::Transition;

/// Steps of one run. More than any way through the states of one object needs, so that whoever gets there makes no
/// progress.
const ROUNDS: usize = 32;
/// Until the next run of an object that does not come to rest, and shortest time to the next look at a wait.
const PAUSE: Duration = Duration::from_secs(1);
/// Beyond the end of a wait, so that it has passed for sure.
const PAST: Duration = Duration::from_millis(100);

/// Where a run came to.
#[derive(Debug)]
pub struct Rest<S> {
    /// The snapshot as it was committed; nothing when the object is gone or did not come to rest.
    pub snapshot: Option<S>,
    /// When to run again though nothing has changed; nothing when only a change matters.
    pub again: Option<Duration>,
}

/// Carries out what `machine` decides until it waits or rests.
///
/// States that are only passed on the way, without an effect in them, are committed together with the one that is not,
/// so nobody sees an object halfway. `clock` tells the time, which is read once for each decision.
///
/// # Errors
/// The first failure to observe, to commit or to carry out an effect. What was decided before the failing effect is
/// committed; the next run decides again.
pub async fn run<M: StateMachine>(
    machine: &M,
    clock: impl Fn() -> Timestamp + Send,
) -> Result<Rest<M::Snapshot>, M::Error> {
    let mut held: Option<Run<M>> = None;
    for _ in 0..ROUNDS {
        let mut run = match held.take() {
            Some(run) => run,
            None => match machine.observe().await? {
                Some(snapshot) => Run::of(snapshot),
                None => return Ok(Rest::gone()),
            },
        };
        let now = clock();
        let step = match run.found.take() {
            Some(step) => step,
            None => machine.decide(&run.snapshot, now),
        };
        let mut record = M::record(&run.snapshot);
        let again = match step {
            Step::Go { state, reason } => {
                record.enter(state, reason, now);
                M::set_record(&mut run.snapshot, record);
                run.note(now);
                held = Some(run);
                continue;
            }
            Step::Do(effect) => {
                let Some(effect) = M::apply(&mut run.snapshot, effect, now) else {
                    run.note(now);
                    held = Some(run);
                    continue;
                };
                if run.commit(machine).await? == Commit::Lost {
                    continue;
                }
                run.found = machine.carry_out(&mut run.snapshot, effect, now).await?;
                run.note(now);
                if run.found.is_some() {
                    held = Some(run);
                } else {
                    // Kept or lost, everything is read again.
                    let _ = run.commit(machine).await?;
                }
                continue;
            }
            Step::Wait {
                reason,
                until,
                percent,
            } => {
                if until <= now {
                    overdue::<M>(record.state);
                }
                record.wait(reason, until, percent, now);
                Some(left(until, now, M::look(&run.snapshot)))
            }
            Step::Done { reason } => {
                record.rest(reason, now);
                None
            }
        };
        M::set_record(&mut run.snapshot, record);
        if run.commit(machine).await? == Commit::Kept {
            return Ok(Rest {
                snapshot: Some(run.snapshot),
                again,
            });
        }
    }
    tracing::warn!(
        kind = M::KIND,
        object = machine.name(),
        "no rest after {ROUNDS} steps"
    );
    metrics::without_rest(M::KIND);
    Ok(Rest {
        snapshot: None,
        again: Some(PAUSE),
    })
}

/// What was decided since the last observation.
struct Run<M: StateMachine> {
    snapshot: M::Snapshot,
    /// The record as it was noted last.
    noted: Record<M::State>,
    /// What is not committed yet.
    passed: Vec<Transition>,
    /// The next step, where an effect found out.
    found: Option<StepOf<M>>,
}

impl<M: StateMachine> Run<M> {
    fn of(snapshot: M::Snapshot) -> Self {
        Self {
            noted: M::record(&snapshot),
            snapshot,
            passed: Vec::new(),
            found: None,
        }
    }

    /// Takes in that the state may have changed.
    fn note(&mut self, now: Timestamp) {
        let record = M::record(&self.snapshot);
        self.passed
            .extend(self.noted.transition(&record, M::name_of, now));
        self.noted = record;
    }

    /// Commits the status, then reports the transitions that are in it.
    async fn commit(&mut self, machine: &M) -> Result<Commit, M::Error> {
        if machine.commit(&mut self.snapshot).await? == Commit::Lost {
            return Ok(Commit::Lost);
        }
        for transition in self.passed.drain(..) {
            transition.count(M::KIND, machine.name());
            machine.announce(&self.snapshot, &transition).await;
        }
        Ok(Commit::Kept)
    }
}

impl<S> Rest<S> {
    const fn gone() -> Self {
        Self {
            snapshot: None,
            again: None,
        }
    }
}

/// Counts a decision that waits though the end of its wait has come.
fn overdue<M: StateMachine>(state: M::State) {
    metrics::overdue_wait(M::KIND, M::name_of(state).label);
}

fn left(until: Timestamp, now: Timestamp, look: Duration) -> Duration {
    let left = Duration::try_from(until.duration_since(now)).unwrap_or_default();
    left.saturating_add(PAST).clamp(PAUSE, look)
}
