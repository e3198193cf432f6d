//! Metrics of the TFTP service.

/// Describes what this crate counts, to the recorder of the process.
pub fn describe_metrics() {
    metrics::describe_counter!("gantry_tftp_transfers_total", "Transfers that were begun.");
    metrics::describe_counter!(
        "gantry_tftp_refused_total",
        "Requests without a place for their transfer, and packets that are no request."
    );
    metrics::describe_counter!(
        "gantry_tftp_displaced_total",
        "Transfers that were ended because their place went to somebody else."
    );
    metrics::describe_counter!(
        "gantry_tftp_panics_total",
        "Transfers that met a defect of the server; their clients are left alone."
    );
    transfers(0);
    refused(0);
    displaced(0);
    panicked(0);
}

pub(crate) fn transfers(count: u64) {
    metrics::counter!("gantry_tftp_transfers_total").increment(count);
}

pub(crate) fn refused(count: u64) {
    metrics::counter!("gantry_tftp_refused_total").increment(count);
}

pub(crate) fn displaced(count: u64) {
    metrics::counter!("gantry_tftp_displaced_total").increment(count);
}

pub(crate) fn panicked(count: u64) {
    metrics::counter!("gantry_tftp_panics_total").increment(count);
}
