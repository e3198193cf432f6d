//! Boot events into the records: in batches and in the background.

use std::time::Duration;

use boot_script::{Event, Origin};
use store::records::{NewRecord, Records, Ring};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// Events that are taken together.
const BATCH: usize = 1024;
/// How long events are gathered: a sender need not wake anybody for each.
const GATHER: Duration = Duration::from_millis(20);

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
        tokio::select! {
            () = cancel.cancelled() => {}
            () = tokio::time::sleep(GATHER) => {}
        }
        while batch.len() < BATCH
            && let Ok(event) = events.try_recv()
        {
            batch.push(event);
        }
        if let Err(error) = records.append_later(batch.drain(..).map(record)).await {
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
