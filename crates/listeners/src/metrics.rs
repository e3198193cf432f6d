//! Metrics of listeners. Addresses are no labels: anybody can make up more of them.

use crate::pace::Overdue;
use crate::table::Reason;

/// Describes what this crate counts, to the recorder of the process.
pub fn describe_metrics() {
    metrics::describe_counter!(
        "gantry_connections_refused_total",
        "Connections that got no place, by `listener` and `reason`."
    );
    metrics::describe_counter!(
        "gantry_connections_evicted_total",
        "Connections whose place went to another one, by `listener` and `reason`."
    );
    metrics::describe_counter!(
        "gantry_connections_expired_total",
        "Connections that were closed because of a limit of time, by `listener` and `reason`."
    );
}

pub(crate) fn refused_or_evicted(listener: &'static str, reason: Reason) {
    let label = reason.label();
    match reason {
        Reason::PerAddress | Reason::Full | Reason::Handshake => {
            metrics::counter!("gantry_connections_refused_total", "listener" => listener, "reason" => label)
        }
        Reason::Replaced | Reason::Crowded => {
            metrics::counter!("gantry_connections_evicted_total", "listener" => listener, "reason" => label)
        }
    }
    .increment(1);
}

pub(crate) fn expired(listener: &'static str, overdue: Overdue) {
    let label = overdue.label();
    metrics::counter!("gantry_connections_expired_total", "listener" => listener, "reason" => label)
        .increment(1);
}
