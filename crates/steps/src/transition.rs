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

/// A change from one state to another.
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
    /// What changed from `before` to `after`, which was decided at `now`; nothing when the state is the same.
    #[must_use]
    pub fn between<M: StateMachine>(
        before: &Record<M::State>,
        after: &Record<M::State>,
        now: Timestamp,
    ) -> Option<Self> {
        let seconds = |since: Timestamp| now.duration_since(since).as_secs_f64().max(0.0);
        (before.state != after.state).then(|| Self {
            from: M::name_of(before.state),
            to: M::name_of(after.state),
            reason: after.reason.clone().unwrap_or_default(),
            seconds: before.since.map(seconds),
        })
    }

    /// Logs and counts the transition of the object `name`, once it is committed.
    pub fn count<M: StateMachine>(&self, name: &str) {
        let (kind, from, to) = (M::KIND, self.from.label, self.to.label);
        tracing::info!(
            kind,
            object = name,
            state = to,
            from,
            reason = self.reason,
            "state changed"
        );
        metrics::counter!("gantry_state_transitions_total", "kind" => kind, "from" => from, "to" => to)
            .increment(1);
        if let Some(seconds) = self.seconds {
            metrics::histogram!("gantry_state_seconds", "kind" => kind, "state" => from).record(seconds);
        }
    }
}
