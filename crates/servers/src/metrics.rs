//! Metrics of sessions.

/// Describes what this crate counts, to the recorder of the process.
pub fn describe_metrics() {
    metrics::describe_counter!(
        "gantry_claims_limited_total",
        "Claims of a session that were refused unread, because too many came from one address."
    );
    claims_limited(0);
}

pub(crate) fn claims_limited(count: u64) {
    metrics::counter!("gantry_claims_limited_total").increment(count);
}
