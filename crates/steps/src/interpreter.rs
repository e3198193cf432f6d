//! The loop.

use std::time::Duration;

use jiff::Timestamp;

use crate::machine::{Commit, StateMachine};
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
/// `clock` tells the time, which is read once for each decision.
///
/// # Errors
/// The first failure to observe, to commit or to carry out an effect. What was decided before the failing effect is
/// committed; the next run decides again.
pub async fn run<M: StateMachine>(
    machine: &M,
    clock: impl Fn() -> Timestamp + Send,
) -> Result<Rest<M::Snapshot>, M::Error> {
    let mut held = None;
    let mut found = None;
    for _ in 0..ROUNDS {
        let mut snapshot = match held.take() {
            Some(snapshot) => snapshot,
            None => match machine.observe().await? {
                Some(snapshot) => snapshot,
                None => return Ok(Rest::gone()),
            },
        };
        let now = clock();
        let step = match found.take() {
            Some(step) => step,
            None => machine.decide(&snapshot, now),
        };
        let before = M::record(&snapshot);
        let mut record = before.clone();
        match step {
            Step::Do(effect) => {
                if machine.commit(&mut snapshot).await? == Commit::Lost {
                    continue;
                }
                found = machine.carry_out(&mut snapshot, effect, now).await?;
                match found {
                    Some(_) => held = Some(snapshot),
                    // Kept or lost, everything is read again.
                    None => drop(machine.commit(&mut snapshot).await?),
                }
            }
            Step::Go { state, reason } => {
                record.enter(state, reason, now);
                M::set_record(&mut snapshot, record.clone());
                if machine.commit(&mut snapshot).await? == Commit::Lost {
                    continue;
                }
                if let Some(transition) = Transition::count::<M>(machine.name(), &before, &record, now) {
                    machine.announce(&snapshot, &transition).await;
                }
                held = Some(snapshot);
            }
            Step::Wait {
                reason,
                until,
                percent,
            } => {
                record.wait(reason, until, percent, now);
                M::set_record(&mut snapshot, record);
                if machine.commit(&mut snapshot).await? == Commit::Lost {
                    continue;
                }
                if until <= now {
                    overdue::<M>(before.state);
                }
                return Ok(Rest {
                    snapshot: Some(snapshot),
                    again: Some(left::<M>(until, now)),
                });
            }
            Step::Done { reason } => {
                record.rest(reason, now);
                M::set_record(&mut snapshot, record);
                if machine.commit(&mut snapshot).await? == Commit::Lost {
                    continue;
                }
                return Ok(Rest {
                    snapshot: Some(snapshot),
                    again: None,
                });
            }
        }
    }
    tracing::warn!(
        kind = M::KIND,
        object = machine.name(),
        "no rest after {ROUNDS} steps"
    );
    metrics::counter!("gantry_steps_without_rest_total", "kind" => M::KIND).increment(1);
    Ok(Rest {
        snapshot: None,
        again: Some(PAUSE),
    })
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
    let state = M::name_of(state).label;
    metrics::counter!("gantry_overdue_waits_total", "kind" => M::KIND, "state" => state).increment(1);
}

fn left<M: StateMachine>(until: Timestamp, now: Timestamp) -> Duration {
    let left = Duration::try_from(until.duration_since(now)).unwrap_or_default();
    left.saturating_add(PAST).clamp(PAUSE, M::LOOK)
}
