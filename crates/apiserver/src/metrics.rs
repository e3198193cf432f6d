//! Metrics of the embedded API.

/// Describes what this crate counts, to the recorder of the process.
pub fn describe_metrics() {
    metrics::describe_counter!(
        "gantry_api_refused_total",
        "Requests that were answered with status 429, by `what` there was too much of: requests or watches."
    );
    metrics::describe_counter!(
        "gantry_api_panics_total",
        "Requests that met a defect of the server; they are answered with status 500."
    );
    panicked(0);
}

pub(crate) fn refused(what: &'static str) {
    metrics::counter!("gantry_api_refused_total", "what" => what).increment(1);
}

pub(crate) fn panicked(count: u64) {
    metrics::counter!("gantry_api_panics_total").increment(count);
}
