//! The metrics of the process: the recorder behind the facade `metrics`, and its text in Prometheus' format 0.0.4.
//!
//! The recorder is one for the process, as the facade is. The crates that count describe what they count; this module adds
//! what the kernel knows of the process.

use std::sync::OnceLock;
use std::time::Duration;

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use metrics_process::Collector;
use tokio_util::sync::CancellationToken;

/// Upper bounds of the buckets of every histogram, in seconds: all are of times in a state, from a decision to a day.
const BUCKETS: &[f64] = &[
    0.1, 1.0, 5.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1200.0, 1800.0, 3600.0, 7200.0, 21600.0, 86400.0,
];
/// Between two times at which values of histograms are put into their buckets, when nobody asks for them.
const UPKEEP: Duration = Duration::from_secs(60);

static RECORDER: OnceLock<PrometheusHandle> = OnceLock::new();

/// Installs the recorder, once in a process.
pub fn start_metrics() {
    RECORDER.get_or_init(|| {
        // Fails only without buckets.
        let builder = PrometheusBuilder::new();
        let builder = builder.set_buckets(BUCKETS).unwrap_or_default();
        let recorder = builder.build_recorder();
        let handle = recorder.handle();
        if metrics::set_global_recorder(recorder).is_err() {
            tracing::error!("the process has another recorder of metrics already: /metrics stays empty");
        }
        handle
    });
}

/// Describes what is known of the process, to its recorder.
pub fn describe_metrics() {
    Collector::default().describe();
}

/// All metrics as text; empty before [`start_metrics`].
#[must_use]
pub fn exposition() -> String {
    let Some(recorder) = RECORDER.get() else {
        return String::new();
    };
    Collector::default().collect();
    recorder.render()
}

/// Keeps the memory of histograms bounded while nobody asks for them, until cancelled.
pub async fn keep_metrics(cancel: CancellationToken) {
    let Some(recorder) = RECORDER.get() else {
        return cancel.cancelled().await;
    };
    loop {
        tokio::select! {
            () = cancel.cancelled() => return,
            () = tokio::time::sleep(UPKEEP) => recorder.run_upkeep(),
        }
    }
}
