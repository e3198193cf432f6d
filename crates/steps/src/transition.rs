//! A change of state, for Events, logs and metrics.

use jiff::Timestamp;

use crate::machine::StateMachine;
use crate::record::Record;

/// How a state is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StateName {
    /// As in the API; the value of the metrics' labels `state`, `from` and `to`.
    pub label: &'static str,
    /// Reason of the Event when it is entered: CamelCase, and stable, because people filter by it.
    pub event: &'static str,
    /// Whether entering it is a failure: its Event is a Warning.
    pub failure: bool,
}

/// A committed change from one state to another.
#[derive(Debug, Clone, PartialEq)]
pub struct Transition {
    /// The state that was left.
    pub from: StateName,
    /// The state that was entered.
    pub to: StateName,
    /// Why.
    pub reason: String,
    /// Seconds in the state that was left; absent when its beginning is not known.
    pub seconds: Option<f64>,
}

impl Transition {
    /// What changed from `before` to `after` of the object `name`, if the state did; logged and counted. To be called
    /// once for each commit, after it.
    #[must_use]
    pub fn count<M: StateMachine>(
        name: &str,
        before: &Record<M::State>,
        after: &Record<M::State>,
        now: Timestamp,
    ) -> Option<Self> {
        if before.state == after.state {
            return None;
        }
        let entered = after.since.unwrap_or(now);
        let transition = Self {
            from: M::name_of(before.state),
            to: M::name_of(after.state),
            reason: after.reason.clone().unwrap_or_default(),
            seconds: before
                .since
                .map(|since| entered.duration_since(since).as_secs_f64().max(0.0)),
        };
        let (from, to) = (transition.from.label, transition.to.label);
        tracing::info!(
            kind = M::KIND,
            object = name,
            state = to,
            from,
            reason = transition.reason,
            "state changed"
        );
        metrics::counter!("gantry_state_transitions_total", "kind" => M::KIND, "from" => from, "to" => to)
            .increment(1);
        if let Some(seconds) = transition.seconds {
            metrics::histogram!("gantry_state_seconds", "kind" => M::KIND, "state" => from).record(seconds);
        }
        Some(transition)
    }
}
