//! Lines and progress of actions on their way to the records. Evidence: the way is bounded, and what does not fit is
//! counted and dropped, so that no report waits for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use jiff::Timestamp;
use resources::{ActionLog, printable};
use store::records::{NewRecord, Records, Ring};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// Kind of the records.
const KIND: &str = "ActionLog";
/// Batches that may wait.
const WAITING: usize = 1024;
/// Longest line that is kept, in characters.
const LINE: usize = 8192;
/// Most lines of one report.
const LINES: usize = 500;

/// Where reports put their lines.
#[derive(Debug, Clone)]
pub(crate) struct LogSender {
    sender: mpsc::Sender<Vec<NewRecord>>,
    dropped: Arc<AtomicU64>,
}

/// Writes what the senders put in.
#[derive(Debug)]
pub(crate) struct LogWriter {
    records: Records,
    receiver: mpsc::Receiver<Vec<NewRecord>>,
}

/// One report's part of the log.
pub(crate) struct Entry<'a> {
    /// Name of the machine.
    pub(crate) machine: &'a str,
    /// Namespace and name of the Workflow.
    pub(crate) workflow: &'a str,
    /// Name of the action.
    pub(crate) action: &'a str,
    /// Share done.
    pub(crate) percent: Option<u8>,
    /// Message and lines.
    pub(crate) lines: &'a [String],
}

pub(crate) fn channel(records: Records) -> (LogSender, LogWriter) {
    let (sender, receiver) = mpsc::channel(WAITING);
    (
        LogSender {
            sender,
            dropped: Arc::default(),
        },
        LogWriter { records, receiver },
    )
}

impl LogSender {
    pub(crate) fn send(&self, entry: &Entry<'_>) {
        let at = Timestamp::now().as_millisecond();
        let record = |line: &String| {
            let text = line.chars().take(LINE).collect::<String>();
            let text = printable(&text).into_owned();
            let log = ActionLog {
                workflow: entry.workflow.to_owned(),
                action: entry.action.to_owned(),
                percent: entry.percent,
                text,
            };
            let payload = serde_json::to_value(log).ok()?;
            Some(NewRecord {
                kind: KIND.into(),
                machine: entry.machine.to_owned(),
                ring: Ring::Machine,
                at,
                payload,
            })
        };
        let batch: Vec<NewRecord> = entry.lines.iter().take(LINES).filter_map(record).collect();
        if !batch.is_empty() && self.sender.try_send(batch).is_err() {
            let dropped = self.dropped.fetch_add(1, Ordering::Relaxed) + 1;
            tracing::warn!(dropped, "action log lines dropped");
        }
    }
}

impl LogWriter {
    /// Writes until cancelled, then what is left.
    pub(crate) async fn run(mut self, cancel: CancellationToken) {
        loop {
            let batch = tokio::select! {
                biased;
                batch = self.receiver.recv() => batch,
                () = cancel.cancelled() => return,
            };
            let Some(batch) = batch else { return };
            if let Err(error) = self.records.append_all(batch).await {
                tracing::warn!(error = %error, "action log not written");
            }
        }
    }
}
