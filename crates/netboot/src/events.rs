//! Boot events into the records: in batches and in the background.

use boot_script::{Event, Origin};
use store::records::{NewRecord, Records, Ring};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// Events that are written together.
const BATCH: usize = 256;

/// Writes events until the senders are gone or `cancel`; what is waiting then is still written.
pub async fn record_events(mut events: mpsc::Receiver<Event>, records: Records, cancel: CancellationToken) {
    let mut batch = Vec::with_capacity(BATCH);
    loop {
        let ending = tokio::select! {
            count = events.recv_many(&mut batch, BATCH) => count == 0,
            () = cancel.cancelled() => {
                events.close();
                events.recv_many(&mut batch, BATCH).await == 0
            }
        };
        if ending {
            return;
        }
        let rows = batch.drain(..).map(record).collect();
        if let Err(error) = records.append_all(rows).await {
            // Evidence only: booting goes on without it.
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "boot events could not be recorded"
            );
        }
    }
}

fn record(event: Event) -> NewRecord {
    NewRecord {
        kind: "BootEvent".to_owned(),
        machine: event.machine,
        ring: match event.origin {
            Origin::Machine => Ring::Machine,
            Origin::Stranger => Ring::Strangers,
        },
        at: event.at.as_millisecond(),
        // A struct of strings always becomes JSON.
        payload: serde_json::to_value(event.event).unwrap_or_default(),
    }
}
