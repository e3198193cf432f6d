//! Metrics of the coordinator.

use resources::anywhere::EtcdDrillOutcome;

/// Describes what this crate counts, to the recorder of the process.
pub fn describe_metrics() {
    metrics::describe_counter!(
        "gantry_etcd_drills_total",
        "Rehearsals of a restore of a cluster's etcd that have ended, by `outcome`: passed, failed, or impossible."
    );
    for outcome in ["passed", "failed", "impossible"] {
        metrics::counter!("gantry_etcd_drills_total", "outcome" => outcome).increment(0);
    }
}

pub(crate) fn drill_ended(outcome: EtcdDrillOutcome) {
    let outcome = match outcome {
        EtcdDrillOutcome::Passed => "passed",
        EtcdDrillOutcome::Failed => "failed",
        EtcdDrillOutcome::Impossible => "impossible",
    };
    metrics::counter!("gantry_etcd_drills_total", "outcome" => outcome).increment(1);
}
