//! Metrics of state machines. The values of their labels are constants of the program, so their number is bounded.

use metrics::Unit;

/// Describes what this crate counts, to the recorder of the process.
pub fn describe_metrics() {
    metrics::describe_counter!(
        "gantry_state_transitions_total",
        "Changes of state, by `kind` of state machine, the state `from` which and the state `to` which."
    );
    metrics::describe_histogram!(
        "gantry_state_seconds",
        Unit::Seconds,
        "Time in a state until it was left, by `kind` of state machine and `state`."
    );
    metrics::describe_counter!(
        "gantry_overdue_waits_total",
        "Decisions that still wait for something whose time is up, by `kind` of state machine and `state`."
    );
    metrics::describe_counter!(
        "gantry_steps_without_rest_total",
        "Runs of a state machine that were cut off because they came to no rest, by `kind` of state machine."
    );
}

pub(crate) fn transition(kind: &'static str, from: &'static str, to: &'static str, seconds: Option<f64>) {
    metrics::counter!("gantry_state_transitions_total", "kind" => kind, "from" => from, "to" => to)
        .increment(1);
    if let Some(seconds) = seconds {
        metrics::histogram!("gantry_state_seconds", "kind" => kind, "state" => from).record(seconds);
    }
}

pub(crate) fn overdue_wait(kind: &'static str, state: &'static str) {
    metrics::counter!("gantry_overdue_waits_total", "kind" => kind, "state" => state).increment(1);
}

pub(crate) fn without_rest(kind: &'static str) {
    metrics::counter!("gantry_steps_without_rest_total", "kind" => kind).increment(1);
}
