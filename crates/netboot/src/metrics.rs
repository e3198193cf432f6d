//! Metrics of the HTTP boot service.

use http::StatusCode;

/// Describes what this crate counts, to the recorder of the process.
pub fn describe_metrics() {
    metrics::describe_counter!(
        "gantry_boot_scripts_total",
        "Requests for a boot script, by the `status` of the answer: 200, 404 when there is none for the machine, or 500."
    );
}

pub(crate) fn boot_script(status: StatusCode) {
    metrics::counter!("gantry_boot_scripts_total", "status" => status.as_str().to_owned()).increment(1);
}
