//! How many records are kept: evidence is bounded, the newest stays.

use std::time::Duration;

use store::records::Records;
use tokio_util::sync::CancellationToken;

/// Kinds of the records file, and how many of each are kept.
const KEPT: [(&str, u32); 3] = [("BootEvent", 200_000), ("ActionLog", 200_000), ("Lease", 200_000)];
const EVERY: Duration = Duration::from_secs(600);

/// Removes old records until cancelled.
pub(crate) async fn run(records: Records, cancel: CancellationToken) {
    loop {
        tokio::select! {
            () = cancel.cancelled() => return,
            () = tokio::time::sleep(EVERY) => {}
        }
        for (kind, count) in KEPT {
            if let Err(error) = records.keep_newest(kind, count).await {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    kind,
                    "old records cannot be removed"
                );
            }
        }
    }
}
