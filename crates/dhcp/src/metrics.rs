//! Metrics of the DHCP service.

/// Describes what this crate counts, to the recorder of the process.
pub fn describe_metrics() {
    metrics::describe_counter!(
        "gantry_dhcp_packets_total",
        "Packets that were looked at, by their `kind` (DISCOVER, ..., or unreadable) and the `answer` (OFFER, ACK, NAK, or none). Those of a flood from unknown machines are not looked at."
    );
    metrics::describe_counter!(
        "gantry_dhcp_not_held_total",
        "Answers that were dropped because too many waited for their lease to be committed."
    );
    metrics::describe_counter!(
        "gantry_dhcp_unsent_total",
        "Answers that the kernel did not take."
    );
    metrics::describe_counter!(
        "gantry_dhcp_panics_total",
        "Packets that met a defect of the engine; they are not answered."
    );
    not_held(0);
    unsent(0);
    panicked(0);
}

pub(crate) fn packet(kind: &'static str, answer: &'static str) {
    metrics::counter!("gantry_dhcp_packets_total", "kind" => kind, "answer" => answer).increment(1);
}

pub(crate) fn not_held(count: u64) {
    metrics::counter!("gantry_dhcp_not_held_total").increment(count);
}

pub(crate) fn unsent(count: u64) {
    metrics::counter!("gantry_dhcp_unsent_total").increment(count);
}

pub(crate) fn panicked(count: u64) {
    metrics::counter!("gantry_dhcp_panics_total").increment(count);
}
