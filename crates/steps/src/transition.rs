//! A change of state, for Events, logs and metrics.

use crate::metrics;

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
    /// Logs and counts the transition of an object, by the kind of its state machine and its name, once it is committed.
    pub fn count(&self, kind: &'static str, name: &str) {
        let (from, to) = (self.from.label, self.to.label);
        tracing::info!(
            kind,
            object = name,
            state = to,
            from,
            reason = self.reason,
            "state changed"
        );
        metrics::transition(kind, from, to, self.seconds);
    }
}
